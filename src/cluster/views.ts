import { workloadKinds, type WorkloadKind } from "../api/secret-sync.ts";
import { providersNamed } from "../api/secret-sync-bounds.ts";
import type { KubeObject } from "../kube/kube-api.ts";
import { outlineOfTarget, type LiveTarget } from "../plan/live-target.ts";
import { recordedSecrets } from "../rollout/plan-restart.ts";
import { outlineOfWorkload, type Workload } from "../rollout/workload.ts";
import { MemoryBudget } from "../runtime/memory-budget.ts";
import { Index, Store, type Stored } from "../runtime/store.ts";
import type { ClusterSyncObject } from "./cluster-sync.ts";
import { Claims } from "./claims.ts";
import {
  metaOf,
  namespaceOf,
  outlineOfSync,
  targetKeyOf,
  type OwnMeta,
  type SyncObject,
} from "./sync-object.ts";

/** The cluster as the operator keeps it: each kind cut down to what decisions need. */

/** A provider object: spec as it was stored, checked when it is used. */
export interface ProviderObject extends Stored {
  readonly metadata: OwnMeta;
  readonly spec: unknown;
}

export interface NamespaceView extends Stored {
  readonly labels: Readonly<Record<string, string>>;
  /** It is being deleted, and nothing can be made in it. */
  readonly isEnding: boolean;
}

export interface Views {
  readonly syncs: Store<SyncObject>;
  readonly clusterSyncs: Store<ClusterSyncObject>;
  readonly providers: Store<ProviderObject>;
  readonly clusterProviders: Store<ProviderObject>;
  readonly secrets: Store<LiveTarget>;
  readonly namespaces: Store<NamespaceView>;
  readonly workloads: Readonly<Record<WorkloadKind, Store<Workload>>>;
  /** Which SecretSyncs write which Secret. */
  readonly claims: Claims;
  /** SecretSyncs by namespace/name of a Secret that they wrote under an earlier spec. */
  readonly syncsByAbandoned: Index<SyncObject>;
  /** SecretSyncs by the uid of the ClusterSecretSync that made them. */
  readonly syncsByMaker: Index<SyncObject>;
  /** SecretSyncs by the provider that they read, as providerKey() names it. */
  readonly syncsByProvider: Index<SyncObject>;
  /** Workloads by namespace/name of a Secret that they consume or were restarted for. */
  readonly workloadsBySecret: Readonly<Record<WorkloadKind, Index<Workload>>>;
  readonly budgets: {
    readonly syncs: MemoryBudget<SyncObject>;
    readonly secrets: MemoryBudget<LiveTarget>;
    readonly workloads: Readonly<Record<WorkloadKind, MemoryBudget<Workload>>>;
  };
}

export interface ViewsOptions {
  /** Bytes, about, of details that may be held; beyond, they are read again when they are needed. */
  readonly mostBytes: number;
  /** Told what a listener throws on an object. */
  readonly onError: (kind: string, error: unknown, key: string) => void;
  /** Told of a workload that is no longer looked after: its namespace's name too many Secrets. */
  readonly onLeftAlone: (kind: WorkloadKind, key: string) => void;
}

