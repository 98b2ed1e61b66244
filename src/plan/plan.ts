import { annotation, API_VERSION, label } from "../api/group.ts";
import { reasons, type Failure, type Reason } from "../api/reasons.ts";
import { parseDuration } from "../api/duration.ts";
import type { OwnerReference } from "../kube/kube-api.ts";
import type { SecretValue } from "../providers/secret-value.ts";
import { changedKeys, changeOf, removedKeys } from "./change.ts";
import { cleanUp, deletionOf, leftKeys } from "./clean-up.ts";
import { noteSteps, restartSteps } from "./consumers.ts";
import { buildContent, type Content } from "./content.ts";
import {
  digestContent,
  formatRecord,
  MOST_SINGLE_DIGESTS,
  mostFound,
  originDigest,
  type Change,
  type ContentRecord,
  type KeyDigests,
} from "./digest.ts";
import { adoptedRecord } from "./live-content.ts";
import { isIntact, liveRecord } from "./live-record.ts";
import { expectedOwnership } from "./live-target.ts";
import { merges, recordAnnotation, targetFieldManager, targetName, type Observed } from "./observed.ts";
import { keyConflict, ownershipProblem } from "./ownership.ts";
import { contentFingerprint, versionsOf, type FetchedValues, type SourceVersions } from "./sources.ts";
import { lostKeys, neverSeen, seenEntries } from "./seen.ts";
import type { Step } from "./step.ts";

/** The core: what is known in, what to do out. No clock, no I/O. */

export interface Verdict {
  readonly reason: Reason;
  readonly message: string;
  readonly retryAfterMs?: number | undefined;
  /** Keys that stay as they were although everything else is up to date. */
  readonly withheld?: readonly string[];
}

export interface Plan {
  readonly steps: readonly Step[];
  readonly verdict: Verdict;
  /** What happened to the content; undefined when it stays. */
  readonly change?: Change | { readonly kind: "deleted" } | undefined;
  /** The record of the content that the Secret holds after the steps, for status and polling. */
  readonly record?: ContentRecord | undefined;
  /** By all marks the Secret holds this content already; it is written to be sure. */
  readonly isCheck?: boolean;
}

/** What must be known before the plan can be made. */
export type Need =
  | { readonly kind: "nothing"; readonly plan: Plan }
  /** Values at once: there is nothing yet, or it was changed by somebody, or the spec is new. */
  | { readonly kind: "values" }
  /** Versions are enough as long as they are the same. */
  | { readonly kind: "versions" };

export function needs(observed: Observed): Need {
  if (observed.spec.suspend) {
    const verdict = {
      reason: "Suspended",
      message: "spec.suspend is true; set it to false to go on",
    } as const;
    return { kind: "nothing", plan: { steps: [], verdict, record: liveRecord(observed) } };
  }
  const problem = ownershipProblem(observed);
  if (problem) return { kind: "nothing", plan: failed(observed, problem) };
  const record = liveRecord(observed);
  if (!record || !isIntact(observed, record)) return { kind: "values" };
  return { kind: "versions" };
}

/** Whether the Secret holds what these versions would give: then nothing is fetched and nothing is written. */
export function isUnchanged(observed: Observed, versions: SourceVersions): boolean {
  const record = liveRecord(observed);
  return (
    record !== undefined &&
    isIntact(observed, record) &&
    versions.size === observed.sources.length &&
    record.version === contentFingerprint(observed.spec, versions)
  );
}

export function planUnchanged(observed: Observed): Plan {
  const record = liveRecord(observed);
  return {
    steps: [...restartSteps(observed, record), ...cleanUp(observed)],
    verdict: synced(observed),
    record,
  };
}

/** No fetch gave an answer, for a reason that concerns the whole object. */
export const planFailure = (observed: Observed, failure: Failure): Plan => failed(observed, failure);

/**
 * `content` may be given, so that a caller can let others have a turn between the two when there is very much of it.
 * `withheld`: values that the live Secret holds and that must stay, see withheldKeys().
 */
