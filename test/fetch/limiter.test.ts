import { describe, expect, it } from "@jest/globals";
import { Limiter } from "../../src/fetch/limiter.ts";
import { FakeClock } from "../support/fake-clock.ts";

describe("the limiter", () => {
  it("lets so many calls run at once, and the next when one ends", async () => {
    const limiter = new Limiter(new FakeClock(), { requestsPerSecond: 1000, maxConcurrent: 2 });
    const ends: (() => void)[] = [];
    let running = 0;
    for (let call = 0; call < 4; call++) {
      void limiter.run(() => {
        running++;
        return new Promise<void>((resolve) => ends.push(resolve)).then(() => void running--);
      });
    }
    await new Promise(setImmediate);
    expect(running).toBe(2);
    ends.shift()?.();
    await new Promise(setImmediate);
    expect(running).toBe(2);
    expect(ends).toHaveLength(2);
  });

  it("keeps to the rate over time, after a first burst", async () => {
    const clock = new FakeClock();
    const limiter = new Limiter(clock, { requestsPerSecond: 10, maxConcurrent: 100 });
    let done = 0;
    for (let call = 0; call < 100; call++) void limiter.run(() => Promise.resolve(done++));
    await clock.advance(0);
    expect(done).toBe(10);
    await clock.advance(3_000);
    expect(done).toBeGreaterThanOrEqual(39);
    expect(done).toBeLessThanOrEqual(41);
  });

  it("halves when throttled, to one at the least, and grows back with successes", () => {
    const limiter = new Limiter(new FakeClock(), { requestsPerSecond: 10, maxConcurrent: 16 });
    for (let time = 0; time < 3; time++) limiter.throttled(0);
    expect(limiter.window).toBe(2);
    for (let time = 0; time < 10; time++) limiter.throttled(0);
    expect(limiter.window).toBe(1);
    for (let time = 0; time < 500; time++) limiter.succeeded();
    expect(limiter.window).toBe(16);
  });

  it("gives a slot back when a call throws", async () => {
    const limiter = new Limiter(new FakeClock(), { requestsPerSecond: 10, maxConcurrent: 1 });
    await expect(limiter.run(() => Promise.reject(new Error("x")))).rejects.toThrow("x");
    expect(await limiter.run(() => Promise.resolve("next"))).toBe("next");
  });
});
