import { describe, expect, it } from "@jest/globals";
import * as fc from "fast-check";
import { parseJson, type Json } from "../../src/plan/exact-json.ts";
import { PropertySearch } from "../../src/plan/property-search.ts";
import { Work } from "../../src/plan/work.ts";
import { value } from "../support/gen.ts";

const search = (json: unknown, path: string, work = new Work()) => {
  const parsed = parseJson(value(JSON.stringify(json)));
  if (!parsed.ok) throw new Error("no JSON");
  const made = new PropertySearch(path, parsed.value.mark, work);
  return { found: made.in(parsed.value.json), isGivenUp: made.isGivenUp };
};

/** What the rule says, without a thought for what it takes. */
function simply(json: unknown, steps: readonly string[]): unknown {
  if (steps.length === 0) return json ?? undefined;
  if (typeof json !== "object" || json === null) return undefined;
  for (let to = steps.length; to > 0; to--) {
    const name = steps.slice(0, to).join(".");
    if (!Object.hasOwn(json, name)) continue;
    const found = simply((json as Record<string, unknown>)[name], steps.slice(to));
    if (found !== undefined) return found;
  }
  return undefined;
}

const branching = (depth: number): object =>
  depth === 0 ? {} : { a: branching(depth - 1), "a.a": branching(depth - 1) };

describe("a search for a property", () => {
  it("finds what the rule says, however long path and names are", () => {
    const name = fc.constantFrom("a", "b", "a.a", "a.b", "b.a.a");
    const { json } = fc.letrec<{ json: unknown }>((tie) => ({
      json: fc.oneof(
        { maxDepth: 8 },
        fc.constantFrom("x", null),
        fc.dictionary(name, tie("json"), { maxKeys: 4 }),
      ),
    }));
    const path = fc.array(fc.constantFrom("a", "b"), { minLength: 1, maxLength: 14 });
    fc.assert(
      fc.property(json, path, (tree, steps) => {
        expect(search(tree, steps.join(".")).found).toEqual(simply(tree, steps));
      }),
    );
  });

  it("takes dots that are escaped, numbers as names and items, also far from its end", () => {
    const inner = { "b.c": { "10": [{ d: { e: { f: { g: { h: { i: "x" } } } } } }] } };
    expect(search({ a: inner }, "a.b\\.c.10.0.d.e.f.g.h.i").found).toBe("x");
    expect(search({ a: inner }, "a.b.c.10.1.d.e.f.g.h.i").found).toBeUndefined();
  });

  it("goes through no payload twice, whatever ways lead through it", () => {
    const work = new Work(5_000_000);
    const longest = Array.from({ length: 256 }, () => "a").join(".");
    expect(search(branching(12), longest, work)).toEqual({ found: undefined, isGivenUp: false });
    expect(work.isSpent).toBe(false);
  });

  it("is given up where the payload is larger than what one turn may take", () => {
    const wide = Object.fromEntries(Array.from({ length: 42_500 }, (_, index) => [`k${index}`, {}]));
    const longest = Array.from({ length: 256 }, () => "a").join(".");
    expect(search(wide as Json, longest).isGivenUp).toBe(true);
  });
});
