import type { Failure } from "../api/reasons.ts";
import type { SecretValue } from "../providers/secret-value.ts";
import { ALL_KEYS, MOST_KEYS_IN_CHANGE, type Change, type ContentRecord, type KeyDigests } from "./digest.ts";
import { isIntact } from "./live-record.ts";
import { targetName, type Observed } from "./observed.ts";
import type { FetchedValues } from "./sources.ts";
import { triggerOf } from "./trigger.ts";

/** What a write changes for those who consume the content; undefined for nothing. */
export function changeOf(
  observed: Observed,
  before: ContentRecord | undefined,
  keys: readonly string[],
): Change | undefined {
  const kind = kindOfChange(observed, before, keys);
  if (!kind) return undefined;
  const trigger = kind === "repaired" ? "Drift" : triggerOf(observed);
  return { kind, at: observed.now, trigger, keys: keys.slice(0, MOST_KEYS_IN_CHANGE) };
}

function kindOfChange(
  observed: Observed,
  before: ContentRecord | undefined,
  keys: readonly string[],
): Change["kind"] | undefined {
  const { status, target, digestKey, metadata } = observed;
  // A Secret that we wrote before and that is gone now was deleted by somebody.
  if (!before) return status.secretRef?.name === targetName(observed) && !target ? "repaired" : "created";
  if (keys.length > 0) return "updated";
  // Under another digest key nothing can be told apart, and what a new spec asks for is no repair.
  if (before.key !== digestKey.id || status.observedGeneration !== metadata.generation) return undefined;
  if (isIntact(observed, before)) return undefined;
  return "repaired";
}

export function changedKeys(before: KeyDigests, after: KeyDigests): readonly string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names]
    .filter((name) => before[name] !== after[name])
    .sort()
    .map((name) => (name === ALL_KEYS ? "(many)" : name));
}

/** A find that may no longer see all that it matches must not remove keys: the secrets are there as before. */
export function withheldKeys(
  before: KeyDigests,
  data: ReadonlyMap<string, SecretValue>,
  fetched: FetchedValues,
): Failure | undefined {
  const lost = Object.keys(before).find((name) => name !== ALL_KEYS && !data.has(name));
  const hides = [...fetched.values()].some((result) => result.kind === "matches" && result.forbidden > 0);
  if (lost === undefined || !hides) return undefined;
  return {
    reason: "KeyNotAllowed",
    message: `spec.dataFrom: key ${JSON.stringify(lost)} would go, since this namespace may no longer read all that a find matches; add it to the provider's spec.access, or narrow the find`,
  };
}
