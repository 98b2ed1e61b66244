import { describe, expect, it } from "@jest/globals";
import { addition, contains } from "../../src/plan/likeness.ts";

describe("somebody has what is wanted", () => {
  it.each<[unknown, unknown, boolean]>([
    [{ a: 1, b: 2 }, { a: 1 }, true],
    [{ a: 1 }, { a: 1, b: 2 }, false],
    [{ a: { b: ["x", "y"] } }, { a: { b: ["x", "y"] } }, true],
    [{ a: { b: ["x", "y"] } }, { a: { b: ["y", "x"] } }, false],
    [{ a: { b: ["x", "y"] } }, { a: { b: ["x"] } }, false],
    [{ a: [{ k: 1, own: 2 }] }, { a: [{ k: 1 }] }, true],
    [{ a: [{ secretKey: "b" }, { secretKey: "a", k: 1, own: 2 }] }, { a: [{ secretKey: "a", k: 1 }] }, true],
    [{ a: [{ secretKey: "b" }, { secretKey: "a", k: 2 }] }, { a: [{ secretKey: "a", k: 1 }] }, false],
    [{ a: [] }, { a: [{ k: 1 }] }, false],
    [{ a: {} }, { a: [] }, false],
    [{ a: [] }, { a: {} }, false],
    [undefined, { a: 1 }, false],
    [null, null, true],
    [{ a: null }, { a: {} }, false],
    ["1", 1, false],
  ])("%j has %j: %j", (has, wanted, expected) => expect(contains(has, wanted)).toBe(expected));
});

describe("what somebody has beside what is wanted", () => {
  it.each<[unknown, unknown, string | undefined]>([
    [{ a: 1 }, { a: 1 }, undefined],
    [{ a: 1, b: 2 }, { a: 1 }, "spec.b"],
    [{ a: { b: 1, c: 2 } }, { a: { b: 1 } }, "spec.a.c"],
    [{ a: [{ secretKey: "b" }, { secretKey: "a" }] }, { a: [{ secretKey: "a" }] }, "spec.a[b]"],
    [{ a: [{ secretKey: "a", k: { l: 1 } }] }, { a: [{ secretKey: "a" }] }, "spec.a[a].k"],
    [{ a: [{ k: 1, own: 2 }] }, { a: [{ k: 1 }] }, "spec.a[0].own"],
    [{ a: ["x", "y"] }, { a: ["x", "y"] }, undefined],
    [{ a: null }, { a: null }, undefined],
    [{ constructor: 1 }, {}, "spec.constructor"],
  ])("%j beside %j: %p", (has, wanted, expected) => expect(addition(has, wanted, "spec")).toBe(expected));
});
