import { describe, expect, it } from "@jest/globals";
import * as fc from "fast-check";
import { hasKey, keysOf, withKey, withoutKey, type Few } from "../../src/runtime/few.ts";

describe("few keys", () => {
  it("are a set, whatever is added and taken out", () => {
    const key = fc.constantFrom("a", "b", "c");
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), key)), (changes) => {
        const set = new Set<string>();
        let few: Few;
        for (const [isAdded, each] of changes) {
          if (isAdded) set.add(each);
          else set.delete(each);
          few = isAdded ? withKey(few, each) : withoutKey(few, each);
          expect([...keysOf(few)].sort()).toEqual([...set].sort());
          for (const one of ["a", "b", "c"]) expect(hasKey(few, one)).toBe(set.has(one));
          expect(few === undefined).toBe(set.size === 0);
        }
      }),
    );
  });
});