export function plan(
  observed: Observed,
  fetched: FetchedValues,
  content: Content = buildContent(observed.spec, fetched),
  withheld: ReadonlyMap<string, SecretValue> = new Map(),
): Plan {
  if (content.kind !== "data" && withheld.size > 0)
    return failed(observed, accessTaken([...withheld.keys()]));
  switch (content.kind) {
    case "failure":
      return failed(observed, content.failure, content.retryAfterMs);
    case "gone":
      return planDeletion(observed, content);
    case "data":
      return planWrite(observed, fetched, content, withheld);
  }
}

function planWrite(
  observed: Observed,
  fetched: FetchedValues,
  content: Content & { kind: "data" },
  withheld: ReadonlyMap<string, SecretValue>,
): Plan {
  const versions = versionsOf(fetched);
  // Whoever writes under our name leaves no trace; where values were read anyway they are written: the same ones are no write.
  const isCheck = versions !== undefined && withheld.size === 0 && isUnchanged(observed, versions);
  if (isCheck && !observed.verify) return planUnchanged(observed);
  const data = withheld.size === 0 ? content.data : new Map([...content.data, ...withheld]);
  const conflict = keyConflict(observed, data.keys()) ?? mergeProblem(observed, data.size);
  if (conflict) return failed(observed, conflict);

  const { spec, metadata, target, digestKey } = observed;
  const before = liveRecord(observed);
  // A key that was never right is no deletion.
  if (content.emptied && !before && data.size === 0) return failed(observed, content.emptied);
  const mistake = neverSeen(before, content.entries, lostKeys(before, data));
  if (mistake) return failed(observed, mistake);
  const digests = digestContent(digestKey, data);
  // What is withheld is looked at each time.
  const version = withheld.size > 0 ? "withheld" : contentFingerprint(spec, versions ?? new Map());
  const adopted = before ? undefined : adoptedRecord(observed);
  const old = before ?? adopted;
  const keys = changedKeysOf(observed, old, digests, version);
  const change = changeOf(observed, before, keys, removedKeys(old?.digests ?? {}, digests));
  const labels = { ...spec.target.template?.metadata?.labels, [label.managed]: "true" };
  const annotations = {
    ...spec.target.template?.metadata?.annotations,
    ...(merges(observed) ? {} : { [annotation.owner]: metadata.name }),
    [recordAnnotation(observed)]: "",
  };
  const found = [...content.origins].map(([key, name]) => originDigest(digestKey, key, name));
  const record: ContentRecord = {
    key: digestKey.id,
    version,
    owned: expectedOwnership(data.keys(), Object.keys(labels), Object.keys(annotations)),
    digests,
    found:
      withheld.size > 0
        ? [...new Set([...found, ...(before?.found ?? [])])].slice(0, mostFound(digests))
        : found,
    seen: seenEntries(before, content.entries),
    change: change ?? before?.change,
  };
  const step: Step = {
    kind: "applySecret",
    fieldManager: targetFieldManager(observed),
    // Of a Secret that is somebody else's, only what we added before may be taken back.
    ...(merges(observed) ? { ownKeys: [...Object.keys(before?.digests ?? {}), ...leftKeys(observed)] } : {}),
    name: targetName(observed),
    namespace: metadata.namespace,
    ...(target ? { uid: target.uid, seen: target.resourceVersion } : {}),
    ...(observed.targetUnseen ? { createOnly: true } : {}),
    ...(merges(observed) ? {} : { type: spec.target.type ?? "Opaque" }),
    ...(spec.target.immutable ? { immutable: true } : {}),
    labels,
    annotations: { ...annotations, [recordAnnotation(observed)]: formatRecord(record) },
    ownerReferences: spec.target.creationPolicy === "Owner" ? [ownerReference(observed)] : [],
    data,
  };
  return {
    steps: [
      ...noteSteps(observed, change !== undefined, adopted),
      step,
      ...restartSteps(observed, record),
      ...cleanUp(observed),
    ],
    verdict: withheld.size > 0 ? accessTaken([...withheld.keys()]) : synced(observed),
    change,
    record,
    isCheck,
  };
}

