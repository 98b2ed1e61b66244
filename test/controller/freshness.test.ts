import { describe, expect, it } from "@jest/globals";
import { Freshness, GRACE_MS } from "../../src/controller/freshness.ts";
import { FakeClock } from "../support/fake-clock.ts";

const now = { uid: "u", generation: 1, requestedAt: undefined };

function start() {
  const clock = new FakeClock();
  const freshness = new Freshness(clock);
  return { clock, freshness, in: (milliseconds: number) => clock.monotonic() + milliseconds };
}

describe("an object", () => {
  it("needs no look until its time has come, or it is another one, or it asks for one", async () => {
    const { clock, freshness, in: inMs } = start();
    const until = inMs(1_000);
    freshness.succeeded(
      "k",
      { ...now, until },
      { nextRotation: undefined, verified: false },
      freshness.epoch("k"),
    );
    expect(freshness.freshUntil("k", now)).toBe(until);
    for (const change of [{ uid: "v" }, { generation: 2 }, { requestedAt: "1" }])
      expect(freshness.freshUntil("k", { ...now, ...change })).toBeUndefined();
    await clock.advance(1_000);
    expect(freshness.freshUntil("k", now)).toBeUndefined();
  });

  it("whose provider changed while it was looked at must be looked at again", () => {
    const { freshness, in: inMs } = start();
    const before = freshness.epoch("k");
    freshness.expire("k");
    freshness.succeeded(
      "k",
      { ...now, until: inMs(1_000) },
      { nextRotation: undefined, verified: false },
      before,
    );
    expect(freshness.freshUntil("k", now)).toBeUndefined();
    expect(freshness.mustLook("k")).toBe(true);
    freshness.succeeded(
      "k",
      { ...now, until: inMs(1_000) },
      { nextRotation: undefined, verified: false },
      freshness.epoch("k"),
    );
    expect(freshness.mustLook("k")).toBe(false);
  });

  it("is overdue when it wasn't looked at in time, whether it was ever looked at or not", async () => {
    const { clock, freshness, in: inMs } = start();
    freshness.succeeded(
      "seen",
      { ...now, until: inMs(1_000) },
      { nextRotation: undefined, verified: false },
      freshness.epoch("seen"),
    );
    freshness.succeeded(
      "once",
      { ...now, until: Infinity },
      { nextRotation: undefined, verified: false },
      freshness.epoch("once"),
    );
    freshness.failed("failed", 5_000, undefined);
    expect(freshness.overdueCount([])).toBe(0);
    await clock.advance(1_000 + GRACE_MS + 1);
    expect(freshness.overdueCount([])).toBe(1);
    expect(freshness.overdueCount(["seen", "new"])).toBe(2);
    await clock.advance(5_000);
    expect(freshness.overdueCount([])).toBe(2);
    freshness.forget("seen");
    expect(freshness.overdueCount([])).toBe(1);
  });
});
