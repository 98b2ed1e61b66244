import type { LookupFunction } from "node:net";
import { LEASE_TIMES, LeaderElector, type LeaseTimes } from "./runtime/leader-election.ts";
import type { Clock, Random } from "./runtime/clock.ts";
import { Intake } from "./runtime/intake.ts";
import { WorkQueue } from "./runtime/work-queue.ts";
import { runWorkers } from "./runtime/workers.ts";
import { newApplier } from "./controller/apply.ts";
import { newDecider } from "./controller/decide.ts";
import { newEventRecorder } from "./controller/events.ts";
import { DriftTimes } from "./controller/drift.ts";
import { newFetcher } from "./controller/fetch.ts";
import { Freshness, GRACE_MS } from "./controller/freshness.ts";
import { Health } from "./controller/health.ts";
import { newGatherer } from "./controller/gather.ts";
import { memoryFor } from "./controller/memory.ts";
import { newNews, newOddObjects } from "./controller/odd-objects.ts";
import { newScrapeGuard } from "./controller/scrape-guard.ts";
import { namespaceOf } from "./controller/sync-object.ts";
import { loadDigestKey } from "./controller/installation-key.ts";
import { lanes, type Lane } from "./controller/lanes.ts";
import { newProviderAccess, type AwsTarget, type ConnectAws } from "./controller/provider-access.ts";
import { newQuietRefresh } from "./controller/quiet.ts";
import { newReconciler } from "./controller/reconciler.ts";
import { newStatusWriter } from "./controller/report.ts";
import { newRestarter } from "./controller/restart.ts";
import { objectSamples } from "./controller/samples.ts";
import { newSettler } from "./controller/settle.ts";
import { connectTriggers } from "./controller/triggers.ts";
import { newViews } from "./controller/views.ts";
import { newWatches, problemsOfNamespaces, watchedKinds } from "./controller/watches.ts";
import { Caller } from "./fetch/caller.ts";
import { ClientPool } from "./fetch/client-pool.ts";
import { KeptBytes } from "./fetch/kept-bytes.ts";
import { ProviderClient } from "./fetch/provider-client.ts";
import { Turns } from "./fetch/turns.ts";
import type { Fence } from "./kube/fence.ts";
import type { KubeApi } from "./kube/kube-api.ts";
import { leaseLock } from "./kube/lease-lock.ts";
import type { DigestKey } from "./plan/digest.ts";
import { MOST_SECRETS } from "./restart/consumption.ts";
import type { Admit } from "./providers/answer-body.ts";
import { newLookup } from "./providers/lookup.ts";
import type { ProxyEnv, SecretReader } from "./providers/provider.ts";
import type { Options } from "./options.ts";
import { newOperator, type Operator } from "./run.ts";
import type { Tls } from "./telemetry/http-server.ts";
import type { Logger } from "./telemetry/logger.ts";
import { newMetrics } from "./telemetry/metrics.ts";
import { newCallObserver } from "./telemetry/provider-calls.ts";
import type { Tracing } from "./telemetry/tracing.ts";

/** The composition root: builds every object and connects them. No decisions here. */
export interface Parts {
  readonly options: Options;
  readonly version: string;
  /** The apiserver; with a fence, for a client whose writes ask it. */
  readonly apiWith: (fence?: Fence) => KubeApi;
  readonly clock: Clock;
  readonly random: Random;
  readonly randomBytes: (count: number) => Buffer;
  readonly log: Logger;
  readonly tracing: Tracing;
  readonly namespace: string;
  readonly identity: string;
  /** The AWS SDK is loaded when the first provider shows up: an idle operator stays small. */
  readonly loadAws: () => Promise<{
    openSecretsManager(
      target: AwsTarget & {
        readonly maxConcurrent: number;
        readonly lookup: LookupFunction;
        readonly proxyEnv?: ProxyEnv | undefined;
        readonly admitAnswer: () => Admit;
      },
    ): SecretReader;
  }>;
  /** The environment's proxies; absent: none. */
  readonly proxyEnv?: ProxyEnv | undefined;
  /** Bytes that the container may have; undefined or absurdly large where nothing bounds it. */
  readonly memoryBytes?: number | undefined;
  readonly metricsTls?: Tls | undefined;
  readonly leaseTimes?: LeaseTimes;
  readonly watchIdleMs?: number;
}

