import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import { objectMetrics, type ObjectSample } from "./object-metrics.ts";

/**
 * Prometheus metrics: base units, bounded labels, every series of a closed set there from the start. No label ever
 * holds a key or a path of a secret. docs/reference/metrics.md is generated from this file.
 */

const fast = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const slow = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600];

const reconcileResults = ["success", "retry", "stalled", "error"] as const;
export type ReconcileResult = (typeof reconcileResults)[number];

/** How often the event loop's lag is sampled. Twice as often would cost an idle operator a fifth of its CPU more. */
export const LAG_INTERVAL_MS = 20;

/** Asked at each scrape, so that nothing can go stale and no series outlives its object. */
export interface MetricSources {
  readonly objects: () => Iterable<ObjectSample>;
  /** Of each ClusterSecretSync, whether it is ready. */
  readonly clusterObjects: () => Iterable<boolean>;
  readonly overdueObjects: () => number;
  readonly queueDepth: () => ReadonlyMap<string, number>;
  readonly queueOldestSeconds: () => number;
  /** Seconds for which the queue has stood still although there was something to do. */
  readonly queueStillSeconds: () => number;
  /** Seconds since each watch last gave a sign of life, by kind. */
  readonly watchSilence: () => Iterable<readonly [kind: string, seconds: number]>;
  /** Whether each namespace that is watched by its name has its caches filled. */
  readonly servedNamespaces: () => Iterable<readonly [namespace: string, served: boolean]>;
  readonly isLeader: () => boolean;
  /** Seconds since 1970. */
  readonly now: () => number;
  /** Lets others have a turn. */
  readonly pause: () => Promise<void>;
}

export type Metrics = ReturnType<typeof newMetrics>;

