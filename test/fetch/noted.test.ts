import { describe, expect, it } from "@jest/globals";
import { Noted } from "../../src/fetch/noted.ts";
import { Recent } from "../../src/fetch/recent.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";

describe("what is noted", () => {
  it("is remembered for a while, and so many of them", async () => {
    const clock = new FakeClock();
    const noted = new Noted(clock, 1_000, 2);
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

describe("answers that are kept for others", () => {
  it("weigh no more than they may together, the oldest going first", async () => {
    const clock = new FakeClock();
    const recent = new Recent<number>({ clock, keepMs: 10_000, most: 10, weightOf: (weight) => weight });
    const keys = ["a", "b", "c"];
    for (const key of keys) recent.set(key, Promise.resolve(4), () => true);
    recent.set("not shared", Promise.resolve(100), () => false);
    await settle();
    const kept = () => keys.filter((key) => recent.get(key, 0) !== undefined);
    expect(kept()).toEqual(["b", "c"]);
    recent.set("b", Promise.resolve(1), () => true);
    recent.set("d", Promise.resolve(5), () => true);
    await settle();
    expect(kept()).toEqual(["b", "c"]);
    recent.set("huge", Promise.resolve(11), () => true);
    await settle();
    expect(kept()).toEqual([]);
    expect(recent.get("huge", 0)).toBeUndefined();
  });
});
