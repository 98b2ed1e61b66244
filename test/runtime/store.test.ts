import { describe, expect, it } from "@jest/globals";
import * as fc from "fast-check";
import { DelayHeap } from "../../src/runtime/delay-heap.ts";
import { compareResourceVersions, Index, Store, type Stored } from "../../src/runtime/store.ts";

interface Item extends Stored {
  readonly terms: readonly string[];
}
const item = (key: string, resourceVersion: string, more: Partial<Item> = {}): Item => ({
  key,
  uid: `uid-${key}`,
  resourceVersion,
  terms: [],
  ...more,
});

function newStore() {
  const store = new Store<Item>();
  const heard: string[] = [];
  store.listen((before, after, origin) =>
    heard.push(`${before?.resourceVersion ?? "-"}→${after?.resourceVersion ?? "-"} ${origin}`),
  );
  return { store, heard };
}

describe("a store", () => {
  it("tells of additions, changes and removals, and where they came from", () => {
    const { store, heard } = newStore();
    store.set(item("a", "1"));
    store.set(item("a", "2"), "own");
    store.delete("a", "uid-a");
    expect(heard).toEqual(["-→1 watch", "1→2 own", "2→- watch"]);
    expect(store.size).toBe(0);
  });

  it("adds nothing for a write of our own: the object may be gone by the time of the answer", () => {
    const { store, heard } = newStore();
    store.set(item("a", "1"));
    store.delete("a", "uid-a");
    store.set(item("a", "2"), "own");
    expect(store.size).toBe(0);
    store.set(item("a", "3", { uid: "new" }));
    store.set(item("a", "4"), "own");
    expect(store.get("a")?.uid).toBe("new");
    expect(heard).toEqual(["-→1 watch", "1→- watch", "-→3 watch"]);
  });

  it("never goes back to an older state of the same object", () => {
    const { store, heard } = newStore();
    store.set(item("a", "10"));
    store.set(item("a", "9"));
    store.set(item("a", "10"));
    expect(store.get("a")?.resourceVersion).toBe("10");
    expect(heard).toHaveLength(1);
  });

  it("takes another object of the same name, whatever its version", () => {
    const { store } = newStore();
    store.set(item("a", "10"));
    store.set(item("a", "3", { uid: "new" }));
    expect(store.get("a")?.uid).toBe("new");
    store.delete("a", "uid-a");
    expect(store.get("a")?.uid).toBe("new");
  });

  it("drops what a list doesn't have, but only within the list's scope", () => {
    const { store } = newStore();
    for (const key of ["x/a", "x/b", "y/c"]) store.set(item(key, "1"));
    store.retain(new Set(["x/b"]), ({ key }) => key.startsWith("x/"));
    expect([...store.values()].map(({ key }) => key)).toEqual(["x/b", "y/c"]);
    store.retain(new Set());
    expect(store.size).toBe(0);
  });

  it("tells of what a list doesn't have as the apiserver's doing", () => {
    const { store, heard } = newStore();
    store.set(item("a", "1"));
    store.set(item("b", "1"));
    heard.length = 0;
    store.retain(new Set(["a"]));
    expect(heard).toEqual(["1→- watch"]);
  });

  it("tells the other listeners, and of other objects, when one listener throws", () => {
    const odd: string[] = [];
    const store = new Store<Item>((error, key) => odd.push(`${key}: ${(error as Error).message}`));
    const heard: string[] = [];
    store.listen((_before, after) => {
      if (after?.key === "odd") throw new Error("no such field");
    });
    store.listen((_before, after) => heard.push(after?.key ?? "-"));
    store.set(item("odd", "1"));
    store.set(item("even", "1"));
    expect(heard).toEqual(["odd", "even"]);
    expect(odd).toEqual(["odd: no such field"]);
  });

  it("exchanges the form of a state, without a word, and only of that very state", () => {
    const { store, heard } = newStore();
    store.set(item("a", "1"));
    heard.length = 0;
    const other = item("a", "1", { terms: ["y"] });
    expect(store.exchange(other)).toBe(true);
    expect(store.get("a")).toBe(other);
    expect(store.exchange(item("a", "2"))).toBe(false);
    expect(store.exchange(item("a", "1", { uid: "new" }))).toBe(false);
    expect(store.exchange(item("b", "1"))).toBe(false);
    expect(store.get("a")).toBe(other);
    expect(heard).toEqual([]);
  });
});

describe("resource versions", () => {
  it("are ordered as numbers of any length", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 80n }), fc.bigInt({ min: 0n, max: 2n ** 80n }), (a, b) => {
        expect(Math.sign(compareResourceVersions(String(a), String(b)))).toBe(a < b ? -1 : a > b ? 1 : 0);
      }),
    );
  });
});

describe("an index", () => {
  it("follows every change", () => {
    const { store } = newStore();
    const index = new Index(store, ({ terms }) => terms);
    store.set(item("a", "1", { terms: ["x", "y"] }));
    store.set(item("b", "1", { terms: ["x"] }));
    expect([...index.get("x")]).toEqual(["a", "b"]);
    store.set(item("a", "2", { terms: ["y"] }));
    expect([...index.get("x")]).toEqual(["b"]);
    store.delete("b", "uid-b");
    expect([...index.get("x")]).toEqual([]);
    expect([...index.get("never")]).toEqual([]);
  });
});

describe("the heap of due times", () => {
  it("gives its entries back in order", () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { maxLength: 200, size: "max" }), (times) => {
        const heap = new DelayHeap();
        for (const at of times) heap.push(String(at), at);
        expect(heap.size).toBe(times.length);
        const popped: number[] = [];
        for (let next = heap.pop(); next; next = heap.pop()) popped.push(next.at);
        expect(popped).toEqual(times.toSorted((a, b) => a - b));
        expect(heap.peek()).toBeUndefined();
      }),
    );
  });
});
