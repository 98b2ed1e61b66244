import { beforeEach, describe, expect, it } from "@jest/globals";
import { SingleFile } from "../../src/runtime/single-file.ts";
import { FakeClock } from "../support/fake-clock.ts";

let clock: FakeClock;
let file: SingleFile;
let done: string[];

beforeEach(() => {
  clock = new FakeClock();
  file = new SingleFile({ clock, everyMs: 250 });
  done = [];
});

const quick = (key: string) =>
  file.run(key, () => {
    done.push(key);
    return Promise.resolve();
  });

describe("heavy work", () => {
  it("begins at once where nobody is before it", async () => {
    expect([await quick("a"), await quick("b")]).toEqual([0, 0]);
    expect(done).toEqual(["a", "b"]);
  });

  it("is done one at a time, and each who can't begin is given another time", async () => {
    const { promise: ends, resolve: end } = Promise.withResolvers<void>();
    const first = file.run("slow", () => ends);
    expect(await Promise.all(["a", "b", "c"].map(quick))).toEqual([250, 500, 750]);
    // Coming back early changes nothing; coming back in time to find somebody at it gives a time behind all others.
    expect(await quick("b")).toBe(500);
    await clock.advance(250);
    expect(await quick("a")).toBe(750);
    end();
    expect(await first).toBe(0);
    // Who is new waits behind those who wait.
    expect(await quick("d")).toBe(1_000);
    await clock.advance(250);
    expect(await quick("b")).toBe(0);
    await clock.advance(250);
    expect(await quick("c")).toBe(0);
    await clock.advance(500);
    expect(await Promise.all([quick("a"), quick("d")])).toEqual([0, 250]);
    expect(done).toEqual(["b", "c", "a"]);
  });

  it("is held up by nobody who never comes back, and by no failure", async () => {
    await expect(file.run("bad", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    const { promise: ends, resolve: end } = Promise.withResolvers<void>();
    const first = file.run("slow", () => ends);
    await quick("gone");
    end();
    await first;
    await clock.advance(250);
    expect(await quick("new")).toBe(0);
  });
});
