import { describe, expect, it } from "@jest/globals";
import * as fc from "fast-check";
import { nextRefreshMs } from "../../src/plan/schedule.ts";

const interval = fc.integer({ min: 1_000, max: 86_400_000 });
const now = fc.integer({ min: 1_700_000_000_000, max: 1_900_000_000_000 });

describe("the next refresh", () => {
  it("is always ahead, and never later than the interval and a fifth", () => {
    fc.assert(
      fc.property(now, interval, fc.string(), (at, every, group) => {
        const wait = nextRefreshMs(at, every, group);
        expect(wait).toBeGreaterThan(0);
        expect(wait).toBeLessThanOrEqual(every * 1.3);
      }),
    );
  });

  it("is the same moment for all objects of a group, whenever they ask", () => {
    fc.assert(
      fc.property(now, interval, fc.double({ min: 0, max: 0.5, noNaN: true }), (at, every, share) => {
        const wait = nextRefreshMs(at, every, "aws");
        const later = at + wait * share;
        fc.pre(wait - wait * share > every * 0.06);
        expect(later + nextRefreshMs(later, every, "aws")).toBeCloseTo(at + wait, 3);
      }),
    );
  });

  it("comes about once an interval, not in step", () => {
    const every = 60_000;
    let at = 1_700_000_000_000;
    const gaps: number[] = [];
    for (let round = 0; round < 200; round++) {
      const wait = nextRefreshMs(at, every, "aws");
      gaps.push(wait);
      at += wait;
    }
    const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
    expect(mean).toBeGreaterThan(every * 0.98);
    expect(mean).toBeLessThan(every * 1.02);
    expect(new Set(gaps.slice(1).map((gap) => Math.round(gap / 100))).size).toBeGreaterThan(50);
    expect(Math.min(...gaps.slice(1))).toBeGreaterThan(every * 0.79);
    expect(Math.max(...gaps.slice(1))).toBeLessThan(every * 1.21);
  });

  it("differs between groups", () => {
    expect(nextRefreshMs(1_700_000_000_000, 60_000, "a")).not.toBe(
      nextRefreshMs(1_700_000_000_000, 60_000, "b"),
    );
  });
});
