import type { ContentRecord, KeyDigests } from "./digest.ts";
import { isEdited } from "./live-record.ts";
import { merges, recordAnnotation, targetName, type Observed } from "./observed.ts";

/**
 * What the target holds is normally told by our record and by managedFields, and its values are never read. Two times they are:
 * a Secret that is taken over has no record, and one that was made anew with our record, as from a backup, may hold the same.
 */
export function wantsLive(observed: Observed): boolean {
  const { target, digestKey } = observed;
  if (!target || merges(observed)) return false;
  const record = target.records[recordAnnotation(observed)];
  if (!record) return !wasWritten(observed);
  return record.key === digestKey.id && isEdited(observed, record) && target.madeAt !== undefined;
}

/** We wrote the target before, and status tells of it. */
export const wasWritten = (observed: Observed): boolean =>
  observed.status.secretRef?.name === targetName(observed);

/** What pods that run now were started with, of a Secret that is taken over. */
export const adoptedRecord = ({ live, digestKey }: Observed): ContentRecord | undefined =>
  live && { key: digestKey.id, version: "", owned: "", digests: live, found: [], change: undefined };

/** It was made anew, with what we had written: nobody was started with anything else, but maybe while it was gone. */
export const isRestored = ({ live, target }: Observed, { digests }: ContentRecord): boolean =>
  live !== undefined && target?.madeAt !== undefined && areSame(live, digests);

const areSame = (a: KeyDigests, b: KeyDigests): boolean =>
  Object.keys(a).length === Object.keys(b).length &&
  Object.entries(a).every(([key, digest]) => Object.hasOwn(b, key) && b[key] === digest);
