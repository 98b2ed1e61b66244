import { reasonsWith } from "../api/reasons.ts";
import { providerNames } from "../api/secret-provider.ts";
import { LEASE_TIMES, LeaderElector } from "../runtime/leader-election.ts";
import { sleep } from "../runtime/clock.ts";
import { WorkQueue } from "../runtime/work-queue.ts";
import { newController } from "../controllers/controller.ts";
import { newApplier } from "../controllers/secret-sync/apply.ts";
import { newDecider } from "../controllers/secret-sync/decide.ts";
import { newEventRecorder } from "../controllers/secret-sync/events.ts";
import { DriftTimes } from "../cluster/drift.ts";
import { newFetcher } from "../controllers/secret-sync/fetch.ts";
import { Freshness, GRACE_MS } from "../controllers/secret-sync/freshness.ts";
import { Health } from "../controllers/health.ts";
import { newObserver } from "../controllers/secret-sync/observe.ts";
import { memoryFor } from "../cluster/memory.ts";
import { newNews, newOddObjects } from "../cluster/odd-objects.ts";
import { newScrapeGuard } from "../controllers/scrape-guard.ts";
import { namespaceOf } from "../cluster/sync-object.ts";
import { loadDigestKey } from "../controllers/digest-key.ts";
import { clusterSamples } from "../controllers/cluster-secret-sync/samples.ts";
import { lanes, queuePolicy, type Lane } from "../controllers/secret-sync/lanes.ts";
import { newReconciler } from "../controllers/secret-sync/reconciler.ts";
import { newSyncStatusWriter } from "../controllers/secret-sync/report.ts";
import { newRestarter } from "../controllers/secret-sync/restart.ts";
import { objectSamples } from "../controllers/secret-sync/samples.ts";
import { newStoreNews } from "../controllers/secret-sync/store-news.ts";
import { dueOf } from "../controllers/secret-sync/task.ts";
import { connectTriggers } from "../controllers/secret-sync/triggers.ts";
import { newViews } from "../cluster/views.ts";
import { areSecretsUnwatched, newWatches, problemsOfNamespaces, watchedKinds } from "../cluster/watches.ts";
import { leaseLock } from "../kube/lease-lock.ts";
import { markOf, type DigestKey } from "../plan/digest.ts";
import { MOST_SECRETS } from "../rollout/consumption.ts";
import { wireClusterSecretSync } from "./cluster-secret-sync.ts";
import type { Parts } from "./parts.ts";
import { wirePolling } from "./polling.ts";
import { wireStores } from "./stores.ts";
import { newOperator, type Operator } from "../run.ts";
import { newMetrics } from "../telemetry/metrics.ts";

