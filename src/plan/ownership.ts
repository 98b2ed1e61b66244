import { annotation } from "../api/group.ts";
import { HELM_NAME } from "../api/secret-sync.ts";
import type { Failure } from "../api/reasons.ts";
import { merges, targetName, type Observed, type Rival } from "./observed.ts";

/** May this SecretSync write that Secret? The first rule that objects decides. */
type Rule = (observed: Observed) => Failure | undefined;

export function ownershipProblem(observed: Observed): Failure | undefined {
  const rules = merges(observed)
    ? [nameIsHarmless, typeIsHarmless, targetExists]
    : [nameIsHarmless, noOlderRival, secretIsOurs];
  return rules.map((rule) => rule(observed)).find((failure) => failure !== undefined);
}

/** Of several SecretSyncs on one Secret, the one that wrote it keeps it; before the first write, the oldest. */
const noOlderRival: Rule = (observed) => {
  const { rivals, target, metadata } = observed;
  const claims: readonly Rival[] = [
    ...rivals,
    { name: metadata.name, creationTimestamp: metadata.creationTimestamp ?? "" },
  ].sort((a, b) => (a.creationTimestamp + a.name < b.creationTimestamp + b.name ? -1 : 1));
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

/** Also where the name is the SecretSync's own. */
const nameIsHarmless: Rule = (observed) =>
  targetName(observed).startsWith(HELM_NAME)
    ? {
        reason: "TargetConflict",
        message: `spec.target: Secret ${targetName(observed)} would be a release to Helm; choose another target.name`,
      }
    : undefined;

const typeIsHarmless: Rule = (observed) =>
  observed.targetRefused
    ? {
        reason: "TargetConflict",
        message: `spec.target: Secret ${targetName(observed)} has a type that gives power, and no SecretSync may write such a Secret; merge into another one`,
      }
    : undefined;

const targetExists: Rule = (observed) =>
  observed.target
    ? undefined
    : {
        reason: "TargetNotFound",
        message: `spec.target: creationPolicy Merge adds keys to Secret ${targetName(observed)}, which doesn't exist; create it, or use creationPolicy Owner`,
      };

/** Keys that another SecretSync wrote into the same Secret: taking them would be a write war. */
export function keyConflict(observed: Observed, keys: Iterable<string>): Failure | undefined {
  const { otherManagers, target } = observed;
  // Managers of SecretSyncs that are gone hold nothing any more.
  const taken = new Set(otherManagers.flatMap((manager) => target?.dataKeys[manager] ?? []));
  const key = [...keys].find((name) => taken.has(name));
  if (key === undefined) return undefined;
  return {
    reason: "TargetConflict",
    message: `spec.target: key ${JSON.stringify(key)} of Secret ${targetName(observed)} is written by another SecretSync; use another secretKey`,
  };
}
