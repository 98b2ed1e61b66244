import { describe, expect, it } from "@jest/globals";
import { Pace } from "../../src/runtime/pace.ts";
import { projectSync } from "../../src/cluster/sync-object.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { newTriggered } from "../support/triggered.ts";

describe("a pace", () => {
  it("lets so many be handled at once, and then one each so often", async () => {
    const clock = new FakeClock();
    const pace = new Pace({ clock, atOnce: 5, everyMs: 10_000 });
    const waits = () => Array.from({ length: 7 }, () => pace.waitMs("k"));
    expect(waits()).toEqual([0, 0, 0, 0, 0, 10_000, 10_000]);
    expect(pace.waitMs("other")).toBe(0);
    await clock.advance(10_000);
    expect(waits().slice(0, 2)).toEqual([0, 10_000]);
    await clock.advance(60_000);
    expect(waits().slice(0, 6)).toEqual([0, 0, 0, 0, 0, 10_000]);
  });

  it("holds to a long interval", async () => {
    const clock = new FakeClock();
    const pace = new Pace({ clock, atOnce: 5, everyMs: 3_600_000 });
    let handled = 0;
    for (let turn = 0; turn < 40; turn++) {
      if (pace.waitMs("k") === 0) handled++;
      await clock.advance(100);
    }
    expect(handled).toBe(5);
    expect([pace.isPaced("k"), pace.isPaced("other")]).toEqual([true, false]);
    await clock.advance(5 * 3_600_000);
    expect(pace.isPaced("k")).toBe(false);
  });
});

describe("a SecretSync that somebody changes all the time", () => {
  const arrange = () => {
    const { clock, views, queue } = newTriggered((_kind, error) => {
      throw error;
    });
    let version = 0;
    const put = (generation: number, more: Record<string, unknown> = {}) =>
      views.syncs.set(
        projectSync({
          metadata: {
            name: "a",
            namespace: "evil",
            uid: "u",
            resourceVersion: `${10 + ++version}`,
            generation,
            ...more,
          },
          spec: {},
        } as never),
      );
    /** How often it was handled. */
    const take = async () => {
      if (queue.readyCount === 0) return 0;
      const taking = queue.take();
      await clock.advance(1);
      queue.done((await taking)!.key);
      return 1;
    };
    return { clock, views, put, take };
  };

  it("is handled at once for as many edits as a user makes, and then each five seconds", async () => {
    const { clock, put, take } = arrange();
    put(1);
    expect(await take()).toBe(1);
    let handled = 0;
    for (let edit = 2; edit < 302; edit++) {
      put(edit);
      handled += await take();
      await clock.advance(100);
    }
    // Thirty, and in thirty seconds some more: those that waited, and the next ones that don't.
    expect(handled).toBeGreaterThanOrEqual(30);
    expect(handled).toBeLessThanOrEqual(44);
    await clock.advance(5_000);
    expect(await take()).toBe(1);
  });

  it("gets around it neither by being deleted and made anew, nor is its deletion held up", async () => {
    const { clock, views, put, take } = arrange();
    for (let edit = 1; edit < 40; edit++) put(edit);
    await take();
    put(41, { deletionTimestamp: "2026-01-01T00:00:00Z" });
    expect(await take()).toBe(1);
    views.syncs.delete("evil/a", "u");
    put(1, { uid: "another" });
    expect(await take()).toBe(0);
    await clock.advance(5_000);
    expect(await take()).toBe(1);
  });
});
