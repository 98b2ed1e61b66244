import type { ContentRecord } from "./digest.ts";
import { merges, recordAnnotation, targetFieldManager, type Observed } from "./observed.ts";

/** Our notes on the target's content; what another SecretSync noted there is none of our business. */
export function liveRecord(observed: Observed): ContentRecord | undefined {
  const { target, metadata } = observed;
  if (!merges(observed) && target?.owner !== metadata.name) return undefined;
  return target?.records[recordAnnotation(observed)];
}

/** Somebody took fields from us, or the label by which we see the Secret. */
export const isEdited = (observed: Observed, before: ContentRecord): boolean =>
  observed.target !== undefined &&
  (!observed.target.managed || observed.target.owned[targetFieldManager(observed)] !== before.owned);

/** Nobody changed what we wrote, and it was written for this very SecretSync and digest key. */
export function isIntact(observed: Observed, record: ContentRecord): boolean {
  const { target, digestKey, metadata, spec } = observed;
  return (
    target !== undefined &&
    record.key === digestKey.id &&
    target.managed &&
    (merges(observed) || target.owner === metadata.name) &&
    record.owned === target.owned[targetFieldManager(observed)] &&
    target.ownerUids.includes(metadata.uid) === (spec.target.creationPolicy === "Owner")
  );
}
