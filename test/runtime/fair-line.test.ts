import { describe, expect, it } from "@jest/globals";
import * as fc from "fast-check";
import { FairLine } from "../../src/runtime/fair-line.ts";

const drained = <T>(line: FairLine<T>): T[] => {
  const taken: T[] = [];
  for (let next = line.take(); next !== undefined; next = line.take()) taken.push(next);
  return taken;
};

describe("a fair line", () => {
  it("lets shares take turns, each in its own order", () => {
    const line = new FairLine<string>();
    for (const item of ["a1", "a2", "a3", "b1", "c1", "b2"]) line.add(item.charAt(0), item);
    expect([...line.first()]).toEqual(["a1", "b1", "c1"]);
    expect(drained(line)).toEqual(["a1", "b1", "c1", "a2", "b2", "a3"]);
  });

  it("puts who comes again behind who waits", () => {
    const line = new FairLine<string>();
    line.add("a", "a1");
    line.add("b", "b1");
    expect(line.take()).toBe("a1");
    line.add("a", "a2");
    expect(drained(line)).toEqual(["b1", "a2"]);
  });

  it("holds what is added once, forgets what is deleted, and counts", () => {
    const line = new FairLine<string>();
    line.add("a", "x");
    line.add("a", "x");
    line.add("b", "y");
    expect(line.size).toBe(2);
    line.delete("a", "x");
    line.delete("a", "x");
    line.delete("never", "x");
    expect(line.size).toBe(1);
    expect([...line]).toEqual(["y"]);
    expect(drained(line)).toEqual(["y"]);
    expect(line.size).toBe(0);
  });

  it("serves nobody twice before everybody who waits was served once", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom("a", "b", "c", "d"), { minLength: 1, maxLength: 60 }),
        (shares) => {
          const line = new FairLine<{ share: string }>();
          for (const share of shares) line.add(share, { share });
          const order = drained(line).map(({ share }) => share);
          expect(order.toSorted()).toEqual(shares.toSorted());
          const waiting = new Map<string, number>();
          for (const share of shares) waiting.set(share, (waiting.get(share) ?? 0) + 1);
          const served = new Map([...waiting.keys()].map((share) => [share, 0]));
          for (const share of order) {
            served.set(share, served.get(share)! + 1);
            for (const [other, count] of served)
              if (count < waiting.get(other)!) expect(served.get(share)! - count).toBeLessThanOrEqual(1);
          }
        },
      ),
    );
  });
});