/** Connections to one provider as one identity: limits.maxConcurrent may grow up to that. */
const MOST_CONNECTIONS = 256;
/** At once, with all its own providers. */
const MOST_CALLS_OF_A_NAMESPACE = 16;
/** For others who may want the same, by all clients of all providers. */
const MOST_KEPT_BYTES_OF_VALUES = 16 * 1024 * 1024;
const MOST_KEPT_BYTES_OF_NAMES = 64 * 1024 * 1024;

/** Of the workers, so many stay free for what is urgent. */
const URGENT_SHARE = 0.25;

export function wire(parts: Parts): Operator {
  const { options, clock, random, log, tracing } = parts;
  const api = parts.apiWith();
  const metrics = newMetrics({
    version: parts.version,
    lanes,
    kinds: watchedKinds,
    providers: ["aws"],
    perObject: options["metrics-per-object"],
    defaults: true,
  });
  const health = new Health(log);
  const elector = new LeaderElector({
    lock: leaseLock(api, parts.namespace, options["lease-name"]),
    identity: parts.identity,
    clock,
    random,
    onError: (error) => health.failed("lease", error, "leader election request failed"),
    onAnswer: () => health.works("lease"),
    times: parts.leaseTimes ?? LEASE_TIMES,
  });
  const leads = () => !options["leader-elect"] || elector.holds();
  const writer = parts.apiWith(leads);
  const onWrite = (kind: string) => metrics.writes.inc({ kind });

  /** `since`: milliseconds since 1970. */
  const propagated = (stage: string, since: number) =>
    metrics.propagationSeconds.observe({ stage }, Math.max(0, clock.now() - since) / 1000);

  const queue = new WorkQueue<Lane>({
    lanes,
    bulkFrom: "periodic",
    bulkWorkers: Math.max(1, Math.floor(options.concurrent * (1 - URGENT_SHARE))),
    mostPerTurn: 32,
    shareOf: namespaceOf,
    togetherMs: 20,
    backoff: { firstMs: 1_000, mostMs: 120_000 },
    clock,
    random,
    onWait: (lane, seconds) => metrics.queueWaitSeconds.observe({ lane }, seconds),
  });
  const freshness = new Freshness(clock);
  const leastRefreshMs = options["min-refresh-interval"];
  const odd = newOddObjects(log, (kind) => metrics.oddObjects.inc({ kind }));
  const cut = newNews((workload, most) =>
    log.warn(
      { workload, most },
      "a workload consumes more Secrets than that; it isn't restarted for the others",
    ),
  );
  const leftAlone = newNews((namespace) =>
    log.warn(
      { namespace },
      "workloads of a namespace name so many Secrets that some of them aren't restarted any more",
    ),
  );
  const views = newViews({
    mostBytes: memoryFor(parts.memoryBytes),
    onError: odd,
    onLeftAlone: (_kind, key) => leftAlone(namespaceOf(key), ""),
  });
  const drift = new DriftTimes(clock);
  connectTriggers(views, queue, freshness, clock, leastRefreshMs, drift);
  const onWatchError = (kind: string, scope: string | undefined, error: unknown, retryInMs: number) => {
    metrics.watchErrors.inc({ kind });
    const fields = { kind, scope, retryInMs: Math.round(retryInMs), needsCrd: true };
    health.failed(`watch ${kind}`, error, "watch failed", fields);
  };
  const onList = (kind: string, items: number) => {
    metrics.lists.inc({ kind });
    log.debug({ kind, items }, "listed");
  };

  for (const providers of [views.providers, views.clusterProviders])
    providers.listen(() => void parts.loadAws());
  // Who is refreshed mostly asks for versions, and somebody new shall not wait for them.
  const coming = { values: () => queue.urgentCount, versions: () => queue.readyCount };
  const lookup = newLookup(clock);
  const kept = {
    values: new KeptBytes(MOST_KEPT_BYTES_OF_VALUES),
    names: new KeptBytes(MOST_KEPT_BYTES_OF_NAMES),
  };
  const intake = new Intake();
  const turns = new Turns(MOST_CALLS_OF_A_NAMESPACE);
  const connectAws: ConnectAws = async (target, share, limits) => {
    const { openSecretsManager } = await parts.loadAws();
    const reader = openSecretsManager({
      ...target,
      maxConcurrent: MOST_CONNECTIONS,
      lookup,
      proxyEnv: parts.proxyEnv,
      admitAnswer: () => intake.answer(share),
    });
    const caller = new Caller({
      clock,
      random,
      limits,
      // An admin's provider is bounded by its limits; of its own a tenant may have any number.
      ...(share === "" ? {} : { inTurn: (work) => turns.run(share, work) }),
      onRecovered: () => {
        for (const key of freshness.waitingFor(client)) queue.add(key, "event");
      },
      observe: newCallObserver({ provider: "aws", metrics, tracing, monotonic: () => clock.monotonic() }),
    });
    const client = new ProviderClient({
      reader,
      caller,
      clock,
      coming,
      kept,
      onShared: (operation) => metrics.shared.inc({ operation }),
    });
    return client;
  };

  let digestKey: DigestKey | undefined;
  const currentDigestKey = (): DigestKey => {
    if (!digestKey) throw new Error("the digest key is not loaded yet");
    return digestKey;
  };
  const accessTo = newProviderAccess({
    api,
    views,
    clock,
    pool: new ClientPool(),
    connectAws,
    regions: options["aws-regions"],
    onMissingCredentials: newNews((provider, detail) =>
      log.warn({ provider, detail }, "credentials of a provider can't be read"),
    ),
    allowAmbientIdentity: options["allow-ambient-identity"],
    clusterProviders: options["cluster-providers"],
  });
  const gatherer = newGatherer({ api, views, clock, digestKey: currentDigestKey, leastRefreshMs, drift });
  const fetcher = newFetcher(accessTo);
  const reconcile = newReconciler({
    views,
    clock,
    log,
    freshness,
    quiet: newQuietRefresh({ views, freshness, fetcher, clock, leastRefreshMs }),
    gatherer,
    decide: newDecider({
      fetcher,
      freshness,
      clock,
      liveValues: (target, keys, signal) => gatherer.liveValues(target, keys, signal),
    }),
    apply: newApplier(writer, views, clock, onWrite),
    ...newRestarter({
      api: writer,
      views,
      clock,
      onRestart: (kind, result, changedAt) => {
        metrics.restarts.inc({ kind, result });
        if (result === "success" && changedAt !== undefined) propagated("secret_to_rollout", changedAt);
      },
      onWrite,
    }),
    writeStatus: newStatusWriter(writer, views, onWrite, health),
    recordEvent: newEventRecorder({
      api: writer,
      clock,
      onError: (error) => log.debug({ err: error }, "event not written"),
      onWrite,
    }),
    onChange: (kind, sourceChangedAt) => {
      if (kind === "repaired") metrics.repairs.inc();
      if (kind === "updated" && sourceChangedAt !== undefined)
        propagated("source_to_secret", sourceChangedAt);
    },
  });
  const settle = newSettler({ queue, reconcile, freshness, clock, log, metrics, tracing });

  metrics.connect({
    objects: () => objectSamples(views, leads(), freshness),
    // A standby serves nobody, so nobody waits for it.
    overdueObjects: () => (leads() ? freshness.overdueCount(queue.waitingLongerThan(GRACE_MS)) : 0),
    queueDepth: () => queue.depth(),
    queueOldestSeconds: () => (leads() ? queue.oldestReadyMs() / 1000 : 0),
    queueStillSeconds: () => (leads() ? queue.stillMs() / 1000 : 0),
    servedNamespaces: () =>
      [...problemsOfNamespaces(reflectors, health)].map(
        ([name, { length }]) => [name, length === 0] as const,
      ),
    watchSilence: () => reflectors.map((reflector) => [reflector.name, reflector.silentMs() / 1000] as const),
    isLeader: leads,
    now: () => clock.now() / 1000,
  });

  const reflectors = newWatches({
    ...parts,
    api,
    namespaces: options["watch-namespaces"],
    clusterProviders: options["cluster-providers"],
    views,
    onError: onWatchError,
    onList,
    onWatch: (kind, scope) => health.works(`watch ${kind}`, scope),
    onOdd: (kind, key, error) => odd(kind, error, key),
    onCut: (kind, key) => cut(`${kind} ${key}`, `${MOST_SECRETS} Secrets`),
  });
  const loadKey = async (signal: AbortSignal) => {
    try {
      digestKey = await loadDigestKey(writer, parts.namespace, parts.randomBytes, signal);
      health.works("digest key");
    } catch (error) {
      health.failed("digest key", error, "can't start working yet; trying again");
      throw error;
    }
  };
  return newOperator({
    ...parts,
    metricsTls: parts.metricsTls,
    registry: metrics.registry,
    scrapeGuard: options["metrics-auth"] === "token" ? newScrapeGuard(api, clock) : undefined,
    health,
    reflectors,
    queue,
    elector: options["leader-elect"] ? elector : undefined,
    prepare: loadKey,
    work: () => runWorkers({ queue, concurrency: options.concurrent, ...settle }),
  });
}
