import { annotation } from "../api/group.ts";
import { listOf, recordOf, textOf, weightOf } from "../api/loose.ts";
import type { WorkloadKind } from "../api/secret-sync.ts";
import type { KubeObject } from "../kube/kube-api.ts";

/** Which Secrets, and which of their keys, the pods of a workload consume. */

export type ConsumedKeys = readonly string[] | "all";

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

/** Secrets that a workload may consume; who consumes more is not restarted for the rest. */
export const MOST_SECRETS = 64;
/** Bytes of names of keys; beyond, every key of a Secret counts. */
const MOST_BYTES_OF_KEYS = 16 * 1024;
/** Bytes of our own notes, and digests in one; a longer text is none of ours. */
const LONGEST_NOTE = 16 * 1024;
const MOST_SLOTS = 2 * MOST_SECRETS;

export function projectWorkload(kind: WorkloadKind, object: KubeObject): Workload {
  const { metadata, spec } = object as WorkloadObject;
  const template = recordOf(recordOf(spec)["template"]);
  const { consumes, isCut } = consumptionOf(template["spec"]);
  const consumed = noteOf(recordOf(metadata.annotations)[annotation.consumed]);
  return {
    key: `${metadata.namespace}/${metadata.name}`,
    kind,
    name: metadata.name,
    namespace: metadata.namespace ?? "",
    uid: metadata.uid ?? "",
    resourceVersion: metadata.resourceVersion ?? "",
    deleting: typeof metadata.deletionTimestamp === "string",
    consumes,
    isCut,
    consumed,
    restartedFor: textOf(
      recordOf(recordOf(template["metadata"])["annotations"])[annotation.restartedFor],
      LONGEST_NOTE,
    ),
    isOutline: false,
    weight: weightBeyondUsual(consumes, consumed),
  };
}

/** What is left of a workload when those of its namespace name too many Secrets. */
export const outlineOfWorkload = (workload: Workload): Workload => ({
  ...workload,
  consumes: {},
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
const USUAL_BYTES = 4_096;

function weightBeyondUsual(consumes: Workload["consumes"], consumed: string | undefined): number {
  const names = Object.keys(consumes).length + slotsOf(consumed);
  return Math.max(0, weightOf([consumes, consumed]) + names * BYTES_OF_A_NAME - USUAL_BYTES);
}

const slotsOf = (text: string | undefined): number => (text?.split('":').length ?? 1) - 1;

/**
 * The parts of a pod's spec that name Secrets:
 * https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
 */
export function consumptionOf(podSpec: unknown): {
  readonly consumes: Readonly<Record<string, ConsumedKeys>>;
  readonly isCut: boolean;
} {
  const consumption = new Consumption();
  const { containers, initContainers, volumes } = recordOf(podSpec);
  for (const container of [...listOf(initContainers), ...listOf(containers)]) {
    const { env, envFrom } = recordOf(container);
    for (const variable of listOf(env)) {
      const { name, key } = recordOf(recordOf(recordOf(variable)["valueFrom"])["secretKeyRef"]);
      consumption.one(name, key);
    }
    for (const source of listOf(envFrom)) consumption.all(recordOf(recordOf(source)["secretRef"])["name"]);
  }
  for (const volume of listOf(volumes)) {
    const { secret, projected } = recordOf(volume);
    consumption.some(recordOf(secret)["secretName"], recordOf(secret)["items"]);
    for (const source of listOf(recordOf(projected)["sources"])) {
      const { name, items } = recordOf(recordOf(source)["secret"]);
      consumption.some(name, items);
    }
  }
  return consumption;
}

class Consumption {
  readonly #found = new Map<string, Set<string> | "all">();
  #bytes = 0;
  isCut = false;

  all(name: unknown): void {
    if (this.#isTaken(name)) this.#found.set(name, "all");
  }

  one(name: unknown, key: unknown): void {
    if (typeof key !== "string" || !this.#isTaken(name)) return;
    const keys = this.#found.get(name) ?? new Set();
    if (keys === "all") return;
    if (!keys.has(key)) this.#bytes += key.length;
    this.#found.set(name, this.#bytes > MOST_BYTES_OF_KEYS ? "all" : keys.add(key));
  }

  /** `items`: absent for all. */
  some(name: unknown, items: unknown): void {
    if (Array.isArray(items)) for (const item of items) this.one(name, recordOf(item)["key"]);
    else this.all(name);
  }

  get consumes(): Readonly<Record<string, ConsumedKeys>> {
    return Object.fromEntries(
      [...this.#found].map(([name, keys]) => [name, keys === "all" ? keys : [...keys].sort()]),
    );
  }

  #isTaken(name: unknown): name is string {
    if (typeof name !== "string" || name === "" || name.length > 253) return false;
    if (this.#found.has(name) || this.#found.size < MOST_SECRETS) return true;
    this.isCut = true;
    return false;
  }
}
