import { describe, expect, it } from "@jest/globals";
import * as fc from "fast-check";
import { Limiter } from "../../src/fetch/limiter.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";

describe("the limiter", () => {
  it("lets so many calls run at once, of all operations together, and the next when one ends", async () => {
    const limiter = new Limiter(new FakeClock(), { requestsPerSecond: 1000, maxConcurrent: 2 });
    const ends: (() => void)[] = [];
    const running = { read: 0, list: 0 };
    for (const operation of ["read", "list", "read", "list"] as const) {
      void limiter.run(operation, "shop", () => {
        running[operation]++;
        return new Promise<void>((resolve) => ends.push(resolve)).then(() => void running[operation]--);
      });
    }
    await settle();
    expect(running).toEqual({ read: 1, list: 1 });
    ends.shift()?.();
    await settle();
    expect(running.read + running.list).toBe(2);
    expect(ends).toHaveLength(2);
  });

  it("keeps to the rate over time, after a first burst", async () => {
    const clock = new FakeClock();
    const limiter = new Limiter(clock, { requestsPerSecond: 10, maxConcurrent: 100 });
    let done = 0;
    for (let call = 0; call < 100; call++) void limiter.run("read", "shop", () => Promise.resolve(done++));
    await clock.advance(0);
    expect(done).toBe(10);
    await clock.advance(3_000);
    expect(done).toBeGreaterThanOrEqual(39);
    expect(done).toBeLessThanOrEqual(41);
  });

  it("halves when throttled, to one at the least, and grows back with successes", () => {
    const limiter = new Limiter(new FakeClock(), { requestsPerSecond: 10, maxConcurrent: 16 });
    for (let time = 0; time < 3; time++) limiter.throttled("read", 0);
    expect(limiter.windowOf("read")).toBe(2);
    for (let time = 0; time < 10; time++) limiter.throttled("read", 0);
    expect(limiter.windowOf("read")).toBe(1);
    expect(limiter.windowOf("list")).toBe(16);
    for (let time = 0; time < 500; time++) limiter.succeeded("read");
    expect(limiter.windowOf("read")).toBe(16);
  });

  it("holds up only the operation that was throttled, for as long as the provider wants", async () => {
    const clock = new FakeClock();
    const limiter = new Limiter(clock, { requestsPerSecond: 100, maxConcurrent: 4 });
    limiter.throttled("list", 5_000);
    const done: string[] = [];
    for (const operation of ["list", "read"])
      void limiter.run(operation, "shop", () => Promise.resolve(done.push(operation)));
    await clock.advance(4_999);
    expect(done).toEqual(["read"]);
    await clock.advance(1);
    expect(done).toEqual(["read", "list"]);
  });

  it("doesn't let one operation starve another", async () => {
    const clock = new FakeClock();
    const limiter = new Limiter(clock, { requestsPerSecond: 1, maxConcurrent: 4 });
    const done: string[] = [];
    for (let call = 0; call < 20; call++)
      void limiter.run("read", "shop", () => Promise.resolve(done.push("read")));
    void limiter.run("list", "shop", () => Promise.resolve(done.push("list")));
    await clock.advance(4_000);
    expect(done).toContain("list");
  });

  it("lets shares take turns, so that a flood of one holds up nobody", async () => {
    const limiter = new Limiter(new FakeClock(), { requestsPerSecond: 1_000, maxConcurrent: 1 });
    const order: string[] = [];
    const call = (share: string, name: string) =>
      limiter.run("read", share, () => Promise.resolve(order.push(name)));
    const flood = Array.from({ length: 50 }, (_, index) => call("flood", `f${index}`));
    await Promise.all([...flood, call("victim", "v"), call("other", "o")]);
    expect(order.slice(0, 4)).toEqual(["f0", "f1", "v", "o"]);
  });

  it("takes other limits for what is to come, and for who waits", async () => {
    const clock = new FakeClock();
    const limiter = new Limiter(clock, { requestsPerSecond: 1, maxConcurrent: 1 });
    let done = 0;
    for (let call = 0; call < 20; call++) void limiter.run("read", "shop", () => Promise.resolve(done++));
    await clock.advance(0);
    expect(done).toBe(1);
    limiter.setLimits({ requestsPerSecond: 100, maxConcurrent: 8 });
    expect(limiter.windowOf("read")).toBe(8);
    await clock.advance(1_000);
    expect(done).toBe(20);
    limiter.setLimits({ requestsPerSecond: 100, maxConcurrent: 2 });
    expect(limiter.windowOf("read")).toBe(2);
  });

  it("gives a slot back when a call throws, and a token that wasn't used", async () => {
    const clock = new FakeClock();
    const limiter = new Limiter(clock, { requestsPerSecond: 1, maxConcurrent: 1 });
    await expect(limiter.run("read", "shop", () => Promise.reject(new Error("x")))).rejects.toThrow("x");
    limiter.giveBack();
    expect(await limiter.run("read", "shop", () => Promise.resolve("next"))).toBe("next");
  });

  it("never goes beyond rate, calls at once or a pause, and serves everybody, over random histories", async () => {
    const call = fc.record({
      operation: fc.constantFrom("read", "list"),
      afterMs: fc.nat(300),
      takesMs: fc.nat(300),
      throttledMs: fc.option(fc.nat(500), { nil: undefined }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(call, { maxLength: 40, size: "max" }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 5 }),
        async (calls, requestsPerSecond, maxConcurrent) => {
          const clock = new FakeClock();
          const limiter = new Limiter(clock, { requestsPerSecond, maxConcurrent });
          const starts: number[] = [];
          const pausedUntil: Record<string, number> = {};
          let running = 0;
          let served = 0;
          for (const { operation, afterMs, takesMs, throttledMs } of calls) {
            await clock.advance(afterMs);
            void limiter.run(operation, "shop", async () => {
              starts.push(clock.monotonic());
              expect(++running).toBeLessThanOrEqual(maxConcurrent);
              expect(clock.monotonic()).toBeGreaterThanOrEqual(pausedUntil[operation] ?? 0);
              await new Promise<void>((resolve) => void clock.after(takesMs, resolve));
              running--;
              served++;
              if (throttledMs === undefined) limiter.succeeded(operation);
              else {
                limiter.throttled(operation, throttledMs);
                pausedUntil[operation] = Math.max(
                  pausedUntil[operation] ?? 0,
                  clock.monotonic() + throttledMs,
                );
              }
            });
          }
          await clock.advance(200_000);
          expect(served).toBe(calls.length);
          // In no second more than a burst and what was earned meanwhile.
          for (const since of starts) {
            const within = starts.filter((at) => at >= since && at < since + 1_000).length;
            expect(within).toBeLessThanOrEqual(2 * requestsPerSecond);
          }
        },
      ),
      { numRuns: 100 },
    );
  });
});
