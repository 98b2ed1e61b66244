import { annotation } from "../api/group.ts";
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
  /** The operator's own annotations, as they are. */
  readonly consumed: string | undefined;
  readonly restartedFor: string | undefined;
}

export interface WorkloadObject extends KubeObject {
  readonly spec?: {
    readonly template?: {
      readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> };
      readonly spec?: PodSpec;
    };
  };
}

/** The parts of https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/ that name Secrets. */
export interface PodSpec {
  readonly containers?: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly volumes?: readonly Volume[];
}
interface Container {
  readonly env?: readonly {
    readonly valueFrom?: { readonly secretKeyRef?: { readonly name?: string; readonly key?: string } };
  }[];
  readonly envFrom?: readonly { readonly secretRef?: { readonly name?: string } }[];
}
interface Items {
  readonly items?: readonly { readonly key: string }[];
}
interface Volume {
  readonly secret?: { readonly secretName?: string } & Items;
  readonly projected?: {
    readonly sources?: readonly { readonly secret?: { readonly name?: string } & Items }[];
  };
}

export function projectWorkload(kind: WorkloadKind, object: KubeObject): Workload {
  const { metadata, spec } = object as WorkloadObject;
  return {
    key: `${metadata.namespace}/${metadata.name}`,
    kind,
    name: metadata.name,
    namespace: metadata.namespace ?? "",
    uid: metadata.uid ?? "",
    resourceVersion: metadata.resourceVersion ?? "",
    deleting: metadata.deletionTimestamp !== undefined,
    consumes: consumptionOf(spec?.template?.spec ?? {}),
    consumed: metadata.annotations?.[annotation.consumed],
    restartedFor: spec?.template?.metadata?.annotations?.[annotation.restartedFor],
  };
}

export function consumptionOf({
  containers = [],
  initContainers = [],
  volumes = [],
}: PodSpec): Readonly<Record<string, ConsumedKeys>> {
  const found = new Map<string, Set<string> | "all">();
  const all = (name: string | undefined) => {
    if (name) found.set(name, "all");
  };
  const one = (name: string | undefined, key: string | undefined) => {
    if (!name || !key) return;
    const keys = found.get(name) ?? new Set();
    if (keys !== "all") found.set(name, keys.add(key));
  };
  const some = (name: string | undefined, { items }: Items) => {
    if (items) for (const { key } of items) one(name, key);
    else all(name);
  };
  for (const { env = [], envFrom = [] } of [...initContainers, ...containers]) {
    for (const { valueFrom } of env) one(valueFrom?.secretKeyRef?.name, valueFrom?.secretKeyRef?.key);
    for (const { secretRef } of envFrom) all(secretRef?.name);
  }
  for (const { secret, projected } of volumes) {
    if (secret) some(secret.secretName, secret);
    for (const source of projected?.sources ?? []) if (source.secret) some(source.secret.name, source.secret);
  }
  return Object.fromEntries(
    [...found].map(([name, keys]) => [name, keys === "all" ? keys : [...keys].sort()]),
  );
}
