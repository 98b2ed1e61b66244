import { describe, expect, it } from "@jest/globals";
import { memoryFor } from "../../src/cluster/memory.ts";

describe("memory for views", () => {
  const MiB = 1024 * 1024;

  it.each([
    ["a small container", 128 * MiB, 64 * MiB],
    ["the chart's container", 384 * MiB, 96 * MiB],
    ["a large container", 2_048 * MiB, 512 * MiB],
    ["a machine", 256 * 1024 * MiB, 1024 * MiB],
    ["no limit that is known", undefined, 1024 * MiB],
  ])("of %s is a quarter, within bounds", (_what, container, expected) => {
    expect(memoryFor(container)).toBe(expected);
  });
});
