import { label } from "../api/group.ts";
import { workloadKinds } from "../api/secret-sync.ts";
import { collectionOf, namedObjects, type OnOddObject } from "../kube/collection.ts";
import type { KubeApi, KubeObject, ResourceType, Selection } from "../kube/kube-api.ts";
import { resources } from "../kube/resources.ts";
import { projectSecret } from "../plan/live-target.ts";
import { projectWorkload } from "../rollout/workload.ts";
import { sleep, type Clock, type Random } from "../runtime/clock.ts";
import { Reflector, type Collection } from "../runtime/reflector.ts";
import type { Store, Stored } from "../runtime/store.ts";
import { projectClusterSync } from "./cluster-sync.ts";
import { projectSync } from "./sync-object.ts";
import { projectNamespace, projectProvider, type NamespaceView, type Views } from "./views.ts";

/** One watch for each kind (and namespace, when only some are watched) that fills the views. */
export interface WatchOptions {
  readonly api: KubeApi;
  readonly clock: Clock;
  readonly random: Random;
  readonly views: Views;
  /** Empty: all. */
  readonly namespaces: readonly string[];
  /** Whether ClusterSecretProviders are served; else nothing outside of namespaces is read. */
  readonly clusterProviders: boolean;
  /** Whether ClusterSecretSyncs are served. */
  readonly clusterSyncs: boolean;
  readonly watchIdleMs?: number;
  /** `scope`: the namespace, where namespaces are watched one by one. */
  readonly onError: (kind: string, scope: string | undefined, error: unknown, retryInMs: number) => void;
  readonly onList: (kind: string, items: number) => void;
  readonly onWatch: (kind: string, scope: string | undefined) => void;
  /** An object that can't be read; it is passed over. `key`: namespace/name. */
  readonly onOdd: (kind: string, key: string, error: unknown) => void;
  /** A workload that consumes more Secrets than are kept of it. */
  readonly onCut: (kind: string, key: string) => void;
}

/** What a reflector is to those who only run and watch it. */
export interface Watch extends Pick<
  Reflector<Stored>,
  "name" | "synced" | "firstTry" | "isSynced" | "isBlind" | "silentMs" | "failingMs" | "run"
> {
  /** The namespace that it is about; undefined for all of the cluster. */
  readonly scope: string | undefined;
}

export const watchedKinds: readonly string[] = [
  resources.secretSync.kind,
  resources.clusterSecretSync.kind,
  resources.secretProvider.kind,
  resources.clusterSecretProvider.kind,
  resources.namespace.kind,
  resources.secret.kind,
  ...workloadKinds,
];

/** How often the labels of single namespaces are read again. */
const LABELS_MS = 60_000;

