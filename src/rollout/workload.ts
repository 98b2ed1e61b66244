import { annotation, RESTART_FIELD_MANAGER } from "../api/group.ts";
import { listOf, recordOf, textOf, weightOf } from "../api/loose.ts";
import type { WorkloadKind } from "../api/secret-sync.ts";
import type { KubeObject } from "../kube/kube-api.ts";
import { consumptionOf, MOST_SECRETS, type ConsumedKeys } from "./consumption.ts";

/** What the operator keeps of a Deployment, StatefulSet or DaemonSet. */
export interface Workload {
  /** namespace/name; each kind has a store of its own. */
  readonly key: string;
  readonly kind: WorkloadKind;
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly deleting: boolean;
  readonly consumes: Readonly<Record<string, ConsumedKeys>>;
  /** Of the Secrets that its pods can't start without: the keys that they can't start without. */
  readonly requires: Readonly<Record<string, readonly string[]>>;
  /** The Secrets that some container can be started without. */
  readonly optional: readonly string[];
  /** Its pods, as a label selector; undefined for one that the operator doesn't ask with. */
  readonly selector: string | undefined;
  /** False: its controller says that it has none. */
  readonly hasPods: boolean;
  /** Why pods of an earlier template stay, as long as some do. */
  readonly waitsFor: "OnDelete" | "Partition" | "Paused" | "Stuck" | undefined;
  /** Its controller replaces pods, and doesn't tell by itself when that doesn't go on. */
  readonly isRolling: boolean;
  /** The field manager that set anything in it last, beside the operator. Who only removes leaves no trace. */
  readonly changedBy: { readonly manager: string; readonly at: number } | undefined;
  /** It consumes more Secrets than are kept of it. */
  readonly isCut: boolean;
  /** The operator's own annotations, as they are; undefined for what it can't have written. */
  readonly consumed: string | undefined;
  readonly restartedFor: string | undefined;
  /** Nothing is kept of what it consumes: workloads of its namespace name too many Secrets. It is left alone. */
  readonly isOutline: boolean;
  /** Bytes, about, of the names that an outline does without; 0 with as few of them as usual. */
  readonly weight: number;
}

export interface WorkloadObject extends KubeObject {
  readonly spec?: {
    readonly template?: {
      readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> };
      readonly spec?: unknown;
    };
  };
}

/** Bytes of our own notes, and digests in one; a longer text is none of ours. */
const LONGEST_NOTE = 16 * 1024;
/** https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#uids */
const LONGEST_UID = 64;
const MOST_SLOTS = 2 * MOST_SECRETS;

export function projectWorkload(kind: WorkloadKind, object: KubeObject): Workload {
  const { metadata, spec } = object as WorkloadObject;
  const template = recordOf(recordOf(spec)["template"]);
  const { consumes, requires, optional, isCut } = consumptionOf(template["spec"]);
  const consumed = noteOf(recordOf(metadata.annotations)[annotation.consumed]);
  return {
    key: `${metadata.namespace}/${metadata.name}`,
    kind,
    name: metadata.name,
    namespace: metadata.namespace ?? "",
    uid: textOf(metadata.uid, LONGEST_UID) ?? "",
    resourceVersion: metadata.resourceVersion ?? "",
    deleting: typeof metadata.deletionTimestamp === "string",
    consumes,
    requires,
    optional,
    selector: selectorOf(recordOf(spec)["selector"]),
    hasPods: hasPods(object),
    ...progressOf(kind, object),
    changedBy: lastManager(metadata.managedFields),
    isCut,
    consumed,
    restartedFor: textOf(
      recordOf(recordOf(template["metadata"])["annotations"])[annotation.restartedFor],
      LONGEST_NOTE,
    ),
    isOutline: false,
    weight: weightBeyondUsual(consumes, requires, consumed),
  };
}

/** What is left of a workload when those of its namespace name too many Secrets. */
export const outlineOfWorkload = (workload: Workload): Workload => ({
  ...workload,
  consumes: {},
  requires: {},
  optional: [],
  consumed: undefined,
  restartedFor: undefined,
  isOutline: true,
  weight: 0,
});

/** Our note on a workload, if it can be one. */
function noteOf(value: unknown): string | undefined {
  const text = textOf(value, LONGEST_NOTE);
  return text === undefined || slotsOf(text) > MOST_SLOTS ? undefined : text;
}

/** Each name is also found by, which takes more than the name. */
const BYTES_OF_A_NAME = 400;
/** Some ten Secrets. */
const USUAL_BYTES = 5_120;

