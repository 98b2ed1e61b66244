import { describe, expect, it } from "@jest/globals";
import { Freshness, GRACE_MS } from "../../../src/controllers/secret-sync/freshness.ts";
import { FakeClock } from "../../support/fake-clock.ts";

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

describe("what is written to be sure", () => {
  const seen = { nextRotation: undefined, verified: false };
  it("is due five to ten minutes after it was first seen, and ten after each time, but not right after a start", async () => {
    const { clock, freshness, in: inMs } = start();
    const look = (verified: boolean) =>
      freshness.succeeded("k", { ...now, until: inMs(1) }, { ...seen, verified }, freshness.epoch("k"));
    // What was never read is read, and written only if it differs.
    expect(freshness.mustReadExactly("k")).toBe(true);
    expect(freshness.mustVerify("k")).toBe(false);
    look(false);
    await clock.advance(5 * 60_000 - 1);
    look(false);
    freshness.failed("k", 1_000);
    expect(freshness.mustReadExactly("k")).toBe(false);
    expect(freshness.mustVerify("k")).toBe(false);
    await clock.advance(5 * 60_000 + 1);
    expect(freshness.mustReadExactly("k")).toBe(true);
    expect(freshness.mustVerify("k")).toBe(true);
    look(true);
    await clock.advance(10 * 60_000 - 1);
    expect(freshness.mustVerify("k")).toBe(false);
    await clock.advance(1);
    expect(freshness.mustVerify("k")).toBe(true);
  });

  it("is due at different times for those that were first seen together", async () => {
    const { clock, freshness, in: inMs } = start();
    const keys = Array.from({ length: 100 }, (_, index) => `shop/app-${index}`);
    for (const key of keys)
      freshness.succeeded(key, { ...now, until: inMs(1) }, { ...seen, verified: false }, 0);
    await clock.advance(7.5 * 60_000);
    const due = keys.filter((key) => freshness.mustVerify(key)).length;
    expect(due).toBeGreaterThan(20);
    expect(due).toBeLessThan(80);
  });
});

describe("versions that give no Secret", () => {
  const stalled = { fingerprint: "f", failure: { reason: "TooLarge", message: "m" } } as const;
  it("are remembered for five minutes, through failures, until something else changes", async () => {
    const { clock, freshness } = start();
    freshness.stalled("k", stalled);
    freshness.failed("k", 1_000);
    expect(freshness.stalledBy("k")).toMatchObject(stalled);
    await clock.advance(5 * 60_000);
    expect(freshness.stalledBy("k")).toBeUndefined();
    freshness.stalled("k", stalled);
    freshness.expire("k");
    expect(freshness.stalledBy("k")).toBeUndefined();
    freshness.stalled("k", stalled);
    freshness.forget("k");
    expect(freshness.stalledBy("k")).toBeUndefined();
  });
});