/** Digests under another key can't be compared, but spec and versions can: that the key changed is no change of the content. */
function changedKeysOf(
  { digestKey }: Observed,
  before: ContentRecord | undefined,
  digests: KeyDigests,
  version: string,
): readonly string[] {
  const isSame = before !== undefined && before.key !== digestKey.id && before.version === version;
  return isSame && version !== "withheld" ? [] : changedKeys(before?.digests ?? {}, digests);
}

const mergeProblem = (observed: Observed, keys: number): Failure | undefined =>
  merges(observed) && keys > MOST_SINGLE_DIGESTS
    ? {
        reason: "TooLarge",
        message: `spec: creationPolicy Merge adds ${keys} keys to Secret ${targetName(observed)}, and may add ${MOST_SINGLE_DIGESTS}; use creationPolicy Owner`,
      }
    : undefined;

const accessTaken = (keys: readonly string[]): Failure & { withheld: readonly string[] } => ({
  reason: "KeyNotAllowed",
  message: `spec.dataFrom: this namespace may no longer read what ${someOf(keys)} came from, so that stays as it is; add it to the provider's spec.access, or narrow the find`,
  withheld: keys,
});

const someOf = (keys: readonly string[]): string => {
  const names = [...keys].sort().map((key) => JSON.stringify(key));
  return `key ${names.length > 5 ? `${names.slice(0, 5).join(", ")} and others` : names.join(", ")}`;
};

function planDeletion(observed: Observed, { failure, entries }: Content & { kind: "gone" }): Plan {
  const { target, metadata, status } = observed;
  const mistake = neverSeen(liveRecord(observed), entries, "all");
  if (mistake) return failed(observed, mistake);
  const isOwned = target?.owner === metadata.name;
  // What an earlier SecretSync of this name left behind isn't ours to delete.
  const wasWritten =
    isOwned && (target.ownerUids.includes(metadata.uid) || status.secretRef?.name === target.name);
  const ours = wasWritten ? target : undefined;
  // A key that was never right is no deletion.
  const wasDeleted = status.conditions?.some(({ type, reason }) => type === "Ready" && reason === "Deleted");
  if (!ours && !wasDeleted && status.secretRef === undefined) return failed(observed, failure);
  const verdict: Verdict = {
    reason: "Deleted",
    message:
      "every source is gone from the provider, so the Secret was deleted as deletionPolicy Delete says",
  };
  if (!ours) return { steps: [], verdict };
  return {
    steps: [deletionOf(ours)],
    verdict,
    change: { kind: "deleted" },
  };
}

/** What pods consume is still what was written last. */
function failed(observed: Observed, failure: Failure, retryAfterMs?: number): Plan {
  const record = liveRecord(observed);
  return { steps: restartSteps(observed, record), verdict: { ...failure, retryAfterMs }, record };
}

const synced = (observed: Observed): Verdict => ({
  reason: "Synced",
  message: `Secret ${targetName(observed)} is up to date`,
});

const ownerReference = ({ metadata }: Observed): OwnerReference => ({
  apiVersion: API_VERSION,
  kind: "SecretSync",
  name: metadata.name,
  uid: metadata.uid,
  controller: true,
  blockOwnerDeletion: false,
});

/** Whether trying again soon is of use. */
export const isStalled = (reason: Reason): boolean => reasons[reason].stalled;

/** Milliseconds between periodic refreshes, a second at least and what the admin allows; undefined for none. */
export const refreshMs = ({
  spec,
  leastRefreshMs,
}: Pick<Observed, "spec" | "leastRefreshMs">): number | undefined => {
  const milliseconds = parseDuration(spec.refreshInterval);
  return milliseconds ? Math.max(1_000, leastRefreshMs, milliseconds) : undefined;
};
