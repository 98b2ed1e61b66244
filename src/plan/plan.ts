import { annotation, API_VERSION, FIELD_MANAGER, label, mergeFieldManager } from "../api/group.ts";
import { reasons, type Failure, type Reason } from "../api/reasons.ts";
import { parseDuration } from "../api/duration.ts";
import type { OwnerReference } from "../kube/kube-api.ts";
import type { SecretValue } from "../providers/secret-value.ts";
import { buildContent, type Content } from "./content.ts";
import {
  ALL_KEYS,
  digestContent,
  formatRecord,
  MOST_KEYS_IN_CHANGE,
  type Change,
  type ContentRecord,
  type KeyDigests,
} from "./digest.ts";
import { expectedOwnership, type LiveTarget } from "./live-target.ts";
import { merges, recordAnnotation, targetFieldManager, targetName, type Observed } from "./observed.ts";
import { keyConflict, ownershipProblem } from "./ownership.ts";
import { contentFingerprint, versionsOf, type FetchedValues, type SourceVersions } from "./sources.ts";
import { triggerOf } from "./trigger.ts";

/** The core: what is known in, what to do out. No clock, no I/O. */

export type Step =
  | {
      readonly kind: "applySecret";
      readonly fieldManager: string;
      readonly name: string;
      readonly namespace: string;
      /** The apiserver refuses the write when the Secret is another one by then. */
      readonly uid?: string;
      /** The apiserver refuses the write when there is a Secret of that name. */
      readonly createOnly?: true;
      readonly type?: string;
      readonly immutable?: boolean;
      readonly labels: Readonly<Record<string, string>>;
      readonly annotations: Readonly<Record<string, string>>;
      readonly ownerReferences: readonly OwnerReference[];
      readonly data: ReadonlyMap<string, SecretValue>;
    }
  /** Gives up all fields that the manager owns and nobody shares. */
  | {
      readonly kind: "releaseSecret";
      readonly fieldManager: string;
      readonly name: string;
      readonly namespace: string;
      readonly uid: string;
    }
  | {
      readonly kind: "deleteSecret";
      readonly name: string;
      readonly namespace: string;
      readonly uid: string;
      /** The apiserver refuses when the Secret has changed since: somebody else may have taken it over. */
      readonly resourceVersion: string;
    };

export interface Verdict {
  readonly reason: Reason;
  readonly message: string;
  readonly retryAfterMs?: number | undefined;
}

export interface Plan {
  readonly steps: readonly Step[];
  readonly verdict: Verdict;
  /** What happened to the content; undefined when it stays. */
  readonly change?: Change | { readonly kind: "deleted" } | undefined;
  /** The record of the content that the Secret holds after the steps, for restarts. */
  readonly record?: ContentRecord | undefined;
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
  return { steps: cleanUp(observed), verdict: synced(observed), record: liveRecord(observed) };
}

/** No fetch gave an answer, for a reason that concerns the whole object. */
export const planFailure = (observed: Observed, failure: Failure): Plan => failed(observed, failure);

/** `content` may be given, so that a caller can let others have a turn between the two when there is very much of it. */
export function plan(
  observed: Observed,
  fetched: FetchedValues,
  content: Content = buildContent(observed.spec, fetched),
): Plan {
  switch (content.kind) {
    case "failure":
      return failed(observed, content.failure, content.retryAfterMs);
    case "gone":
      return planDeletion(observed, content.failure);
    case "data":
      return planWrite(observed, fetched, content.data);
  }
}

function planWrite(observed: Observed, fetched: FetchedValues, data: ReadonlyMap<string, SecretValue>): Plan {
  const versions = versionsOf(fetched);
  if (versions && isUnchanged(observed, versions)) return planUnchanged(observed);
  const conflict = keyConflict(observed, data.keys());
  if (conflict) return failed(observed, conflict);

  const { spec, metadata, target, digestKey } = observed;
  const before = liveRecord(observed);
  const digests = digestContent(digestKey, data);
  // Digests under another key can't be compared; that the key changed is no change of the content.
  const keys = before && before.key !== digestKey.id ? [] : changedKeys(before?.digests ?? {}, digests);
  const withheld = withheldKeys(before?.digests ?? {}, data, fetched);
  if (withheld) return failed(observed, withheld);

  const change = changeOf(observed, before, keys);
  const labels = { ...spec.target.template?.metadata?.labels, [label.managed]: "true" };
  const annotations = {
    ...spec.target.template?.metadata?.annotations,
    ...(merges(observed) ? {} : { [annotation.owner]: metadata.name }),
    [recordAnnotation(observed)]: "",
  };
  const record: ContentRecord = {
    key: digestKey.id,
    version: contentFingerprint(spec, versions ?? new Map()),
    owned: expectedOwnership(data.keys(), Object.keys(labels), Object.keys(annotations)),
    digests,
    change: change ?? before?.change,
  };
  const step: Step = {
    kind: "applySecret",
    fieldManager: targetFieldManager(observed),
    name: targetName(observed),
    namespace: metadata.namespace,
    ...(target ? { uid: target.uid } : {}),
    ...(observed.targetUnseen ? { createOnly: true } : {}),
    ...(merges(observed) ? {} : { type: spec.target.type ?? "Opaque" }),
    ...(spec.target.immutable ? { immutable: true } : {}),
    labels,
    annotations: { ...annotations, [recordAnnotation(observed)]: formatRecord(record) },
    ownerReferences: spec.target.creationPolicy === "Owner" ? [ownerReference(observed)] : [],
    data,
  };
  return {
    steps: [step, ...cleanUp(observed)],
    verdict: synced(observed),
    change,
    record,
  };
}

