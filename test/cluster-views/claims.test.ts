import { beforeEach, describe, expect, it } from "@jest/globals";
import * as fc from "fast-check";
import { Claims } from "../../src/cluster/claims.ts";
import { projectSync, type SyncObject } from "../../src/cluster/sync-object.ts";
import { Store } from "../../src/runtime/store.ts";

let store: Store<SyncObject>;
let claims: Claims;
let version = 0;

beforeEach(() => {
  store = new Store();
  claims = new Claims(store);
});

const sync = (
  name: string,
  more: { target?: string; policy?: string; age?: number; deleted?: boolean } = {},
) =>
  projectSync({
    metadata: {
      name,
      namespace: "shop",
      uid: `uid-${name}`,
      resourceVersion: String(++version),
      creationTimestamp: `2026-01-01T00:00:${String(more.age ?? 0).padStart(2, "0")}Z`,
      ...(more.deleted ? { deletionTimestamp: "2026-01-02T00:00:00Z" } : {}),
    },
    spec: { target: { name: more.target ?? "one", creationPolicy: more.policy } },
  } as never);

describe("who may write a Secret", () => {
  it("is the oldest, and the first by name of those of one age", () => {
    store.set(sync("b", { age: 2 }));
    store.set(sync("z", { age: 1 }));
    store.set(sync("a", { age: 1 }));
    expect(claims.winner("shop/one", undefined)).toBe("shop/a");
    expect(claims.winner("shop/other", undefined)).toBeUndefined();
  });

  it("is whoever wrote it, as long as it wants to", () => {
    store.set(sync("old", { age: 1 }));
    store.set(sync("owner", { age: 9 }));
    expect(claims.winner("shop/one", "owner")).toBe("shop/owner");
    store.set(sync("owner", { age: 9, target: "other" }));
    expect(claims.winner("shop/one", "owner")).toBe("shop/old");
    expect(claims.winner("shop/other", "owner")).toBe("shop/owner");
  });

  it("is nobody who is being deleted, or only merges", () => {
    store.set(sync("a", { deleted: true }));
    store.set(sync("b", { policy: "Merge" }));
    expect(claims.winner("shop/one", undefined)).toBeUndefined();
    expect([...claims.merging("shop/one")]).toEqual([["uid-b", "shop/b"]]);
    expect([...claims.concerned("shop/one", undefined)]).toEqual(["shop/b"]);
  });

  it("is the same as a search through all would find, after any history", () => {
    const names = ["a", "b", "c", "d", "e"] as const;
    const step = fc.record({
      name: fc.constantFrom(...names),
      age: fc.nat(3),
      target: fc.constantFrom("one", "two"),
      policy: fc.constantFrom("Owner", "Merge"),
      gone: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40, size: "max" }), (steps) => {
        const all = new Store<SyncObject>();
        const fast = new Claims(all);
        const created = new Map<string, number>();
        for (const { name, age, target, policy, gone } of steps) {
          if (gone) {
            all.delete(`shop/${name}`, `uid-${name}`);
            created.delete(name);
          } else {
            if (!created.has(name)) created.set(name, age);
            all.set(sync(name, { age: created.get(name)!, target, policy }));
          }
          for (const wanted of ["one", "two"]) {
            const found = [...all.values()]
              .filter(({ spec }) => {
                const { target: mine } = spec as { target: { name: string; creationPolicy: string } };
                return mine.name === wanted && mine.creationPolicy !== "Merge";
              })
              .sort((x, y) => (ageOf(x) < ageOf(y) ? -1 : 1))[0];
            expect(fast.winner(`shop/${wanted}`, undefined)).toBe(found?.key);
          }
        }
      }),
    );
    function ageOf({ metadata }: SyncObject) {
      return `${metadata.creationTimestamp} ${metadata.name}`;
    }
  });
});