export function newMetrics(options: {
  version: string;
  lanes: readonly string[];
  /** Kinds of objects that are watched. */
  kinds: readonly string[];
  providers: readonly string[];
  /** How a call to a provider may fail. */
  callFailures: readonly string[];
  perObject: boolean;
  defaults: boolean;
}) {
  const registry = new Registry();
  const registers = [registry];
  let sources: MetricSources | undefined;

  const reconciles = new Counter({
    name: "secretsync_reconcile_total",
    help: "Reconciles by kind and result. retry: will try again soon; stalled: a person must act; error: a bug.",
    labelNames: ["kind", "result"],
    registers,
  });
  const reconcileSeconds = new Histogram({
    name: "secretsync_reconcile_duration_seconds",
    help: "Time of a reconcile.",
    labelNames: ["kind"],
    buckets: fast,
    registers,
  });
  const queueWaitSeconds = new Histogram({
    name: "secretsync_queue_wait_seconds",
    help: "Time that an object waited for a worker, by lane.",
    labelNames: ["lane"],
    buckets: fast,
    registers,
  });
  const providerCalls = new Counter({
    name: "secretsync_provider_calls_total",
    help: "Calls to providers by operation and result: success, missing, or the reason of the failure.",
    labelNames: ["provider", "operation", "result"],
    registers,
  });
  const providerSeconds = new Histogram({
    name: "secretsync_provider_call_duration_seconds",
    help: "Time of a call to a provider.",
    labelNames: ["provider", "operation"],
    buckets: fast,
    registers,
  });
  const polledObjects = new Counter({
    name: "secretsync_polled_objects_total",
    help: "Objects in step that a poll of their provider looked after, by result: unchanged, or due, since something is or may be new.",
    labelNames: ["result"],
    registers,
  });
  const pollSeconds = new Histogram({
    name: "secretsync_poll_duration_seconds",
    help: "How long a poll of one provider for all its objects of one interval took.",
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers,
  });
  const shared = new Counter({
    name: "secretsync_provider_shared_total",
    help: "Reads that were answered by a call made for another object, by what was wanted.",
    labelNames: ["operation"],
    registers,
  });
  const propagationSeconds = new Histogram({
    name: "secretsync_propagation_seconds",
    help: "Time from one stage to the next. source_to_secret: from the new version at the provider to the written Secret; secret_to_rollout: from there to the restarted workload.",
    labelNames: ["stage"],
    buckets: slow,
    registers,
  });
  const writes = new Counter({
    name: "secretsync_kubernetes_writes_total",
    help: "Writes to the apiserver by kind of object.",
    labelNames: ["kind"],
    registers,
  });
  const restarts = new Counter({
    name: "secretsync_restarts_total",
    help: "Workload restarts by kind of workload and result.",
    labelNames: ["kind", "result"],
    registers,
  });
  const repairs = new Counter({
    name: "secretsync_drift_repairs_total",
    help: "Secrets that somebody had changed or deleted and that were restored.",
    registers,
  });
  const watchErrors = new Counter({
    name: "secretsync_watch_errors_total",
    help: "Watches and lists that failed and were tried again, by kind.",
    labelNames: ["kind"],
    registers,
  });
  const lists = new Counter({
    name: "secretsync_lists_total",
    help: "Full lists of a kind; more than one means that a watch lost its place.",
    labelNames: ["kind"],
    registers,
  });

  const oddObjects = new Counter({
    name: "secretsync_odd_objects_total",
    help: "Objects that could not be read and were passed over, by kind; the log names them.",
    labelNames: ["kind"],
    registers,
  });

  new Gauge({
    name: "secretsync_queue_depth",
    help: "Objects that are due and wait for a worker, by lane.",
    labelNames: ["lane"],
    registers,
    collect() {
      for (const lane of options.lanes) this.set({ lane }, sources?.queueDepth().get(lane) ?? 0);
    },
  });
  new Gauge({
    name: "secretsync_queue_oldest_seconds",
    help: "How long the object that waits longest is due already.",
    registers,
    collect() {
      this.set(sources?.queueOldestSeconds() ?? 0);
    },
  });
  new Gauge({
    name: "secretsync_queue_still_seconds",
    help: "For how long no object came or went although some were due. 0 while it moves, however slowly.",
    registers,
    collect() {
      this.set(sources?.queueStillSeconds() ?? 0);
    },
  });
  new Gauge({
    name: "secretsync_watch_silence_seconds",
    help: "Time since a watch last gave a sign of life, by kind. Bookmarks come about once a minute.",
    labelNames: ["kind"],
    registers,
    collect() {
      this.reset();
      for (const [kind, seconds] of sources?.watchSilence() ?? []) this.set({ kind }, seconds);
    },
  });
  new Gauge({
    name: "secretsync_namespace_served",
    help: "1 for each of --watch-namespaces that is served; 0 while it, or the operator's Role in it, isn't there.",
    labelNames: ["namespace"],
    registers,
    collect() {
      this.reset();
      for (const [namespace, served] of sources?.servedNamespaces() ?? [])
        this.set({ namespace }, served ? 1 : 0);
    },
  });
  new Gauge({
    name: "secretsync_overdue_objects",
    help: "Objects whose refresh is late; anything but 0 for long means that the operator doesn't keep up.",
    registers,
    collect() {
      this.set(sources?.overdueObjects() ?? 0);
    },
  });
  new Gauge({
    name: "secretsync_cluster_objects",
    help: "ClusterSecretSyncs by readiness.",
    labelNames: ["ready"],
    registers,
    collect() {
      const all = [...(sources?.clusterObjects() ?? [])];
      for (const ready of [true, false])
        this.set({ ready: `${ready}` }, all.filter((each) => each === ready).length);
    },
  });
  objectMetrics(registers, () => sources, options.perObject);
  new Gauge({
    name: "secretsync_leader",
    help: "1 when this replica leads.",
    registers,
    collect() {
      this.set(sources?.isLeader() ? 1 : 0);
    },
  });
  new Gauge({
    name: "secretsync_build_info",
    help: "Always 1; the label tells the version.",
    labelNames: ["version"],
    registers,
  }).set({ version: options.version }, 1);

  for (const kind of ["SecretSync", "ClusterSecretSync"]) {
    for (const result of reconcileResults) reconciles.inc({ kind, result }, 0);
    reconcileSeconds.zero({ kind });
  }
  for (const result of ["unchanged", "due"]) polledObjects.inc({ result }, 0);
  for (const operation of ["value", "version"]) shared.inc({ operation }, 0);
  for (const kind of ["Secret", "SecretSync", "ClusterSecretSync", "Event"]) writes.inc({ kind }, 0);
  for (const kind of ["Deployment", "StatefulSet", "DaemonSet"]) {
    writes.inc({ kind }, 0);
    for (const result of ["success", "failure"]) restarts.inc({ kind, result }, 0);
  }
  for (const kind of options.kinds) {
    watchErrors.inc({ kind }, 0);
    lists.inc({ kind }, 0);
    oddObjects.inc({ kind }, 0);
  }
  for (const provider of options.providers) {
    for (const operation of ["read", "readBatch", "describe", "list"]) {
      providerSeconds.zero({ provider, operation });
      for (const result of ["success", "missing", ...options.callFailures])
        providerCalls.inc({ provider, operation, result }, 0);
    }
  }
  for (const lane of options.lanes) queueWaitSeconds.zero({ lane });
  for (const stage of ["source_to_secret", "secret_to_rollout"]) propagationSeconds.zero({ stage });
  if (options.defaults) {
    collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LAG_INTERVAL_MS });
  }

  return {
    registry,
    reconciles,
    reconcileSeconds,
    queueWaitSeconds,
    providerCalls,
    providerSeconds,
    polledObjects,
    pollSeconds,
    shared,
    propagationSeconds,
    writes,
    restarts,
    repairs,
    watchErrors,
    lists,
    oddObjects,
    /** Connects what is asked at scrape time, once it exists. */
    connect(connected: MetricSources) {
      sources = connected;
    },
  };
}
