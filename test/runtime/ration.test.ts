import { describe, expect, it } from "@jest/globals";
import { Ration, type Portion } from "../../src/runtime/ration.ts";
import { settle } from "../support/fake-clock.ts";

const never = new AbortController().signal;

function newRation() {
  const ration = new Ration({ most: 100, mostOfAShare: 20 });
  const begun: string[] = [];
  const shed: string[] = [];
  const begin = async (name: string, share: string, bytes: number, signal = never): Promise<Portion> => {
    const portion = await ration.begin(share, () => shed.push(name), signal);
    begun.push(name);
    portion.add(bytes);
    return portion;
  };
  return { begin, begun, shed };
}

describe("a ration", () => {
  it("lets a share begin at once until it holds much, and then when it holds less", async () => {
    const { begin, begun } = newRation();
    const first = await begin("a1", "a", 15);
    const second = await begin("a2", "a", 15);
    void begin("a3", "a", 15);
    void begin("a4", "a", 15);
    await settle();
    expect(begun).toEqual(["a1", "a2"]);
    first.end();
    await settle();
    expect(begun).toEqual(["a1", "a2", "a3"]);
    second.end();
    second.end();
    await settle();
    expect(begun).toEqual(["a1", "a2", "a3", "a4"]);
  });

  it("makes nobody wait for what other shares hold, for however long", async () => {
    const { begin, begun, shed } = newRation();
    for (const share of ["a", "b", "c", "d"]) await begin(share, share, 24);
    for (const share of ["a", "b", "c", "d"]) void begin(`${share} again`, share, 24);
    const victim = await begin("victim", "v", 3);
    expect(begun).toEqual(["a", "b", "c", "d", "victim"]);
    expect(shed).toEqual([]);
    expect(victim.bytes).toBe(3);
  });

  it("sheds the largest of whichever share holds most, and nobody else's", async () => {
    const { begin, shed } = newRation();
    await begin("victim", "v", 10);
    const small = await begin("small", "a", 5);
    const large = await begin("large", "a", 10);
    small.add(20);
    expect(shed).toEqual([]);
    large.add(70);
    expect(shed).toEqual(["large"]);
    // What was shed counts no more.
    large.add(1_000);
    small.add(60);
    expect(shed).toEqual(["large"]);
    small.add(10);
    expect(shed).toEqual(["large", "small"]);
  });

  it("sheds work that is too large alone, and forgets all of it", async () => {
    const { begin, shed } = newRation();
    await begin("huge", "a", 101);
    expect(shed).toEqual(["huge"]);
    await begin("next", "a", 99);
    expect(shed).toEqual(["huge"]);
  });

  it("forgets who gives up", async () => {
    const { begin, begun } = newRation();
    const first = await begin("a1", "a", 30);
    const abort = new AbortController();
    const second = begin("a2", "a", 30, abort.signal);
    void begin("a3", "a", 30);
    abort.abort(new Error("over"));
    await expect(second).rejects.toThrow("over");
    first.end();
    await settle();
    expect(begun).toEqual(["a1", "a3"]);
    await expect(begin("late", "a", 1, abort.signal)).rejects.toThrow("over");
  });
});
