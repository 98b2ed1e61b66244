import { describe, expect, it } from "@jest/globals";
import { TimeLimit } from "../../src/runtime/clock.ts";
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
