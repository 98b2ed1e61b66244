import { annotation } from "../api/group.ts";
import { HELM_NAME } from "../api/secret-sync.ts";
import type { Failure } from "../api/reasons.ts";
import { MOST_SYNCS } from "./live-target.ts";
import { merges, recordAnnotation, targetName, type Observed } from "./observed.ts";
import { quoted } from "./text.ts";

/** May this SecretSync write that Secret? The first rule that objects decides. */
type Rule = (observed: Observed) => Failure | undefined;

export function ownershipProblem(observed: Observed): Failure | undefined {
  const rules = merges(observed)
    ? [nameIsHarmless, typeIsHarmless, targetExists, mergersAreFew]
    : [nameIsHarmless, noBetterClaim, nobodyElseControls, secretIsOurs];
  return rules.map((rule) => rule(observed)).find((failure) => failure !== undefined);
}

/** Of several SecretSyncs on one Secret only one writes it; see Claims. */
const noBetterClaim: Rule = (observed) =>
  observed.winner === undefined
    ? undefined
    : {
        reason: "TargetConflict",
        message: `spec.target: Secret ${targetName(observed)} is written by SecretSync ${observed.winner}; choose another target.name, or creationPolicy Merge with other keys`,
      };

const secretIsOurs: Rule = (observed) => {
  const { target, metadata } = observed;
  if (!target || target.owner === metadata.name) return undefined;
  // Its SecretSync is gone or writes another Secret by now.
  if (target.managed && target.owner !== undefined) return undefined;
  return {
    reason: "TargetConflict",
    message: `spec.target: Secret ${target.name} exists and isn't managed by SecretSync; hand it over with: kubectl annotate secret ${target.name} ${annotation.owner}=${metadata.name} -n ${target.namespace} && ${askFor(metadata)}; or delete it, and then run the second of these commands; or use creationPolicy Merge`,
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

/** Of more, the notes aren't kept, and each would be written again and again. */
const mergersAreFew: Rule = (observed) => {
  const { target } = observed;
  const notes = Object.keys(target?.records ?? {});
  if (notes.length < MOST_SYNCS || notes.includes(recordAnnotation(observed))) return undefined;
  return {
    reason: "TargetConflict",
    message: `spec.target: ${MOST_SYNCS} SecretSyncs merge keys into Secret ${targetName(observed)} already, and no more may; merge into another one`,
  };
};

/** The apiserver takes one controller only; one that isn't us would write the Secret too. */
const nobodyElseControls: Rule = (observed) => {
  const { target, spec, metadata } = observed;
  if (target?.controlledBy === undefined || spec.target.creationPolicy !== "Owner") return undefined;
  const { name, namespace, controlledBy } = target;
  return {
    reason: "TargetConflict",
    message: `spec.target: Secret ${name} is controlled by ${quoted(controlledBy)}; have that write it no more, and hand it over with: kubectl annotate secret ${name} -n ${namespace} ${annotation.owner}=${metadata.name} && kubectl patch secret ${name} -n ${namespace} --type=json -p='[{"op":"remove","path":"/metadata/ownerReferences"}]' && ${askFor(metadata)}`,
  };
};

/** Nobody watches Secrets that aren't ours: without it the operator would notice minutes later. */
const askFor = ({ name, namespace }: Observed["metadata"]): string =>
  `kubectl annotate ssync ${name} -n ${namespace} --overwrite ${annotation.requestedAt}=$(date +%s)`;

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
