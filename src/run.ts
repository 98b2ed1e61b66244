import type { Registry } from "prom-client";
import { FAILING_MS, problemsOfNamespaces, toldFailing, type Watch } from "./cluster/watches.ts";
import type { Options } from "./options.ts";
import { sleep, type Clock } from "./runtime/clock.ts";
import type { LeaderElector } from "./runtime/leader-election.ts";
import { guarded, page, probe, serve, type Guard, type Routes, type Tls } from "./telemetry/http-server.ts";
import type { Logger } from "./telemetry/logger.ts";
import { exposition } from "./telemetry/object-metrics.ts";

/** The life of the operator: serve probes, fill the caches, lead, work, drain, give the lease back. */
export interface Operator {
  /** Resolves when the operator has ended: true after a clean stop, false when it lost its lease. */
  run(signal: AbortSignal): Promise<boolean>;
}

export interface OperatorParts {
  readonly options: Options;
  readonly version: string;
  readonly identity: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly registry: Registry;
  /** Present: who may scrape. */
  readonly scrapeGuard: Guard | undefined;
  /** Present: metrics are served over TLS. */
  readonly metricsTls: Tls | undefined;
  readonly health: {
    readonly problems: readonly string[];
    problemsOf(namespace: string): readonly string[];
  };
  readonly reflectors: readonly Watch[];
  readonly queue: { close(): void; stillMs(): number };
  /** Absent: this replica works alone. */
  readonly elector: LeaderElector | undefined;
  /** What only the leader may do before the first reconcile. */
  readonly prepare: (signal: AbortSignal) => Promise<void>;
  /** Resolves when the queue is closed and what was under way is done. */
  readonly work: () => Promise<void>;
}

/** Longer than any watch may be silent, bookmarks being due each minute. */
const STUCK_MS = 10 * 60_000;
const DRAIN_MS = 20_000;
const PREPARE_AGAIN_MS = 2_000;

export function newOperator(parts: OperatorParts): Operator {
  const { options, clock, log, reflectors, queue, elector } = parts;
  let synced = false;
  let working = false;
  const alive = () => {
    const silent = reflectors.find((reflector) => reflector.silentMs() > STUCK_MS);
    if (silent) return `the watch of ${silent.name} stands still`;
    return working && queue.stillMs() > STUCK_MS ? "the queue stands still" : undefined;
  };

  const unready = () => {
    const { problems } = parts.health;
    if (problems.length > 0) return problems.join("\n");
    const namespaces = [...problemsOfNamespaces(reflectors, parts.health).values()];
    // One of several may come later.
    if (namespaces.length > 0 && namespaces.every(({ length }) => length > 0)) return lacking().join("\n");
    const failing = reflectors.filter(
      (reflector) => reflector.scope === undefined && reflector.failingMs() > FAILING_MS,
    );
    if (failing.length > 0) return failing.map(toldFailing).join("\n");
    return synced ? undefined : "the caches are not filled yet";
  };

  /** The namespaces of --watch-namespaces that aren't served, and why. */
  const lacking = () =>
    [...problemsOfNamespaces(reflectors, parts.health)]
      .filter(([, problems]) => problems.length > 0)
      .map(([namespace, problems]) => `namespace ${namespace} isn't served: ${problems.join("; ")}`);

  const details = () => {
    const leader = elector?.waitsFor;
    return [...lacking(), ...(leader === undefined ? [] : [`standing by: ${leader} leads`])];
  };

  return {
    async run(signal) {
      const { registry, scrapeGuard, metricsTls } = parts;
      const metrics = page({
        contentType: registry.contentType,
        body: () => exposition(registry, () => sleep(clock, 0)),
        clock,
      });
      const servers = await serveAll(
        options,
        {
          "/metrics": scrapeGuard ? guarded(metrics, scrapeGuard) : metrics,
          "/healthz": probe(alive),
          "/readyz": probe(unready, details),
        },
        metricsTls,
      );
      log.info({ version: parts.version, ...servers.ports }, "started");
      const stop = new AbortController();
      const lost = new AbortController();
      const ending = AbortSignal.any([signal, lost.signal]);
      const running = reflectors.map((reflector) => reflector.run(stop.signal));
      // Of a namespace of several it is enough to have tried.
      const caches = Promise.all(
        reflectors.map(({ scope, synced: filled, firstTry }) => (scope === undefined ? filled : firstTry)),
      ).then(() => (synced = true));
      let release: () => Promise<void> = () => Promise.resolve();
      try {
        if (elector) {
          if (!(await elector.acquire(ending))) return true;
          release = keepLease(elector, lost);
        }
        log.info({ identity: parts.identity }, "leading");
        const [prepared] = await Promise.all([prepare(ending), Promise.race([caches, aborted(ending)])]);
        if (prepared && !ending.aborted) {
          working = true;
          const work = parts.work();
          await aborted(ending);
          queue.close();
          await Promise.race([work, sleep(clock, DRAIN_MS)]);
        }
        return !lost.signal.aborted;
      } finally {
        queue.close();
        await release();
        stop.abort();
        await Promise.all(running);
        servers.close();
        log.info({}, "stopped");
      }
    },
  };

  /** The apiserver may be away for a while. */
  async function prepare(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      try {
        await parts.prepare(signal);
        return true;
      } catch {
        await sleep(clock, PREPARE_AGAIN_MS, signal);
      }
    }
    return false;
  }
}

/** Renews in the background; tells when the lease is lost, and gives it back when asked to. */
function keepLease(elector: LeaderElector, lost: AbortController): () => Promise<void> {
  const released = new AbortController();
  const ended = elector.hold(released.signal).then((held) => {
    if (!held) lost.abort();
  });
  return () => {
    released.abort();
    return ended;
  };
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });

async function serveAll(options: Options, routes: Routes, tls: Tls | undefined) {
  const metricsAddress = options["metrics-bind-address"];
  const probeAddress = options["health-probe-bind-address"];
  const only = (...paths: string[]): Routes =>
    Object.fromEntries(Object.entries(routes).filter(([path]) => paths.includes(path)));
  const servers = new Map<string, { port: number; close(): void }>();
  // Two free ports are not the same port.
  if (metricsAddress === probeAddress && !/(^|:)0$/.test(metricsAddress))
    servers.set("metrics", await serve(metricsAddress, routes, tls));
  else {
    if (metricsAddress !== "0") servers.set("metrics", await serve(metricsAddress, only("/metrics"), tls));
    if (probeAddress !== "0") servers.set("probes", await serve(probeAddress, only("/healthz", "/readyz")));
  }
  return {
    ports: Object.fromEntries([...servers].map(([name, { port }]) => [`${name}Port`, port])),
    close: () => servers.forEach((server) => server.close()),
  };
}
