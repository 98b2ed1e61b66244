import { beforeEach, describe, expect, it } from "@jest/globals";
import { Caller, failureOf, type CallerOptions } from "../../src/fetch/caller.ts";
import type { ReadResult } from "../../src/providers/contract.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { failure } from "../support/fake-store.ts";
import { found, missing } from "../support/gen.ts";

let clock: FakeClock;
let caller: Caller;
/** Milliseconds from the start at which calls went out. */
let sentAt: number[];
let observed: string[];
let recovered: number;

/** A caller that counts what goes on. */
const newCaller = (more: Partial<CallerOptions> = {}) =>
  new Caller({
    clock,
    random: () => 0.5,
    limits: { requestsPerSecond: 100, maxConcurrent: 4 },
    observe: async (_operation, call, resultOf) => {
      const answer = await call();
      observed.push(resultOf(answer));
      return answer;
    },
    onRecovered: () => recovered++,
    ...more,
  });

beforeEach(() => {
  clock = new FakeClock();
  sentAt = [];
  observed = [];
  recovered = 0;
  caller = newCaller();
});

const down = failure("ProviderUnreachable", "provider");
/** Answers in this order, the last one for ever. */
function provider(...answers: readonly ReadResult[]) {
  const start = clock.monotonic();
  let index = 0;
  return () => {
    sentAt.push(clock.monotonic() - start);
    return Promise.resolve(answers[Math.min(index++, answers.length - 1)]!);
  };
}
const ask = (send: (signal: AbortSignal) => Promise<ReadResult>, question = "k") =>
  caller.call({ operation: "read", question: () => question, share: "shop" }, send, failureOf);

async function after<T>(milliseconds: number, work: Promise<T>): Promise<T> {
  await clock.advance(milliseconds);
  return work;
}
const opened = async () => {
  for (const question of ["a", "b", "c"]) await after(1_201, ask(provider(down), question));
  sentAt.length = 0;
};

describe("a call", () => {
  it("waits for its turn among others than the provider's, and its time begins with it", async () => {
    let turn = (): void => undefined;
    caller = newCaller({ inTurn: (work) => new Promise<void>((resolve) => (turn = resolve)).then(work) });
    const answer = ask(provider(found("v")));
    await clock.advance(60_000);
    expect(sentAt).toEqual([]);
    turn();
    expect((await answer).kind).toBe("found");
    expect(sentAt).toEqual([60_000]);
  });

  it("that fails for all is tried three times, after growing pauses", async () => {
    expect(await after(10_000, ask(provider(down)))).toEqual(down);
    expect(sentAt).toEqual([0, 400, 1_200]);
  });

  it("that fails for its key alone isn't tried again", async () => {
    const denied = failure("AccessDenied", "request");
    expect(await after(10_000, ask(provider(denied)))).toEqual(denied);
    expect(sentAt).toEqual([0]);
  });

  it("that took long to fail isn't tried again", async () => {
    const slow = async () => {
      sentAt.push(clock.monotonic());
      await new Promise<void>((resolve) => clock.after(3_000, resolve));
      return down;
    };
    await after(10_000, ask(slow));
    expect(sentAt).toHaveLength(1);
  });

  it.each([
    [2_000, 2],
    [2_001, 1],
  ])("that is asked to wait %d ms is sent %d times", async (retryAfterMs, times) => {
    void ask(provider(failure("ProviderUnreachable", "provider", retryAfterMs), found("v")));
    await clock.advance(60_000);
    expect(sentAt).toHaveLength(times);
  });

  it.each([
    [30_000, "found"],
    [30_001, "failed"],
  ])("that is throttled for %d ms ends as %s", async (retryAfterMs, kind) => {
    const throttled = failure("RateLimited", "provider", retryAfterMs);
    const result = await after(60_000, ask(provider(throttled, found("v"))));
    expect(result.kind).toBe(kind);
  });

  it("that is throttled is no sign that the provider is down", async () => {
    const throttled = failure("RateLimited", "provider", 1);
    for (const question of ["a", "b", "c"]) await after(10_000, ask(provider(throttled), question));
    expect(await after(10_000, ask(provider(found("v"))))).toMatchObject({ kind: "found" });
    expect(recovered).toBe(0);
  });

  it("is noted by how it ended", async () => {
    await after(0, ask(provider(found("v"))));
    await after(0, ask(provider(missing)));
    await after(0, ask(provider(failure("AccessDenied", "request"))));
    expect(observed).toEqual(["success", "missing", "AccessDenied"]);
  });

  it("leaves no timer behind", async () => {
    await after(0, ask(provider(found("v"))));
    await clock.advance(1_000);
    expect(clock.pendingTimers).toBe(0);
  });
});

describe("a provider that is down", () => {
  it("costs those who are turned away none of the rate", async () => {
    await opened();
    await Promise.all(Array.from({ length: 500 }, () => ask(provider(down))));
    expect(sentAt).toEqual([]);
    await after(1_000, ask(provider(found("v"))));
    sentAt.length = 0;
    const calls = Array.from({ length: 50 }, () => ask(provider(found("v"))));
    await clock.advance(0);
    expect(sentAt).toHaveLength(50);
    await Promise.all(calls);
  });

  it("stays down when the call that looks breaks, and frees those who wait for it", async () => {
    await opened();
    await clock.advance(1_000);
    const broken = Promise.withResolvers<ReadResult>();
    const probe = ask(() => broken.promise);
    const waiting = ask(provider(found("v")));
    await clock.advance(0);
    broken.reject(new Error("a bug"));
    await expect(probe).rejects.toThrow("a bug");
    expect(await waiting).toMatchObject({ kind: "failed" });
    expect(sentAt).toEqual([]);
  });

  it("isn't what a bug in one call is", async () => {
    for (let count = 0; count < 5; count++)
      await expect(ask(() => Promise.reject(new Error("a bug")))).rejects.toThrow("a bug");
    expect(await after(0, ask(provider(found("v"))))).toMatchObject({ kind: "found" });
  });
});
