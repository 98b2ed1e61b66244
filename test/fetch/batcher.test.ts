import { beforeEach, describe, expect, it } from "@jest/globals";
import { Batcher } from "../../src/fetch/batcher.ts";
import { FakeClock } from "../support/fake-clock.ts";

let clock: FakeClock;
let batches: string[][];
let alone: string[];
/** Lets a call that waits go out. */
let goes: (() => void)[];

const newBatcher = (most: number, held: boolean) =>
  new Batcher<string, string>({
    clock,
    most,
    lingerMs: 100,
    moreComing: () => false,
    async send(take) {
      if (held) await new Promise<void>((resolve) => goes.push(resolve));
      const batch = [...take()];
      batches.push(batch);
      return batch.map((request) => `${request}!`);
    },
    sendOne(request) {
      alone.push(request);
      return Promise.resolve(`${request}!`);
    },
  });

beforeEach(() => {
  clock = new FakeClock();
  batches = [];
  alone = [];
  goes = [];
});

describe("batches", () => {
  it("are filled when their calls go out, shares taking turns, so that a flood holds up nobody", async () => {
    const batcher = newBatcher(3, true);
    const flood = Array.from({ length: 9 }, (_, index) => batcher.request("flood", `f${index}`));
    const victim = batcher.request("victim", "v");
    await clock.advance(0);
    expect(goes).toHaveLength(4);
    goes.shift()?.();
    await expect(victim).resolves.toBe("v!");
    expect(batches).toEqual([["f0", "v", "f1"]]);
    for (const go of goes) go();
    await expect(Promise.all(flood)).resolves.toHaveLength(9);
    expect(batches).toHaveLength(4);
    expect(batches.every((batch) => batch.length > 0)).toBe(true);
  });

  it("of one are asked alone", async () => {
    const batcher = newBatcher(3, false);
    const answer = batcher.request("a", "only");
    await clock.advance(0);
    await expect(answer).resolves.toBe("only!");
    expect(alone).toEqual(["only"]);
    expect(batches).toEqual([]);
  });

  it("that fail before they go out fail those whom they would have taken, and no others", async () => {
    let fails = true;
    const batcher = new Batcher<string, string>({
      clock,
      most: 2,
      lingerMs: 0,
      moreComing: () => false,
      send: (take) =>
        fails ? Promise.reject(new Error("down")) : Promise.resolve(take().map((request) => `${request}!`)),
    });
    const answers = ["a", "b"].map((request) => batcher.request("s", request));
    await expect(Promise.allSettled(answers)).resolves.toMatchObject([
      { status: "rejected" },
      { status: "rejected" },
    ]);
    fails = false;
    const again = ["c", "d"].map((request) => batcher.request("s", request));
    await expect(Promise.all(again)).resolves.toEqual(["c!", "d!"]);
  });
});
