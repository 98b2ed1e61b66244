import { beforeEach, describe, expect, it } from "@jest/globals";
import { queuePolicy, type Lane } from "../../src/controllers/secret-sync/lanes.ts";
import { newController, type Controller, type Next } from "../../src/controllers/controller.ts";
import { dueOf } from "../../src/controllers/secret-sync/task.ts";
import { namespaceOf } from "../../src/cluster/sync-object.ts";
import { LeaseLostError } from "../../src/kube/fence.ts";
import { ApiError } from "../../src/kube/kube-api.ts";
import { WorkQueue, type Taken } from "../../src/runtime/work-queue.ts";
import { newMetrics } from "../../src/telemetry/metrics.ts";
import { noTracing } from "../../src/telemetry/tracing.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";
import { noLogger } from "../support/no-logger.ts";
import { sumOf } from "../support/operator.ts";

/** From the end of a reconcile to the queue. */

const KEY = "shop/orders";
let clock: FakeClock;
let queue: WorkQueue<Lane>;
let metrics: ReturnType<typeof newMetrics>;
let next: Next;
/** Milliseconds until the next try, of each failure that was noted. */
let failures: number[];
let logged: string[];
let controller: Controller<Lane>;

beforeEach(() => {
  clock = new FakeClock();
  failures = [];
  logged = [];
  queue = new WorkQueue({ ...queuePolicy(4), shareOf: namespaceOf, clock, random: () => 0.5 });
  metrics = newMetrics({
    version: "1",
    lanes: [],
    kinds: [],
    providers: [],
    callFailures: ["AccessDenied", "ProviderUnreachable"],
    perObject: false,
    defaults: false,
  });
  controller = newController({
    kind: "SecretSync",
    queue,
    concurrency: 4,
    lanes: { success: "periodic", failure: "failing" },
    reconcile: (_taken, { limit }) =>
      new Promise((resolve, reject) => {
        if (next.kind !== "rest" || next.result !== "stalled") resolve(next);
        else limit.signal.addEventListener("abort", () => reject(limit.signal.reason as Error));
      }),
    onFailed: (_key, retryInMs) => failures.push(retryInMs),
    clock,
    log: {
      ...noLogger,
      debug: (_fields, message) => logged.push(`debug ${message}`),
      error: (_fields, message) => logged.push(`error ${message}`),
    },
    metrics,
    tracing: noTracing,
  });
});

async function taken(lane: Lane): Promise<Taken<Lane>> {
  queue.add(KEY, lane);
  return (await queue.take())!;
}
const counted = async (result: string) =>
  sumOf(await metrics.registry.metrics(), "secretsync_reconcile_total", { result });

/** In which lane the object is due again, and after how many milliseconds; undefined: nobody makes it due. */
async function dueAgain(): Promise<[string, number] | undefined> {
  const since = clock.monotonic();
  for (let waited = 0; waited < 400_000; waited += 500) {
    await clock.advance(500);
    for (const [lane, count] of queue.depth()) if (count > 0) return [lane, clock.monotonic() - since];
  }
  return undefined;
}

describe("an object that was looked at", () => {
  it.each<[string, () => Next, [string, number] | undefined, string | undefined]>([
    ["is gone", () => ({ kind: "gone" }), undefined, undefined],
    ["is woken by somebody else", () => ({ kind: "rest", result: "success" }), undefined, "success"],
    [
      "is refreshed at its time",
      () => ({ kind: "at", at: clock.monotonic() + 30_000, result: "success" }),
      ["periodic", 30_000],
      "success",
    ],
    [
      "must be helped by a person",
      () => ({ kind: "at", at: clock.monotonic() + 300_000, result: "stalled" }),
      ["failing", 300_000],
      "stalled",
    ],
    ["failed", () => ({ kind: "backoff", atLeastMs: 5_000 }), ["failing", 5_000], "retry"],
  ])("and %s", async (_what, ends, again, result) => {
    next = ends();
    const item = await taken("edit");
    await controller.handle(item, () => undefined);
    queue.done(KEY);
    if (result) expect(await counted(result)).toBe(1);
    expect(await dueAgain()).toEqual(again);
  });

  it("by a refresh may have been looked at a moment before; by anything else, only since it was due", () => {
    expect(dueOf({ lane: "periodic", dueSince: 1_000 })).toEqual({ look: "versions", freshAfter: 900 });
    expect(dueOf({ lane: "edit", dueSince: 1_000 })).toEqual({ look: "ifDue", freshAfter: 1_000 });
  });

  it("is counted by its kind", async () => {
    next = { kind: "rest", result: "success" };
    await controller.handle(await taken("edit"), () => undefined);
    const text = await metrics.registry.metrics();
    expect(sumOf(text, "secretsync_reconcile_total", { kind: "SecretSync", result: "success" })).toBe(1);
    expect(sumOf(text, "secretsync_reconcile_total", { kind: "ClusterSecretSync", result: "success" })).toBe(
      0,
    );
    expect(sumOf(text, "secretsync_reconcile_duration_seconds_count", { kind: "SecretSync" })).toBe(1);
  });

  it("for more than two minutes is given up", async () => {
    next = { kind: "rest", result: "stalled" };
    const handled = controller.handle(await taken("edit"), () => undefined);
    const failed = expect(handled).rejects.toThrow("the reconcile took too long");
    await clock.advance(120_000);
    await failed;
    await settle();
  });
});

describe("what a reconcile throws", () => {
  it.each<[string, unknown, [string, number], string, readonly string[], number]>([
    [
      "a busy apiserver",
      new ApiError(429, "TooManyRequests", "m", 7),
      ["failing", 7_000],
      "retry",
      ["debug the apiserver is busy"],
      1,
    ],
    [
      "an apiserver that is away",
      new ApiError(503, "ServiceUnavailable", "m"),
      ["failing", 1_000],
      "retry",
      ["debug the apiserver is busy"],
      1,
    ],
    ["a bug", new TypeError("x"), ["failing", 1_000], "error", ["error reconcile failed"], 1],
    // Another replica works on; nobody is told of a failure that is none.
    ["a lost lease", new LeaseLostError(), ["failing", 1_000], "error", [], 0],
  ])("%s makes that object wait", async (_what, error, again, result, told, noted) => {
    const item = await taken("edit");
    controller.onBug(error, item);
    queue.done(KEY);
    expect(logged).toEqual(told);
    expect(failures).toHaveLength(noted);
    expect(await counted(result)).toBe(noted);
    const [lane, ms] = (await dueAgain())!;
    expect(lane).toBe(again[0]);
    expect(ms).toBeGreaterThanOrEqual(again[1] / 2);
    expect(ms).toBeLessThanOrEqual(again[1] * 1.5 + 500);
  });
});
