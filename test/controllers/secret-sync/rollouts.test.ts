import { beforeEach, describe, expect, it } from "@jest/globals";
import { Rollouts } from "../../../src/controllers/secret-sync/rollouts.ts";
import type { Workload } from "../../../src/rollout/workload.ts";
import { FakeClock } from "../../support/fake-clock.ts";

let clock: FakeClock;
let rollouts: Rollouts;
beforeEach(() => {
  clock = new FakeClock();
  rollouts = new Rollouts(clock);
});

const left = (isRolling: boolean, restartedFor = "one", uid = "w") =>
  rollouts.leftMs({ uid, isRolling, restartedFor } as Workload);

describe("a rollout of a StatefulSet or a DaemonSet", () => {
  it("counts as stuck after ten minutes, until it is done", async () => {
    expect(left(true)).toBe(600_000);
    await clock.advance(599_999);
    expect([left(true), left(true, "one", "other")]).toEqual([1, 600_000]);
    await clock.advance(60_000);
    expect(left(true)).toBe(0);
    expect(left(false)).toBeUndefined();
    expect(left(true)).toBe(600_000);
  });

  it("has its time anew when it is another one, or of another workload of the name", async () => {
    left(true);
    await clock.advance(600_000);
    expect(left(true, "two")).toBe(600_000);
    await clock.advance(600_000);
    expect(left(true, "two")).toBe(0);
    rollouts.forget("w");
    expect(left(true, "two")).toBe(600_000);
  });
});
