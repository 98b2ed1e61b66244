import { LeaseLostError } from "../../kube/fence.ts";
import { ApiError } from "../../kube/kube-api.ts";
import { TimeLimit, type Clock } from "../../runtime/clock.ts";
import type { Taken, WorkQueue } from "../../runtime/work-queue.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { Tracing } from "../../telemetry/tracing.ts";
import type { Freshness } from "./freshness.ts";
import type { Lane } from "./lanes.ts";
import type { Next, Reconcile } from "./reconciler.ts";

/** From the end of a reconcile to the queue: when the object is due again. */
export interface Settler {
  handle(taken: Taken<Lane>, free: () => void): Promise<void>;
  /** The apiserver failed, or we have a bug: this object waits, the others go on. */
  onBug(error: unknown, taken: Taken<Lane>): void;
}

export function newSettler(options: {
  readonly queue: WorkQueue<Lane>;
  readonly reconcile: Reconcile;
  readonly freshness: Pick<Freshness, "failed">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
}): Settler {
  const { queue, reconcile, freshness, clock, log, metrics, tracing } = options;

  const settle = (key: string, next: Next) => {
    switch (next.kind) {
      case "gone":
        queue.forget(key);
        return;
      case "polled":
      case "never":
        queue.forget(key);
        metrics.reconciles.inc({ result: "success" });
        return;
      case "at":
        queue.forget(key);
        queue.addAt(key, next.at, next.result === "success" ? "periodic" : "failing");
        metrics.reconciles.inc({ result: next.result });
        return;
      case "backoff":
        queue.retry(key, "failing", next.atLeastMs, next.atMostMs);
        metrics.reconciles.inc({ result: "retry" });
    }
  };
  const resultOf = (next: Next) => {
    if (next.kind === "gone") return "gone";
    if (next.kind === "polled") return "success";
    return next.kind === "backoff" ? "retry" : next.result;
  };

  return {
    async handle({ key, lane, dueSince }: Taken<Lane>, free: () => void): Promise<void> {
      const started = clock.monotonic();
      const limit = new TimeLimit(clock, RECONCILE_MS, "the reconcile");
      try {
        const refresh = lane === "periodic";
        const freshAfter = refresh ? dueSince - PERIODIC_SLACK_MS : dueSince;
        const attributes = { "secretsync.object": key, "secretsync.lane": lane };
        const next = await tracing.span({ name: "reconcile", attributes }, async (span) => {
          const end = await reconcile(key, { refresh, freshAfter }, { limit, free });
          const result = resultOf(end);
          span.set({ "secretsync.result": result });
          if (result === "retry" || result === "stalled") span.fail(result);
          return end;
        });
        settle(key, next);
      } finally {
        limit.pause();
        metrics.reconcileSeconds.observe((clock.monotonic() - started) / 1000);
      }
    },

    onBug(error: unknown, { key }: Taken<Lane>): void {
      const isBusy = error instanceof ApiError && error.isTransient;
      const retryInMs = queue.retry(key, "failing", isBusy ? (error.retryAfterSeconds ?? 0) * 1_000 : 0);
      if (error instanceof LeaseLostError) return;
      freshness.failed(key, retryInMs);
      if (isBusy) {
        metrics.reconciles.inc({ result: "retry" });
        log.debug({ secretsync: key, retryInMs: Math.round(retryInMs), err: error }, "the apiserver is busy");
        return;
      }
      metrics.reconciles.inc({ result: "error" });
      log.error({ secretsync: key, retryInMs: Math.round(retryInMs), err: error }, "reconcile failed");
    },
  };
}

const RECONCILE_MS = 120_000;
/** Timers of one moment fire over some milliseconds; a sweep that the first of them started serves the others too. */
const PERIODIC_SLACK_MS = 100;