function weightBeyondUsual(
  consumes: Workload["consumes"],
  requires: Workload["requires"],
  consumed: string | undefined,
): number {
  const names = Object.keys(consumes).length + slotsOf(consumed);
  return Math.max(0, weightOf([consumes, requires, consumed]) + names * BYTES_OF_A_NAME - USUAL_BYTES);
}

const slotsOf = (text: string | undefined): number => (text?.split('":').length ?? 1) - 1;

/** Characters; a longer selector isn't kept, and its pods aren't asked for. */
const LONGEST_SELECTOR = 1_024;

/** https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors */
function selectorOf(selector: unknown): string | undefined {
  const { matchLabels, matchExpressions } = recordOf(selector);
  const equal = Object.entries(recordOf(matchLabels)).map(([name, value]) => `${name}=${String(value)}`);
  const set = listOf(matchExpressions).map((expression) => {
    const { key, operator, values } = recordOf(expression);
    const list = `(${listOf(values).map(String).join(",")})`;
    switch (operator) {
      case "In":
        return `${String(key)} in ${list}`;
      case "NotIn":
        return `${String(key)} notin ${list}`;
      case "Exists":
        return String(key);
      default:
        return `!${String(key)}`;
    }
  });
  const text = [...equal, ...set].join(",");
  return text === "" || text.length > LONGEST_SELECTOR ? undefined : text;
}

/**
 * Why the controller replaces no pods, or not all, until somebody acts.
 * https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#update-strategies
 */
function progressOf(kind: WorkloadKind, object: KubeObject): Pick<Workload, "waitsFor" | "isRolling"> {
  const { spec, status } = object as { spec?: unknown; status?: unknown };
  const { paused, updateStrategy } = recordOf(spec);
  const { type, rollingUpdate } = recordOf(updateStrategy);
  const partition = Number(recordOf(rollingUpdate)["partition"] ?? 0);
  const cause =
    kind === "Deployment"
      ? paused === true && "Paused"
      : (type === "OnDelete" && "OnDelete") || (kind === "StatefulSet" && partition > 0 && "Partition");
  const { observedGeneration, replicas, updatedReplicas, desiredNumberScheduled, updatedNumberScheduled } =
    recordOf(status);
  const [wanted, updated] =
    kind === "DaemonSet" ? [desiredNumberScheduled, updatedNumberScheduled] : [replicas, updatedReplicas];
  const isSeen = observedGeneration === object.metadata.generation;
  const isBehind = Number(updated ?? 0) < Number(wanted ?? 0);
  if (cause) return { waitsFor: isSeen && !isBehind ? undefined : cause, isRolling: false };
  return {
    waitsFor: isSeen && isStuck(status) ? "Stuck" : undefined,
    isRolling: kind !== "Deployment" && isSeen && isBehind,
  };
}

/** A count of pods that are wanted says so too: a Deployment's status may know its generation before it counts its first pods. */
function hasPods(object: KubeObject): boolean {
  const { spec, status } = object as { spec?: unknown; status?: unknown };
  const { observedGeneration, replicas, ...ofDaemonSet } = recordOf(status);
  const isSeen = observedGeneration !== undefined && observedGeneration === object.metadata.generation;
  const { desiredNumberScheduled, currentNumberScheduled, numberMisscheduled } = ofDaemonSet;
  const scheduled = [desiredNumberScheduled, currentNumberScheduled, numberMisscheduled];
  const counts = [recordOf(spec)["replicas"], replicas, ...scheduled];
  return !isSeen || counts.some((count) => Number(count ?? 0) > 0);
}

/** https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#failed-deployment */
const isStuck = (status: unknown): boolean =>
  listOf(recordOf(status)["conditions"])
    .map(recordOf)
    .some(({ type, reason }) => type === "Progressing" && reason === "ProgressDeadlineExceeded");

/** Who changed anything but the status last. */
function lastManager(managedFields: unknown): Workload["changedBy"] {
  let latest: { readonly manager: string; readonly at: number } | undefined;
  for (const entry of listOf(managedFields).slice(0, MOST_MANAGERS)) {
    const { manager, time, subresource } = recordOf(entry);
    const name = textOf(manager, 128);
    const at = Date.parse(textOf(time, 32) ?? "");
    if (name === undefined || Number.isNaN(at) || subresource !== undefined) continue;
    if (name === RESTART_FIELD_MANAGER || (latest && at < latest.at)) continue;
    latest = { manager: name, at };
  }
  return latest;
}

const MOST_MANAGERS = 64;
