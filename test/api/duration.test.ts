import { describe, expect, it } from "@jest/globals";
import { parseDuration } from "../../src/api/duration.ts";

describe("a duration", () => {
  it.each([
    ["0s", 0],
    ["500ms", 500],
    ["1.5s", 1_500],
    ["15m", 900_000],
    ["1h", 3_600_000],
    ["1h30m", 5_400_000],
    ["1m1s1ms", 61_001],
    ["250us", 0.25],
    ["250\u00b5s", 0.25],
    ["1000000ns", 1],
  ])("%s is %d ms", (text, milliseconds) => {
    expect(parseDuration(text)).toBeCloseTo(milliseconds, 9);
  });

  it.each([
    "",
    "5",
    "x",
    "-5m",
    "5 m",
    "5M",
    "1d",
    "m",
    "1.m",
    ".5s",
    "1h 30m",
    "1e3s",
    "1h\n",
    `${"9".repeat(400)}h`,
  ])("isn't %j", (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });
});
