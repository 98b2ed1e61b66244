import { describe, expect, it } from "@jest/globals";
import { sleep, systemClock, TimeLimit } from "../../src/runtime/clock.ts";
import { FakeClock } from "../support/fake-clock.ts";

describe("a time limit", () => {
  it("aborts when the time is up, pauses not counted", async () => {
    const clock = new FakeClock();
    const limit = new TimeLimit(clock, 1_000, "the work");
    await clock.advance(600);
    limit.pause();
    limit.pause();
    await clock.advance(100_000);
    expect(limit.signal.aborted).toBe(false);
    limit.resume();
    limit.resume();
    await clock.advance(399);
    expect(limit.signal.aborted).toBe(false);
    await clock.advance(1);
    expect(limit.signal.reason).toEqual(new Error("the work took too long"));
  });

  it("leaves no timer behind while it is paused", () => {
    const clock = new FakeClock();
    new TimeLimit(clock, 1_000, "the work").pause();
    expect(clock.pendingTimers).toBe(0);
  });
});

describe("the clock", () => {
  it("of the system runs, calls back and can be cancelled", async () => {
    expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(1_000);
    const before = systemClock.monotonic();
    const called: string[] = [];
    const cancel = systemClock.after(0, () => called.push("cancelled"));
    // More than setTimeout takes, which would then call at once.
    const cancelLate = systemClock.after(2 ** 40, () => called.push("in 34 years"));
    cancel();
    await new Promise<void>((resolve) => systemClock.after(-5, resolve));
    await new Promise<void>((resolve) => systemClock.after(20, resolve));
    cancelLate();
    expect(called).toEqual([]);
    expect(systemClock.monotonic()).toBeGreaterThanOrEqual(before + 15);
  });

  it("sleeps until the time, or until it is told to stop", async () => {
    const clock = new FakeClock();
    const stop = new AbortController();
    let slept = false;
    void sleep(clock, 1_000, stop.signal).then(() => (slept = true));
    await clock.advance(999);
    expect(slept).toBe(false);
    await clock.advance(1);
    expect(slept).toBe(true);
    const stopped = sleep(clock, 1_000, stop.signal);
    stop.abort();
    await stopped;
    await sleep(clock, 1_000, stop.signal);
    expect(clock.pendingTimers).toBe(0);
  });
});
