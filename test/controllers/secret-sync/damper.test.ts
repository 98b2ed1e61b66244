import { describe, expect, it } from "@jest/globals";
import { Damper, RewriteDamper } from "../../../src/controllers/secret-sync/damper.ts";
import { DriftTimes } from "../../../src/cluster/drift.ts";
import { FakeClock } from "../../support/fake-clock.ts";

describe("repairs", () => {
  it("come at once at first, and later and later against somebody who goes on", async () => {
    const clock = new FakeClock();
    const damper = new Damper(clock);
    const waits: number[] = [];
    for (let repair = 0; repair < 14; repair++) {
      waits.push(damper.waitMs("k"));
      await clock.advance(waits.at(-1)! + 10);
    }
    expect(waits).toEqual([0, 0, 0, 0, 0, 1e3, 2e3, 4e3, 8e3, 16e3, 32e3, 60e3, 60e3, 60e3]);
    expect(damper.waitMs("other")).toBe(0);
  });

  it("come at once again after some peace, or for a new object", async () => {
    const clock = new FakeClock();
    const damper = new Damper(clock);
    for (let repair = 0; repair < 8; repair++) damper.waitMs("k");
    await clock.advance(5 * 60_000);
    expect(damper.waitMs("k")).toBe(0);
    for (let repair = 0; repair < 8; repair++) damper.waitMs("k");
    damper.forget("k");
    expect(damper.waitMs("k")).toBe(0);
  });
});

describe("writes into a workload that somebody takes back", () => {
  const waits = async (restart: boolean, times: number) => {
    const clock = new FakeClock();
    const damper = new RewriteDamper(clock);
    const all: number[] = [];
    for (let write = 0; write < times; write++) {
      const { waitMs = 0 } = damper.pause("w", "db", "t1") ?? {};
      all.push(waitMs);
      await clock.advance(waitMs);
      damper.wrote("w", "db", "t1", restart);
    }
    return { clock, damper, all };
  };

  it("come at once at first, those that start pods once more only, and then later and later", async () => {
    expect((await waits(false, 8)).all).toEqual([0, 0, 0, 0, 0, 1_000, 2_000, 4_000]);
    expect((await waits(true, 11)).all).toEqual([
      0, 0, 5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 600_000, 600_000,
    ]);
  });

  it("come at once for another change, another Secret, another workload, and after some peace", async () => {
    const { clock, damper } = await waits(true, 4);
    expect(damper.pause("w", "db", "t1")?.writtenAt).toBe(clock.now());
    expect(damper.pause("w", "db", "t2")).toBeUndefined();
    expect(damper.pause("w", "tls", "t1")).toBeUndefined();
    expect(damper.pause("v", "db", "t1")).toBeUndefined();
    await clock.advance(20_000 + 5 * 60_000);
    damper.wrote("w", "db", "t1", true);
    expect(damper.pause("w", "db", "t1")).toBeUndefined();
  });

  it("are remembered of so many Secrets as a note tells of", async () => {
    const { damper } = await waits(true, 1);
    for (let index = 0; index < 128; index++) damper.wrote("w", `db/${index}`, "t1", false);
    expect([damper.knows("w", "db"), damper.knows("w", "db/0")]).toEqual([false, true]);
  });

  it("are known until the Secret or the workload is forgotten", async () => {
    const { damper } = await waits(true, 1);
    damper.wrote("w", "tls", "t1", false);
    damper.forget("w", "db");
    expect([damper.knows("w", "db"), damper.knows("w", "tls")]).toEqual([false, true]);
    damper.forget("w");
    expect(damper.knows("w", "tls")).toBe(false);
  });
});

describe("the time since when a Secret isn't as it was left", () => {
  it("is the first that was seen, until the operator writes it again", async () => {
    const clock = new FakeClock();
    const drift = new DriftTimes(clock);
    expect(drift.since("shop/db")).toBeUndefined();
    drift.note("shop/db");
    const first = new Date(clock.now()).toISOString();
    await clock.advance(5_000);
    drift.note("shop/db");
    expect(drift.since("shop/db")).toBe(first);
    drift.forget("shop/db");
    expect(drift.since("shop/db")).toBeUndefined();
  });

  it("is kept of a thousand in each namespace, so that none can have that of another forgotten", () => {
    const drift = new DriftTimes(new FakeClock());
    drift.note("victim/db");
    for (let index = 0; index <= 1_000; index++) drift.note(`shop/${index}`);
    expect(drift.since("shop/0")).toBeUndefined();
    expect(drift.since("shop/1")).toBeDefined();
    expect(drift.since("victim/db")).toBeDefined();
  });
});
