import { describe, expect, it } from "@jest/globals";
import { MOST, nextPageSize } from "../../src/providers/aws/page-size.ts";

describe("the next page of a listing", () => {
  const KiB = 1024;

  it.each([
    ["as large as may be, of usual tags", 100, 20 * KiB, 100],
    ["smaller, where tags are many", 100, 1_900 * KiB, 26],
    ["never smaller than ten", 10, 1_900 * KiB, 10],
    ["as it is, where that is about right", 26, 500 * KiB, 26],
    ["larger again, where tags are few", 26, 100 * KiB, 52],
    ["no larger than the quota", 60, 0, MOST],
  ])("is %s", (_what, size, bytes, expected) => {
    expect(nextPageSize(size, bytes)).toBe(expected);
  });
});
