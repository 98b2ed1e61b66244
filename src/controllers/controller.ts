import { LeaseLostError } from "../kube/fence.ts";
import { ApiError } from "../kube/kube-api.ts";
import { TimeLimit, type Clock } from "../runtime/clock.ts";
import type { Taken, WorkQueue } from "../runtime/work-queue.ts";
import { runWorkers } from "../runtime/workers.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics, ReconcileResult } from "../telemetry/metrics.ts";
import type { Tracing } from "../telemetry/tracing.ts";

/**
 * The engine of one kind: keys come from its queue, a reconcile brings each to where it should be, and what it answers decides when
 * the key comes back. Time limit, metrics, traces and logs of failures are the same for every kind.
 */
export interface ControllerOptions<Lane extends string> {
  /** Of its objects: label of metrics, and how logs name them. */
  readonly kind: string;
  readonly queue: WorkQueue<Lane>;
  /** Objects at once. */
  readonly concurrency: number;
  /** Where keys wait that come back by themselves. */
  readonly lanes: { readonly success: Lane; readonly failure: Lane };
  readonly reconcile: (taken: Taken<Lane>, task: Task) => Promise<Next>;
  /** It failed without an answer, and is tried again after so many milliseconds. */
  readonly onFailed?: (key: string, retryInMs: number) => void;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Pick<Metrics, "reconciles" | "reconcileSeconds">;
  readonly tracing: Tracing;
}

/** What a reconcile has of its worker. */
export interface Task {
  /** Ends what takes too long; paused while somebody else is waited for. */
  readonly limit: Pick<TimeLimit, "signal" | "pause" | "resume">;
  /** The worker takes the next key: what is left to do is light, or somebody else takes their time. */
  readonly free: () => void;
}

/** When to come back. */
export type Next =
  | { readonly kind: "gone" }
  /** Somebody else makes it due when there is something new. */
  | { readonly kind: "rest"; readonly result: ReconcileResult }
  /** Monotonic, so that the time of the writes that follow doesn't move it. */
  | { readonly kind: "at"; readonly at: number; readonly result: ReconcileResult }
  | { readonly kind: "backoff"; readonly atLeastMs: number; readonly atMostMs?: number };

export interface Controller<Lane extends string> {
  /** Works until the queue is closed and what was under way is done. */
  run(): Promise<void>;
  handle(taken: Taken<Lane>, free: () => void): Promise<void>;
  /** The apiserver failed, or we have a bug: this object waits, the others go on. */
  onBug(error: unknown, taken: Taken<Lane>): void;
}

const RECONCILE_MS = 120_000;

export function newController<Lane extends string>(options: ControllerOptions<Lane>): Controller<Lane> {
  const { kind, queue, concurrency, lanes, reconcile, onFailed, clock, log, metrics, tracing } = options;
  const name = kind.toLowerCase();
  const count = (result: ReconcileResult) => metrics.reconciles.inc({ kind, result });

  const settle = (key: string, next: Next) => {
    if (next.kind === "backoff") queue.retry(key, lanes.failure, next.atLeastMs, next.atMostMs);
    else queue.forget(key);
    if (next.kind === "at")
      queue.addAt(key, next.at, next.result === "success" ? lanes.success : lanes.failure);
    if (next.kind !== "gone") count(resultOf(next));
  };

  const handle = async (taken: Taken<Lane>, free: () => void): Promise<void> => {
    const { key, lane } = taken;
    const started = clock.monotonic();
    const limit = new TimeLimit(clock, RECONCILE_MS, "the reconcile");
    const attributes = { "secretsync.kind": kind, "secretsync.object": key, "secretsync.lane": lane };
    try {
      const next = await tracing.span({ name: "reconcile", attributes }, async (span) => {
        const end = await reconcile(taken, { limit, free });
        const result = end.kind === "gone" ? "gone" : resultOf(end);
        span.set({ "secretsync.result": result });
        if (result === "retry" || result === "stalled") span.fail(result);
        return end;
      });
      settle(key, next);
    } finally {
      limit.pause();
      metrics.reconcileSeconds.observe({ kind }, (clock.monotonic() - started) / 1000);
    }
  };

  const onBug = (error: unknown, { key }: Taken<Lane>): void => {
    const isBusy = error instanceof ApiError && error.isTransient;
    const retryInMs = queue.retry(key, lanes.failure, isBusy ? (error.retryAfterSeconds ?? 0) * 1_000 : 0);
    if (error instanceof LeaseLostError) return;
    onFailed?.(key, retryInMs);
    const fields = { [name]: key, retryInMs: Math.round(retryInMs), err: error };
    if (isBusy) {
      count("retry");
      log.debug(fields, "the apiserver is busy");
      return;
    }
    count("error");
    log.error(fields, "reconcile failed");
  };

  return { handle, onBug, run: () => runWorkers({ queue, concurrency, handle, onBug }) };
}

const resultOf = (next: Exclude<Next, { kind: "gone" }>): ReconcileResult =>
  next.kind === "backoff" ? "retry" : next.result;
