import { beforeEach, describe, expect, it } from "@jest/globals";
import { KeptBytes } from "../../src/fetch/kept-bytes.ts";
import { Rotations } from "../../src/fetch/rotations.ts";

describe("when secrets are rotated next", () => {
  let kept: KeptBytes;
  let rotations: Rotations;
  beforeEach(() => {
    kept = new KeptBytes(3 * 102);
    rotations = new Rotations(kept);
  });

  it("is noted of what somebody asks about, and taken back when it isn't rotated any more", () => {
    rotations.noteIfAsked("a1", 5);
    expect(rotations.ask("a1")).toBeUndefined();
    rotations.noteIfAsked("a1", 5);
    rotations.noteIfAsked("b1", 6);
    expect([rotations.ask("a1"), kept.total]).toEqual([5, 102]);
    rotations.noteIfAsked("a1", undefined);
    expect(rotations.ask("a1")).toBeUndefined();
    rotations.noteIfAsked("a1", undefined);
    rotations.noteIfAsked("a1", 7);
    rotations.note("a1", undefined);
    rotations.noteIfAsked("a1", 8);
    expect(rotations.ask("a1")).toBe(8);
  });

  it("is noted of who is told alone, too", () => {
    rotations.note("a1", 5);
    rotations.noteIfAsked("a1", undefined);
    expect(rotations.ask("a1")).toBeUndefined();
  });

  it("of very many is forgotten of those that were asked about first", () => {
    for (const name of ["a1", "b1", "c1", "d1"]) rotations.note(name, 5);
    expect(kept.total).toBe(3 * 102);
    rotations.noteIfAsked("a1", 6);
    rotations.noteIfAsked("d1", 6);
    expect(rotations.ask("d1")).toBe(6);
    rotations.forgetAll();
    expect(kept.total).toBe(0);
    expect(rotations.ask("d1")).toBeUndefined();
  });
});