export function newViews({ mostBytes, onError, onLeftAlone }: ViewsOptions): Views {
  const storeOf = <T extends Stored>(kind: string) => new Store<T>((error, key) => onError(kind, error, key));
  const syncs = storeOf<SyncObject>("SecretSync");
  const secrets = storeOf<LiveTarget>("Secret");
  const workloads = {
    Deployment: storeOf<Workload>("Deployment"),
    StatefulSet: storeOf<Workload>("StatefulSet"),
    DaemonSet: storeOf<Workload>("DaemonSet"),
  };
  const index = (kind: WorkloadKind) =>
    new Index(workloads[kind], (workload) =>
      secretsOf(workload).map((name) => `${workload.namespace}/${name}`),
    );
  const budget = (kind: WorkloadKind) =>
    new MemoryBudget({
      store: workloads[kind],
      most: mostBytes * SHARE_OF_A_WORKLOAD_KIND,
      outline: (workload) => {
        onLeftAlone(kind, workload.key);
        return outlineOfWorkload(workload);
      },
      shareOf: namespaceOf,
    });
  return {
    syncs,
    clusterSyncs: storeOf("ClusterSecretSync"),
    providers: storeOf("SecretProvider"),
    clusterProviders: storeOf("ClusterSecretProvider"),
    secrets,
    namespaces: storeOf("Namespace"),
    workloads,
    claims: new Claims(syncs),
    syncsByAbandoned: new Index(syncs, abandonedBy),
    syncsByMaker: new Index(syncs, ({ maker }) => (maker ? [maker.uid] : [])),
    syncsByProvider: new Index(syncs, providersOf),
    workloadsBySecret: {
      Deployment: index("Deployment"),
      StatefulSet: index("StatefulSet"),
      DaemonSet: index("DaemonSet"),
    },
    budgets: {
      syncs: new MemoryBudget({
        store: syncs,
        most: mostBytes * SHARE_OF_SYNCS,
        outline: outlineOfSync,
        shareOf: namespaceOf,
      }),
      secrets: new MemoryBudget({
        store: secrets,
        most: mostBytes * (1 - SHARE_OF_SYNCS),
        outline: outlineOfTarget,
        shareOf: namespaceOf,
      }),
      workloads: {
        Deployment: budget("Deployment"),
        StatefulSet: budget("StatefulSet"),
        DaemonSet: budget("DaemonSet"),
      },
    },
  };
}

/** A SecretSync has a spec, what was parsed from it, and a status; a Secret has its records. */
const SHARE_OF_SYNCS = 2 / 3;
/** Beside those. What workloads with as few Secrets as usual take doesn't count. */
const SHARE_OF_A_WORKLOAD_KIND = 1 / 8;

export const projectProvider = (object: KubeObject): ProviderObject => {
  const metadata = metaOf(object);
  const { spec } = object as { spec?: unknown };
  return {
    key: metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`,
    uid: metadata.uid ?? "",
    resourceVersion: metadata.resourceVersion ?? "",
    metadata,
    spec,
  };
};

export const projectNamespace = ({ metadata }: KubeObject): NamespaceView => ({
  key: metadata.name,
  uid: metadata.uid ?? "",
  resourceVersion: metadata.resourceVersion ?? "",
  labels: metadata.labels ?? {},
  isEnding: metadata.deletionTimestamp !== undefined,
});

/** No namespace has the name of a kind, with its capitals: nobody's own provider can be taken for the admin's. */
export const providerKey = (kind: string, namespace: string, name: string): string =>
  kind === "ClusterSecretProvider" ? `${kind}/${name}` : `${namespace}/${name}`;

/** Workloads that consume the Secret, or carry a digest of it. */
export function workloadsOf(views: Views, namespace: string, secretName: string): readonly Workload[] {
  return workloadKinds.flatMap((kind) =>
    [...views.workloadsBySecret[kind].get(`${namespace}/${secretName}`)]
      .map((key) => views.workloads[kind].get(key))
      .filter((workload) => workload !== undefined),
  );
}

export const secretsOf = (workload: Workload): readonly string[] => [
  ...new Set([...Object.keys(workload.consumes), ...recordedSecrets(workload)]),
];

function abandonedBy(object: SyncObject): readonly string[] {
  const name = object.status.secretRef?.name;
  if (name === undefined) return [];
  const key = `${object.metadata.namespace}/${name}`;
  return key === targetKeyOf(object) ? [] : [key];
}

const providersOf = ({ metadata, spec }: SyncObject): readonly string[] => [
  ...new Set(providersNamed(spec).map(({ kind, name }) => providerKey(kind, metadata.namespace ?? "", name))),
];
