import { describe, expect, it } from "@jest/globals";
import { formatNote, newMark, parseNote, type Slot } from "../../src/rollout/note.ts";

/** The note on a workload, which anybody may write who may write workloads. */

const slot: Slot = {
  scope: "ab.cd",
  digest: "ef",
  at: "2026-05-01T00:00:00.000Z",
  restarted: false,
  waiting: false,
};
const uid = "0123456789";

describe("a note", () => {
  it.each<[string, Partial<Slot>, string]>([
    ["what pods were started with", {}, "ab.cd.ef#2026-05-01T00:00:00.000Z"],
    ["that they were restarted for it", { restarted: true }, "ab.cd.ef#2026-05-01T00:00:00.000Z!"],
    ["that they wait for a key", { waiting: true }, "ab.cd.ef#2026-05-01T00:00:00.000Z?"],
    ["both", { restarted: true, waiting: true, at: "" }, "ab.cd.ef#!?"],
  ])("tells %s, and is read as it was written", (_what, more, text) => {
    const slots = { db: { ...slot, ...more } };
    const written = formatNote({ mark: "m", slots }, uid);
    expect(JSON.parse(written)).toEqual({ "/of": "01234567", "/mark": "m", db: text });
    expect(parseNote(written, uid)).toEqual({ mark: "m", slots, isThere: true });
  });

  it("has its slots in order, and nothing else when there are none", () => {
    const slots = { b: slot, a: slot, c: slot };
    expect(Object.keys(JSON.parse(formatNote({ mark: undefined, slots }, uid)) as object)).toEqual([
      "/of",
      "a",
      "b",
      "c",
    ]);
    expect(formatNote({ mark: "m", slots: {} }, uid)).toBe("{}");
    expect(parseNote("{}", uid)).toEqual({ mark: undefined, slots: {}, isThere: true });
  });

  it.each<[string, string | undefined]>([
    ["isn't there", undefined],
    ["is no JSON", "{"],
    ["is a list", "[]"],
    ["is null", "null"],
    ["is a text", '"x"'],
    ["is of a workload of another uid", '{"/of":"76543210","db":"ab.cd.ef#"}'],
  ])("that %s says nothing", (_what, text) => {
    expect(parseNote(text, uid)).toEqual({ mark: undefined, slots: {}, isThere: false });
  });

  it.each([
    "",
    "ab.cd#",
    "ab.cd.ef",
    "xab.cd.ef#",
    "ab.cd.ef#!!",
    "ab.cd.ef#?!",
    "ab.cd.eg#",
    `ab.cd.ef#${"x".repeat(33)}`,
    7,
    null,
    {},
  ])("passes over a slot that it can't have: %p", (written) => {
    const { slots, isThere } = parseNote(JSON.stringify({ db: written, ok: "ab.cd.ef#" }), uid);
    expect([Object.keys(slots), isThere]).toEqual([["ok"], true]);
  });

  it("takes no mark that is no text", () => {
    expect(parseNote('{"/mark":7,"db":"ab.cd.ef#"}', uid).mark).toBeUndefined();
  });
});

describe("a mark", () => {
  it("is another one for other content, and after another mark", () => {
    const marks = [
      newMark({ db: slot }, undefined),
      newMark({ db: { ...slot, digest: "ff" } }, undefined),
      newMark({ db: slot }, "before"),
      newMark({ other: slot }, undefined),
    ];
    expect(new Set(marks).size).toBe(4);
    expect(newMark({ db: { ...slot } }, undefined)).toBe(marks[0]);
    expect(newMark({ db: slot }, "")).toBe(marks[0]);
  });
});
