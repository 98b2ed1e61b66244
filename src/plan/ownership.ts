import { annotation } from "../api/group.ts";
import type { Failure } from "../api/reasons.ts";
import { merges, targetFieldManager, targetName, type Observed, type Rival } from "./observed.ts";

/** May this SecretSync write that Secret? The first rule that objects decides. */
type Rule = (observed: Observed) => Failure | undefined;

export function ownershipProblem(observed: Observed): Failure | undefined {
  const rules = merges(observed) ? [targetExists] : [noOlderRival, secretIsOurs];
  return rules.map((rule) => rule(observed)).find((failure) => failure !== undefined);
}

/** Of several SecretSyncs on one Secret, the one that wrote it keeps it; before the first write, the oldest. */
const noOlderRival: Rule = (observed) => {
  const { rivals, target, metadata } = observed;
  const claims: readonly Rival[] = [
    ...rivals,
    { name: metadata.name, creationTimestamp: metadata.creationTimestamp ?? "" },
  ].sort((a, b) => a.creationTimestamp.localeCompare(b.creationTimestamp) || a.name.localeCompare(b.name));
  const winner = claims.find((claim) => claim.name === target?.owner) ?? claims[0];
  if (!winner || winner.name === metadata.name) return undefined;
  return {
    reason: "TargetConflict",
    message: `spec.target: Secret ${targetName(observed)} is written by SecretSync ${winner.name}; choose another target.name, or creationPolicy Merge with other keys`,
  };
};

const secretIsOurs: Rule = (observed) => {
  const { target, metadata } = observed;
  if (!target || target.owner === metadata.name) return undefined;
  // Its SecretSync is gone or writes another Secret by now.
  if (target.managed && target.owner !== undefined) return undefined;
  return {
    reason: "TargetConflict",
    message: `spec.target: Secret ${target.name} exists and isn't managed by SecretSync; delete it, use creationPolicy Merge, or hand it over with: kubectl annotate secret ${target.name} ${annotation.owner}=${metadata.name}`,
  };
};

const targetExists: Rule = (observed) =>
  observed.target
    ? undefined
    : {
        reason: "TargetNotFound",
        message: `spec.target: creationPolicy Merge adds keys to Secret ${targetName(observed)}, which doesn't exist; create it, or use creationPolicy Owner`,
      };

/** Keys that another SecretSync wrote into the same Secret: taking them would be a write war. */
export function keyConflict(observed: Observed, keys: Iterable<string>): Failure | undefined {
  const ours = targetFieldManager(observed);
  const taken = new Set(
    Object.entries(observed.target?.dataKeys ?? {}).flatMap(([manager, names]) =>
      manager === ours ? [] : names,
    ),
  );
  const key = [...keys].find((name) => taken.has(name));
  if (key === undefined) return undefined;
  return {
    reason: "TargetConflict",
    message: `spec.target: key ${JSON.stringify(key)} of Secret ${targetName(observed)} is written by another SecretSync; use another secretKey`,
  };
}
