import { describe, expect, it } from "@jest/globals";
import { backoffDelay } from "../../src/runtime/backoff.ts";
import { WorkQueue } from "../../src/runtime/work-queue.ts";
import { runWorkers } from "../../src/runtime/workers.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";

const newQueue = () =>
  new WorkQueue<"one">({
    lanes: ["one"],
    bulkFrom: "one",
    bulkWorkers: 10,
    shareOf: () => "",
    mostPerTurn: 10,
    togetherMs: 0,
    backoff: { firstMs: 1, mostMs: 1 },
    clock: new FakeClock(),
    random: () => 0.5,
  });

describe("a worker", () => {
  it("takes the next key when a handler lets it go, and ends when that handler has", async () => {
    const queue = newQueue();
    const handled: string[] = [];
    const slow = Promise.withResolvers<void>();
    const ended = runWorkers({
      queue,
      concurrency: 1,
      handle: async ({ key }, free) => {
        handled.push(key);
        if (key !== "slow") return;
        free();
        await slow.promise;
      },
      onBug: () => undefined,
    });
    for (const key of ["slow", "next"]) queue.add(key, "one");
    await settle();
    expect(handled).toEqual(["slow", "next"]);
    // It is still taken, so nobody gets it twice.
    queue.add("slow", "one");
    await settle();
    expect(handled).toEqual(["slow", "next"]);
    queue.close();
    let isOver = false;
    void ended.then(() => (isOver = true));
    await settle();
    expect(isOver).toBe(false);
    slow.resolve();
    await ended;
  });
});

describe("workers", () => {
  it("work on so many keys at once, and end when the queue is closed and all are done", async () => {
    const queue = newQueue();
    const running = new Set<string>();
    const release: (() => void)[] = [];
    let most = 0;
    const ended = runWorkers({
      queue,
      concurrency: 2,
      handle: async ({ key }) => {
        running.add(key);
        most = Math.max(most, running.size);
        await new Promise<void>((resolve) => release.push(resolve));
        running.delete(key);
      },
      onBug: () => undefined,
    });
    for (const key of ["a", "b", "c"]) queue.add(key, "one");
    await settle();
    expect([...running]).toEqual(["a", "b"]);
    release.shift()?.();
    await settle();
    expect([...running]).toEqual(["b", "c"]);
    queue.close();
    while (release.length > 0) release.shift()?.();
    await ended;
    expect(most).toBe(2);
  });

  it("survive a handler that throws, and give its key back", async () => {
    const queue = newQueue();
    const bugs: string[] = [];
    const ended = runWorkers({
      queue,
      concurrency: 1,
      handle: () => Promise.reject(new Error("bug")),
      onBug: (error, { key }) => bugs.push(`${key}: ${(error as Error).message}`),
    });
    queue.add("a", "one");
    await settle();
    queue.add("a", "one");
    await settle();
    queue.close();
    await ended;
    expect(bugs).toEqual(["a: bug", "a: bug"]);
  });
});

describe("backoff", () => {
  it("spreads by a fifth and stays within its bounds, even after very many failures", () => {
    const backoff = { firstMs: 100, mostMs: 1_000 };
    expect(backoffDelay(backoff, 1, () => 0)).toBe(80);
    expect(backoffDelay(backoff, 1, () => 0.999)).toBeCloseTo(120, 0);
    expect(backoffDelay(backoff, 5_000, () => 0.5)).toBe(1_000);
  });
});