function changeOf(
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

function planDeletion(observed: Observed, failure: Failure): Plan {
  const { target, metadata, status } = observed;
  const ours = target?.owner === metadata.name ? target : undefined;
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

/** A Secret under the name that an earlier spec gave it goes, once the new one is written. */
function cleanUp(observed: Observed): readonly Step[] {
  const { abandoned, metadata } = observed;
  const merged = mergeFieldManager(metadata.uid);
  const steps: Step[] = leftManagers(observed).map((manager) => releaseOf(observed.target, manager));
  if (abandoned && merged in abandoned.owned) steps.push(releaseOf(abandoned, merged));
  if (abandoned?.owner === metadata.name && abandoned.ownerUids.includes(metadata.uid))
    steps.push(deletionOf(abandoned));
  return steps;
}

/**
 * Managers on the target that write it no more: of this SecretSync from before its creationPolicy changed, and of
 * SecretSyncs that are gone. What they still own nobody would ever change or remove, an owner reference among it.
 */
function leftManagers(observed: Observed): readonly string[] {
  const { target, metadata, otherManagers } = observed;
  if (!target) return [];
  const ours = targetFieldManager(observed);
  const isLeft = (manager: string) =>
    manager.startsWith(mergeFieldManager("")) ||
    (manager === FIELD_MANAGER && target.owner === metadata.name);
  return Object.keys(target.owned).filter(
    (manager) => manager !== ours && !otherManagers.includes(manager) && isLeft(manager),
  );
}

const releaseOf = (secret: LiveTarget | undefined, fieldManager: string): Step => ({
  kind: "releaseSecret",
  fieldManager,
  name: secret?.name ?? "",
  namespace: secret?.namespace ?? "",
  uid: secret?.uid ?? "",
});

const deletionOf = ({ name, namespace, uid, resourceVersion }: LiveTarget): Step => ({
  kind: "deleteSecret",
  name,
  namespace,
  uid,
  resourceVersion,
});

/** A find that may no longer see all that it matches must not remove keys: the secrets are there as before. */
function withheldKeys(
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

const failed = (observed: Observed, failure: Failure, retryAfterMs?: number): Plan => ({
  steps: [],
  verdict: { ...failure, retryAfterMs },
  // What pods consume is still what was written last.
  record: liveRecord(observed),
});

export const immutableProblem = (name: string): Failure => ({
  reason: "TargetImmutable",
  message: `spec.target: Secret ${name} can't be changed, because it is immutable or has another type; delete it to have it written anew`,
});

const synced = (observed: Observed): Verdict => ({
  reason: "Synced",
  message: `Secret ${targetName(observed)} is up to date`,
});

/** Our notes on the target's content; what another SecretSync noted there is none of our business. */
function liveRecord(observed: Observed): ContentRecord | undefined {
  const { target, metadata } = observed;
  if (!merges(observed) && target?.owner !== metadata.name) return undefined;
  return target?.records[recordAnnotation(observed)];
}

/** Nobody changed what we wrote, and it was written for this very SecretSync and digest key. */
function isIntact(observed: Observed, record: ContentRecord): boolean {
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

function changedKeys(before: KeyDigests, after: KeyDigests): readonly string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names]
    .filter((name) => before[name] !== after[name])
    .sort()
    .map((name) => (name === ALL_KEYS ? "(many)" : name));
}

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

/** Milliseconds between periodic refreshes, a second at least; undefined for none. */
export const refreshMs = ({ spec }: Pick<Observed, "spec">): number | undefined => {
  const milliseconds = parseDuration(spec.refreshInterval);
  return milliseconds ? Math.max(1_000, milliseconds) : undefined;
};
