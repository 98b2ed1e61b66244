import { describe, expect, it } from "@jest/globals";
import { KeptBytes } from "../../src/fetch/kept-bytes.ts";
import { Noted } from "../../src/fetch/noted.ts";
import { Recent } from "../../src/fetch/recent.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";

describe("what is noted", () => {
  it("is remembered for a while, and so many of them", async () => {
    const clock = new FakeClock();
    const noted = new Noted(clock, 1_000, new KeptBytes(205));
    noted.note("a");
    await clock.advance(600);
    noted.note("b");
    expect([noted.has("a"), noted.has("a", 500), noted.has("b"), noted.has("c")]).toEqual([
      true,
      false,
      true,
      false,
    ]);
    noted.note("c");
    expect([noted.has("a"), noted.has("b"), noted.has("c")]).toEqual([false, true, true]);
    noted.forget("c");
    await clock.advance(1_001);
    expect([noted.has("b"), noted.has("c")]).toEqual([false, false]);
  });
});

describe("what was noted long ago", () => {
  it("takes no room once something else is noted", async () => {
    const clock = new FakeClock();
    const kept = new KeptBytes(1_000);
    const noted = new Noted(clock, 1_000, kept);
    for (const id of ["a", "b"]) noted.note(id);
    await clock.advance(1_001);
    noted.note("c");
    expect(kept.total).toBe(101);
    noted.forgetAll();
    expect(kept.total).toBe(0);
  });
});

describe("answers that are kept for others", () => {
  const newRecent = (clock: FakeClock, kept: KeptBytes) =>
    new Recent<number>({ clock, keepMs: 10_000, kept, weightOf: (weight) => weight });

  it("weigh no more than they may together, the oldest going first", async () => {
    const clock = new FakeClock();
    const kept = new KeptBytes(10_000);
    const recent = newRecent(clock, kept);
    const keys = ["a", "b", "c"];
    for (const key of keys) recent.set(key, Promise.resolve(4_000), () => true);
    recent.set("not shared", Promise.resolve(100_000), () => false);
    await settle();
    const left = () => keys.filter((key) => recent.get(key, 0) !== undefined);
    expect(left()).toEqual(["b", "c"]);
    recent.set("b", Promise.resolve(1_000), () => true);
    recent.set("d", Promise.resolve(4_500), () => true);
    await settle();
    expect(left()).toEqual(["b", "c"]);
    recent.set("huge", Promise.resolve(11_000), () => true);
    await settle();
    expect(left()).toEqual([]);
    expect(recent.get("huge", 0)).toBeUndefined();
    expect(kept.total).toBe(0);
  });

  it("are forgotten by whichever cache keeps most, however many caches there are", async () => {
    const clock = new FakeClock();
    const kept = new KeptBytes(100_000);
    const victim = newRecent(clock, kept);
    victim.set("v", Promise.resolve(900), () => true);
    const flood = Array.from({ length: 64 }, () => newRecent(clock, kept));
    for (const [index, recent] of flood.entries())
      for (let key = 0; key < 20; key++) recent.set(`${index}-${key}`, Promise.resolve(900), () => true);
    await settle();
    expect(kept.total).toBeLessThanOrEqual(100_000);
    expect(kept.total).toBeGreaterThan(90_000);
    expect(victim.get("v", 0)).toBeDefined();
    for (const recent of flood) recent.forgetAll();
    expect(kept.total).toBe(1_001);
  });
});