/** The composition root: builds every object and connects them. No decisions here. */
export function wire(parts: Parts): Operator {
  const { options, clock, random, log, tracing } = parts;
  const api = parts.apiWith();
  const { "cluster-secret-syncs": clusterSyncs, "watch-namespaces": watched } = options;
  const servesClusterSyncs = clusterSyncs === "true" || (clusterSyncs === "auto" && watched.length === 0);
  const metrics = newMetrics({
    version: parts.version,
    lanes,
    kinds: watchedKinds,
    providers: providerNames,
    callFailures: reasonsWith("ofCall"),
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
    onStandby: (leader) =>
      log.info({ leader, lease: `${parts.namespace}/${options["lease-name"]}` }, "standing by"),
    times: parts.leaseTimes ?? LEASE_TIMES,
  });
  const leads = () => !options["leader-elect"] || elector.holds();
  const writer = parts.apiWith(leads);
  const onWrite = (kind: string) => metrics.writes.inc({ kind });

  /** `since`: milliseconds since 1970. */
  const propagated = (stage: string, since: number) =>
    metrics.propagationSeconds.observe({ stage }, Math.max(0, clock.now() - since) / 1000);

  const queue = new WorkQueue<Lane>({
    ...queuePolicy(options.concurrent),
    shareOf: namespaceOf,
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
  const onWatchError = (kind: string, scope: string | undefined, error: unknown, retryInMs: number) => {
    metrics.watchErrors.inc({ kind });
    const fields = { kind, scope, retryInMs: Math.round(retryInMs), needsCrd: true };
    health.failed(`watch ${kind}`, error, "watch failed", fields);
  };
  const onList = (kind: string, items: number) => {
    metrics.lists.inc({ kind });
    log.debug({ kind, items }, "listed");
  };

  let digestKey: DigestKey | undefined;
  const currentDigestKey = (): DigestKey => {
    if (!digestKey) throw new Error("the digest key is not loaded yet");
    return digestKey;
  };
  const accessTo = wireStores(parts, {
    api,
    views,
    metrics,
    // Who is refreshed mostly asks for versions, and somebody new shall not wait for them.
    coming: { values: () => queue.urgentCount, versions: () => queue.readyCount },
    mark: (content) => markOf(currentDigestKey(), content),
    onRecovered: (client) => {
      for (const key of freshness.waitingFor(client)) queue.add(key, "event");
    },
    onNews: (users, key) => storeNews(users, key),
  });
  const isUnwatched = (namespace: string) => areSecretsUnwatched(reflectors, namespace);
  const observer = newObserver({
    api,
    views,
    clock,
    digestKey: currentDigestKey,
    leastRefreshMs,
    drift,
    isUnwatched,
  });
  const fetcher = newFetcher(accessTo);
  const { feed, polling } = wirePolling(parts, {
    views,
    metrics,
    freshness,
    accessTo,
    queue,
    isUnwatched,
  });
  const storeNews = newStoreNews({ views, queue, polling, clock, leastRefreshMs });
  connectTriggers(views, queue, polling, clock, leastRefreshMs, drift);
  const restarter = newRestarter({
    api: writer,
    views,
    clock,
    onRestart: (kind, result, changedAt) => {
      metrics.restarts.inc({ kind, result });
      if (result === "success" && changedAt !== undefined) propagated("secret_to_rollout", changedAt);
    },
    onWrite,
  });
  const reconcile = newReconciler({
    views,
    clock,
    log,
    freshness,
    polling,
    observer,
    decide: newDecider({
      fetcher,
      freshness,
      clock,
      liveValues: (target, keys, signal) => observer.liveValues(target, keys, signal),
    }),
    apply: newApplier({ api: writer, views, clock, restarter, onWrite }),
    writeStatus: newSyncStatusWriter(writer, views, onWrite, health),
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
  const stillMs = () => Math.max(queue.stillMs(), feed.stillMs(), fanOut?.queue.stillMs() ?? 0);
  const controller = newController({
    kind: "SecretSync",
    queue,
    concurrency: options.concurrent,
    lanes: { success: "periodic", failure: "failing" },
    reconcile: (taken, task) => reconcile(taken.key, dueOf(taken), task),
    onFailed: (key, retryInMs) => freshness.failed(key, retryInMs),
    clock,
    log,
    metrics,
    tracing,
  });
  const fanOut = servesClusterSyncs
    ? wireClusterSecretSync(parts, { api: writer, views, metrics, health, onWrite })
    : undefined;

  metrics.connect({
    objects: () => objectSamples(views, leads(), polling),
    clusterObjects: () => (leads() ? clusterSamples(views) : []),
    // A standby serves nobody, so nobody waits for it.
    overdueObjects: () => (leads() ? polling.overdueCount(queue.waitingLongerThan(GRACE_MS)) : 0),
    queueDepth: () => queue.depth(),
    queueOldestSeconds: () => (leads() ? queue.oldestReadyMs() / 1000 : 0),
    queueStillSeconds: () => (leads() ? stillMs() / 1000 : 0),
    servedNamespaces: () =>
      [...problemsOfNamespaces(reflectors, health)].map(
        ([name, { length }]) => [name, length === 0] as const,
      ),
    watchSilence: () => reflectors.map((reflector) => [reflector.name, reflector.silentMs() / 1000] as const),
    isLeader: leads,
    now: () => clock.now() / 1000,
    pause: () => sleep(clock, 0),
  });

  const reflectors = newWatches({
    ...parts,
    api,
    namespaces: options["watch-namespaces"],
    clusterProviders: options["cluster-providers"],
    clusterSyncs: servesClusterSyncs,
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
    queue: {
      stillMs,
      close() {
        feed.close();
        queue.close();
        fanOut?.queue.close();
      },
    },
    elector: options["leader-elect"] ? elector : undefined,
    prepare: loadKey,
    work: async () => void (await Promise.all([controller.run(), fanOut?.run()])),
  });
}
