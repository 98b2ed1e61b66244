import { describe, expect, it } from "@jest/globals";
import { RequestPace } from "../../src/controller/request-pace.ts";
import { FakeClock } from "../support/fake-clock.ts";

describe("requests to refresh one object", () => {
  it("are handled at once, five of them, and then one each ten seconds", async () => {
    const clock = new FakeClock();
    const pace = new RequestPace(clock, 0);
    const waits = () => Array.from({ length: 7 }, () => pace.waitMs("k"));
    expect(waits()).toEqual([0, 0, 0, 0, 0, 10_000, 10_000]);
    expect(pace.waitMs("other")).toBe(0);
    await clock.advance(10_000);
    expect(waits().slice(0, 2)).toEqual([0, 10_000]);
    await clock.advance(60_000);
    expect(waits().slice(0, 6)).toEqual([0, 0, 0, 0, 0, 10_000]);
  });

  it("hold to the interval that the admin sets", async () => {
    const clock = new FakeClock();
    const pace = new RequestPace(clock, 3_600_000);
    let handled = 0;
    for (let turn = 0; turn < 40; turn++) {
      if (pace.waitMs("k") === 0) handled++;
      await clock.advance(100);
    }
    expect(handled).toBe(5);
    pace.forget("k");
    expect(pace.waitMs("k")).toBe(0);
  });
});
