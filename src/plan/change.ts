import {
  ALL_KEYS,
  MANY_KEYS,
  MOST_KEYS_IN_CHANGE,
  type Change,
  type ContentRecord,
  type Doubt,
  type KeyDigests,
} from "./digest.ts";
import { isRestored, wasWritten } from "./live-content.ts";
import { isEdited, isIntact } from "./live-record.ts";
import { merges, type Observed } from "./observed.ts";
import { triggerOf } from "./trigger.ts";

/** What a write changes for those who consume the content; undefined for nothing. */
export function changeOf(
  observed: Observed,
  before: ContentRecord | undefined,
  keys: readonly string[],
  removed: readonly string[],
): Change | undefined {
  const kind = kindOfChange(observed, before, keys);
  if (!kind) return undefined;
  const trigger = kind === "repaired" ? "Drift" : triggerOf(observed);
  const doubt = doubtOf(observed, before);
  return {
    kind,
    at: observed.now,
    trigger,
    keys: keys.slice(0, MOST_KEYS_IN_CHANGE),
    ...(removed.length > 0 ? { removed: removed.slice(0, MOST_KEYS_IN_CHANGE) } : {}),
    ...(doubt ? { doubt } : {}),
  };
}

function kindOfChange(
  observed: Observed,
  before: ContentRecord | undefined,
  keys: readonly string[],
): Change["kind"] | undefined {
  const { status, digestKey, metadata } = observed;
  // We wrote it before: now it is gone, or what is noted on it was spoiled.
  if (!before && wasWritten(observed)) return "repaired";
  if (!before) return observed.live && keys.length > 0 ? "updated" : "created";
  if (keys.length > 0) return "updated";
  if (isEdited(observed, before)) return "repaired";
  // Under another digest key nothing can be told apart, and what a new spec asks for is no repair.
  if (before.key !== digestKey.id || status.observedGeneration !== metadata.generation) return undefined;
  return isIntact(observed, before) ? undefined : "repaired";
}

/** What pods may have been started with before this write, other than what the record says. */
function doubtOf(observed: Observed, before: ContentRecord | undefined): Doubt | undefined {
  const { target, driftSince } = observed;
  if (!target || (merges(observed) && !before))
    return { absent: true, ...(driftSince === undefined ? {} : { since: driftSince }) };
  const isSpoiled = before ? isEdited(observed, before) : wasWritten(observed);
  if (!isSpoiled) return undefined;
  if (before && isRestored(observed, before))
    return driftSince === undefined ? undefined : { absent: true, since: driftSince };
  // Of a Secret that others write too, the times of their writes tell nothing of our keys. What we saw, we saw later.
  const [since] = [driftSince, merges(observed) ? undefined : target.editedAt]
    .filter((time) => time !== undefined)
    .sort();
  return { absent: false, ...(since === undefined ? {} : { since }) };
}

export function changedKeys(before: KeyDigests, after: KeyDigests): readonly string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names]
    .filter((name) => before[name] !== after[name])
    .sort()
    .map((name) => (name === ALL_KEYS ? MANY_KEYS : name));
}

export const removedKeys = (before: KeyDigests, after: KeyDigests): readonly string[] =>
  Object.hasOwn(after, ALL_KEYS) || Object.hasOwn(before, ALL_KEYS)
    ? []
    : Object.keys(before)
        .filter((name) => !Object.hasOwn(after, name))
        .sort();
