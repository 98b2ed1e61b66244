import { describe, expect, it } from "@jest/globals";
import { Damper } from "../../src/controller/damper.ts";
import { FakeClock } from "../support/fake-clock.ts";

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
