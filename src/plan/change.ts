import {
  ALL_KEYS,
  MANY_KEYS,
  MOST_KEYS_IN_CHANGE,
  type Change,
  type ContentRecord,
  type KeyDigests,
} from "./digest.ts";
import { isIntact } from "./live-record.ts";
import { targetName, type Observed } from "./observed.ts";
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
  const { status, digestKey, metadata } = observed;
  // We wrote it before: now it is gone, or what is noted on it was spoiled.
  if (!before) return status.secretRef?.name === targetName(observed) ? "repaired" : "created";
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
    .map((name) => (name === ALL_KEYS ? MANY_KEYS : name));
}
