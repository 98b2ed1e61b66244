import type { SecretSyncStatus } from "../api/secret-sync-status.ts";
import { workloadKinds, type WorkloadKind } from "../api/secret-sync.ts";
import type { KubeObject, ObjectMeta } from "../kube/kube-api.ts";
import type { LiveTarget } from "../plan/live-target.ts";
import { recordedSecrets } from "../restart/plan-restart.ts";
import type { Workload } from "../restart/consumption.ts";
import { Index, Store, type Stored } from "../runtime/store.ts";

/** The cluster as the operator keeps it: each kind cut down to what decisions need. */

/** An object of ours: spec as it was stored, checked when it is used. */
export interface OwnObject extends Stored {
  readonly metadata: ObjectMeta;
  readonly spec: unknown;
  readonly status: SecretSyncStatus;
}

export interface NamespaceView extends Stored {
  readonly labels: Readonly<Record<string, string>>;
}

export interface Views {
  readonly syncs: Store<OwnObject>;
  readonly providers: Store<OwnObject>;
  readonly clusterProviders: Store<OwnObject>;
  readonly secrets: Store<LiveTarget>;
  readonly namespaces: Store<NamespaceView>;
  readonly workloads: Readonly<Record<WorkloadKind, Store<Workload>>>;
  /** SecretSyncs by namespace/name of the Secret that they write or wrote. */
  readonly syncsByTarget: Index<OwnObject>;
  /** SecretSyncs by the provider that they read, as providerKey() names it. */
  readonly syncsByProvider: Index<OwnObject>;
  /** Workloads by namespace/name of a Secret that they consume or were restarted for. */
  readonly workloadsBySecret: Readonly<Record<WorkloadKind, Index<Workload>>>;
}

export function newViews(): Views {
  const syncs = new Store<OwnObject>();
  const workloads = {
    Deployment: new Store<Workload>(),
    StatefulSet: new Store<Workload>(),
    DaemonSet: new Store<Workload>(),
  };
  const index = (kind: WorkloadKind) =>
    new Index(workloads[kind], (workload) =>
      secretsOf(workload).map((name) => `${workload.namespace}/${name}`),
    );
  return {
    syncs,
    providers: new Store(),
    clusterProviders: new Store(),
    secrets: new Store(),
    namespaces: new Store(),
    workloads,
    syncsByTarget: new Index(syncs, targetsOf),
    syncsByProvider: new Index(syncs, providersOf),
    workloadsBySecret: {
      Deployment: index("Deployment"),
      StatefulSet: index("StatefulSet"),
      DaemonSet: index("DaemonSet"),
    },
  };
}

export function projectOwn({ metadata, ...rest }: KubeObject): OwnObject {
  const { managedFields: _dropped, ...kept } = metadata;
  const { spec, status } = rest as { spec?: unknown; status?: SecretSyncStatus };
  return {
    key: metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`,
    uid: metadata.uid ?? "",
    resourceVersion: metadata.resourceVersion ?? "",
    metadata: kept,
    spec,
    status: status ?? {},
  };
}

export const projectNamespace = ({ metadata }: KubeObject): NamespaceView => ({
  key: metadata.name,
  uid: metadata.uid ?? "",
  resourceVersion: metadata.resourceVersion ?? "",
  labels: metadata.labels ?? {},
});

export const providerKey = (kind: string, namespace: string, name: string): string =>
  kind === "ClusterSecretProvider" ? `cluster/${name}` : `${namespace}/${name}`;

/** Workloads that consume the Secret, or carry a digest of it. */
export function workloadsOf(views: Views, namespace: string, secretName: string): readonly Workload[] {
  return workloadKinds.flatMap((kind) =>
    views.workloadsBySecret[kind]
      .get(`${namespace}/${secretName}`)
      .map((key) => views.workloads[kind].get(key))
      .filter((workload) => workload !== undefined),
  );
}

export const secretsOf = (workload: Workload): readonly string[] => [
  ...new Set([...Object.keys(workload.consumes), ...recordedSecrets(workload)]),
];

/** Specs are not checked yet here, so nothing about their shape is certain. */
function targetsOf({ metadata, spec, status }: OwnObject): readonly string[] {
  const named = (spec as { target?: { name?: unknown } } | undefined)?.target?.name;
  const current = typeof named === "string" ? named : metadata.name;
  return [...new Set([current, status.secretRef?.name ?? current])].map(
    (name) => `${metadata.namespace}/${name}`,
  );
}

function providersOf({ metadata, spec }: OwnObject): readonly string[] {
  const { providerRef, data, dataFrom } = (spec ?? {}) as Record<string, unknown>;
  const entries = [data, dataFrom].flatMap((list) => (Array.isArray(list) ? (list as unknown[]) : []));
  const refs = [
    providerRef,
    ...entries.map((entry) => (entry as { providerRef?: unknown } | null)?.providerRef),
  ];
  const keys = refs.flatMap((ref) => {
    const { kind = "SecretProvider", name } = (ref ?? {}) as { kind?: unknown; name?: unknown };
    return typeof name === "string" ? [providerKey(String(kind), metadata.namespace ?? "", name)] : [];
  });
  return [...new Set(keys)];
}
