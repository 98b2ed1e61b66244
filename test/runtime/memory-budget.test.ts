import { describe, expect, it } from "@jest/globals";
import { MemoryBudget, type Weighed } from "../../src/runtime/memory-budget.ts";
import { Store } from "../../src/runtime/store.ts";

interface Item extends Weighed {
  readonly details: string | undefined;
}
const item = (key: string, weight: number, resourceVersion = "1", uid = `uid-${key}`): Item => ({
  key,
  uid,
  resourceVersion,
  weight,
  details: "all",
});

function newBudget(most: number) {
  const store = new Store<Item>();
  const budget = new MemoryBudget({
    store,
    most,
    outline: (whole) => ({ ...whole, details: undefined, weight: 0 }),
    shareOf: (key) => key.split("/")[0] ?? "",
  });
  const whole = () =>
    [...store.values()].filter(({ details }) => details !== undefined).map(({ key }) => key);
  return { store, budget, whole };
}

describe("a memory budget", () => {
  it("keeps all details while they fit", () => {
    const { store, budget, whole } = newBudget(100);
    for (const key of ["a/1", "b/1"]) store.set(item(key, 50));
    expect(whole()).toEqual(["a/1", "b/1"]);
    expect(budget.bytes).toBe(100);
  });

  it("gives up details of whoever holds most, and of nobody else", () => {
    const { store, budget, whole } = newBudget(1_000);
    store.set(item("victim/1", 10));
    store.set(item("other/1", 100));
    for (let index = 0; index < 500; index++) store.set(item(`flood/${index}`, 50));
    expect(budget.bytes).toBeLessThanOrEqual(1_000);
    expect(whole().slice(0, 2)).toEqual(["victim/1", "other/1"]);
    expect(store.size).toBe(502);
  });

  it("takes details back in, for as long as there is room", () => {
    const { store, budget, whole } = newBudget(100);
    store.set(item("a/1", 60));
    store.set(item("a/2", 60));
    expect(whole()).toEqual(["a/2"]);
    budget.restore(item("a/1", 60));
    expect(whole()).toEqual(["a/1"]);
    expect(budget.bytes).toBe(60);
    budget.restore(item("a/2", 60, "2"));
    budget.restore(item("never/1", 60));
    expect(budget.bytes).toBe(60);
  });

  it("counts what is there, through every change", () => {
    const { store, budget } = newBudget(1_000);
    store.set(item("a/1", 100));
    store.set(item("a/1", 300, "2"));
    expect(budget.bytes).toBe(300);
    store.set(item("a/1", 10, "1", "new"));
    expect(budget.bytes).toBe(10);
    store.delete("a/1", "new");
    expect(budget.bytes).toBe(0);
  });

  it("can't be filled by one item that is larger than all of it", () => {
    const { store, budget, whole } = newBudget(100);
    store.set(item("a/1", 5_000));
    expect(whole()).toEqual([]);
    expect(budget.bytes).toBe(0);
  });
});