export function newWatches(options: WatchOptions): readonly Watch[] {
  const { api, clock, random, views, namespaces, clusterProviders, clusterSyncs } = options;
  const scopes: readonly (string | undefined)[] = namespaces.length > 0 ? namespaces : [undefined];

  const oddOf =
    (kind: string): OnOddObject =>
    ({ metadata }, error) =>
      options.onOdd(kind, `${metadata?.namespace ?? ""}/${metadata?.name ?? ""}`, error);
  const one = <T extends Stored>(
    type: ResourceType,
    store: Store<T>,
    project: (object: KubeObject) => T,
    selection: Selection = {},
    collection: Collection<T> = collectionOf(api, type, selection, project, oddOf(type.kind)),
  ): Watch => {
    const { namespace } = selection;
    const reflector = new Reflector<T>({
      name: namespace === undefined ? type.kind : `${type.kind} in ${namespace}`,
      collection,
      store,
      ...(namespace === undefined ? {} : { inScope: ({ key }: T) => key.startsWith(`${namespace}/`) }),
      clock,
      random,
      // Secrets alone are read one by one where they aren't told of.
      mayBeBlind: type === resources.secret,
      ...(options.watchIdleMs === undefined ? {} : { idleMs: options.watchIdleMs }),
      onError: (error, retryInMs) => options.onError(type.kind, namespace, error, retryInMs),
      onList: (items) => options.onList(type.kind, items),
      onWatch: () => options.onWatch(type.kind, namespace),
    });
    return Object.assign(reflector, { scope: namespace });
  };
  const each = <T extends Stored>(
    type: ResourceType,
    store: Store<T>,
    project: (object: KubeObject) => T,
    selection: Selection = {},
  ): Watch[] =>
    scopes.map((namespace) =>
      one(type, store, project, { ...selection, ...(namespace ? { namespace } : {}) }),
    );

  /** Access rules and ClusterSecretSyncs ask for them. A Role in a namespace may let us get its Namespace, but never list. */
  const namespaceLabels = (): Watch => {
    const selection = { metadataOnly: true };
    const pause = (signal: AbortSignal) => sleep(clock, LABELS_MS, signal);
    return one<NamespaceView>(
      resources.namespace,
      views.namespaces,
      projectNamespace,
      selection,
      namespaces.length > 0
        ? namedObjects(api, resources.namespace, namespaces, projectNamespace, pause)
        : collectionOf(api, resources.namespace, selection, projectNamespace, oddOf("Namespace")),
    );
  };

  const others = [
    ...each(resources.secretProvider, views.providers, projectProvider),
    ...(clusterProviders
      ? [one(resources.clusterSecretProvider, views.clusterProviders, projectProvider)]
      : []),
    ...(clusterSyncs ? [one(resources.clusterSecretSync, views.clusterSyncs, projectClusterSync)] : []),
    ...(clusterProviders || clusterSyncs ? [namespaceLabels()] : []),
    ...each(resources.secret, views.secrets, projectSecret, {
      metadataOnly: true,
      labelSelector: `${label.managed}=true`,
    }),
    ...workloadKinds.flatMap((kind) =>
      each(resources[kind], views.workloads[kind], (object) => {
        const workload = projectWorkload(kind, object);
        if (workload.isCut) options.onCut(kind, workload.key);
        return workload;
      }),
    ),
  ];
  const syncs = each(resources.secretSync, views.syncs, projectSync);
  // A namespace is served as soon as everything of it is there, and a missing one holds up no other.
  return namespaces.length === 0
    ? [...others, ...syncs]
    : [
        ...others,
        ...syncs.map((watch) =>
          after(
            watch,
            others.filter(({ scope }) => scope === watch.scope),
          ),
        ),
      ];
}

/** Of the namespaces that are watched one by one, what keeps each from being served; empty for nothing. */
export function problemsOfNamespaces(
  watches: readonly Watch[],
  health: { problemsOf(namespace: string): readonly string[] },
): ReadonlyMap<string, readonly string[]> {
  const scopes = new Set(watches.map(({ scope }) => scope).filter((scope) => scope !== undefined));
  return new Map(
    [...scopes].map((scope) => {
      const problems = health.problemsOf(scope);
      if (problems.length > 0) return [scope, problems];
      const own = watches.filter((watch) => watch.scope === scope);
      const failing = own.filter((watch) => watch.failingMs() > FAILING_MS);
      if (failing.length > 0) return [scope, failing.map(toldFailing)];
      return [scope, own.every(({ isSynced }) => isSynced) ? [] : ["its caches are not filled yet"]];
    }),
  );
}

/** A watch that has failed for so long will hardly come back by itself. */
export const FAILING_MS = 2 * 60_000;
export const toldFailing = ({ name }: Watch): string =>
  `the watch of ${name} has failed for minutes; the log tells why`;

/** Whether Secrets of the namespace must be read one by one, since the apiserver tells of none. */
export const areSecretsUnwatched = (watches: readonly Watch[], namespace: string): boolean =>
  watches.some(({ isBlind, scope }) => isBlind && (scope === undefined || scope === namespace));

/** The watch, run once the others have filled their caches. */
function after(watch: Watch, others: readonly Watch[]): Watch {
  let runs = false;
  return {
    name: watch.name,
    scope: watch.scope,
    synced: watch.synced,
    firstTry: Promise.all(others.map(({ firstTry }) => firstTry)).then((all) =>
      all.every(Boolean) ? watch.firstTry : false,
    ),
    get isSynced() {
      return watch.isSynced;
    },
    get isBlind() {
      return watch.isBlind;
    },
    // As long as it waits, the others tell how they do.
    silentMs: () => (runs ? watch.silentMs() : 0),
    failingMs: () => watch.failingMs(),
    async run(signal) {
      await Promise.race([Promise.all(others.map(({ synced }) => synced)), aborted(signal)]);
      if (signal.aborted) return;
      runs = true;
      await watch.run(signal);
    },
  };
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
