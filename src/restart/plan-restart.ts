import type { SecretSyncSpec } from "../api/secret-sync.ts";
import {
  ALL_KEYS,
  digestOfKeys,
  fingerprint,
  type Change,
  type ContentRecord,
  type DigestKey,
} from "../plan/digest.ts";
import type { ConsumedKeys, Workload } from "./consumption.ts";

/**
 * Whether a workload's pods run with what the Secret holds now. Level-triggered: the workload carries the digest of
 * the keys that its pods were started with, and the same write that starts new pods records the new digest. So a
 * crash anywhere neither forgets a restart nor does one twice.
 *
 *   no digest recorded          → record it (first adoption never restarts)
 *   other keys are consumed now → record it (the template changed, so the pods are new anyway)
 *   another digest key          → record it (the operator's own doing)
 *   another digest              → restart and record it, in one write, with the time of the change that it is for
 */
export interface WorkloadWrite {
  readonly workload: Workload;
  readonly restart: boolean;
  /** New values of the operator's annotations. */
  readonly consumed: string;
  readonly restartedFor: string | undefined;
}

/** What of a Secret a SecretSync answers for. */
export interface Part {
  readonly secretName: string;
  /** The SecretSync's uid where several merge keys into one Secret: each then answers for its own keys alone. */
  readonly mergedBy?: string | undefined;
}

export function planRestart(
  workload: Workload,
  part: Part,
  policy: SecretSyncSpec["restart"],
  record: ContentRecord,
  digestKey: DigestKey,
): WorkloadWrite | undefined {
  if (workload.deleting) return undefined;
  const recorded = parseConsumed(workload.consumed);
  const slot = slotOf(part);
  const before = Object.hasOwn(recorded, slot) ? recorded[slot]?.split("@")[0] : undefined;
  const keys = coveredKeys(workload, part.secretName, policy);
  if (!keys || (before === undefined && !concerns(part, keys, record))) {
    if (before === undefined) return undefined;
    const { [slot]: _dropped, ...rest } = recorded;
    return { workload, restart: false, consumed: formatConsumed(rest), restartedFor: workload.restartedFor };
  }
  if (record.key !== digestKey.id) return undefined;
  const scope = `${record.key}.${fingerprint(keys).slice(0, 8)}`;
  const now = `${scope}.${digestOfKeys(digestKey, record.digests, keys)}`;
  if (before === now) return undefined;
  const restart = before !== undefined && before.startsWith(`${scope}.`);
  const mark = restart && record.change ? `@${record.change.at}` : "";
  const consumed = formatConsumed({ ...recorded, [slot]: `${now}${mark}` });
  return {
    workload,
    restart,
    consumed,
    restartedFor: restart ? fingerprint(consumed) : workload.restartedFor,
  };
}

/** Whether the workload was restarted for that change. */
export function wasRestartedFor(workload: Workload, part: Part, change: Change | undefined): boolean {
  const recorded = parseConsumed(workload.consumed);
  const slot = slotOf(part);
  return change !== undefined && Object.hasOwn(recorded, slot) && recorded[slot]?.split("@")[1] === change.at;
}

const slotOf = ({ secretName, mergedBy }: Part): string =>
  mergedBy === undefined ? secretName : `${secretName}/${mergedBy}`;

/**
 * Whether a SecretSync that only merges keys writes any that the workload consumes. Once it has, it answers for all of them,
 * the others counting as absent: so a key that it gains or loses is a change, too.
 */
function concerns({ mergedBy }: Part, keys: ConsumedKeys, { digests }: ContentRecord): boolean {
  if (mergedBy === undefined || keys === "all" || Object.hasOwn(digests, ALL_KEYS)) return true;
  return keys.some((key) => Object.hasOwn(digests, key));
}

/** Whether a digest of the Secret is recorded on the workload. */
export const isAdopted = (workload: Workload, part: Part): boolean =>
  Object.hasOwn(parseConsumed(workload.consumed), slotOf(part));

/** The keys whose change restarts the workload; undefined when the policy leaves it alone. */
function coveredKeys(
  workload: Workload,
  secretName: string,
  policy: SecretSyncSpec["restart"],
): ConsumedKeys | undefined {
  const consumed = Object.hasOwn(workload.consumes, secretName) ? workload.consumes[secretName] : undefined;
  switch (policy.policy) {
    case "Auto":
      return consumed;
    case "None":
      return undefined;
    case "Listed": {
      const listed = policy.targets?.some(
        ({ kind, name }) => kind === workload.kind && name === workload.name,
      );
      // A listed workload may read the Secret in a way that its pod template doesn't show.
      return listed ? (consumed ?? "all") : undefined;
    }
  }
}

type Consumed = Readonly<Record<string, string>>;

/** Names of the Secrets that the workload has digests for. */
export const recordedSecrets = (workload: Workload): readonly string[] =>
  Object.keys(parseConsumed(workload.consumed)).map((slot) => slot.split("/")[0] ?? "");

function parseConsumed(text: string | undefined): Consumed {
  try {
    const parsed = JSON.parse(text ?? "{}") as unknown;
    if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) return {};
    return Object.fromEntries(
      Object.entries(parsed).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
    );
  } catch {
    // Somebody wrote something else there: adopt the workload anew.
    return {};
  }
}

const formatConsumed = (consumed: Consumed): string =>
  JSON.stringify(Object.fromEntries(Object.entries(consumed).sort(([a], [b]) => (a < b ? -1 : 1))));
