import { beforeEach, describe, expect, it } from "@jest/globals";
import { runInTurn, runStoreFeed } from "../../src/feeds/store-feed.ts";
import { Turns } from "../../src/runtime/turns.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";

describe("a store's feed", () => {
  let clock: FakeClock;
  let runs: { tell: (key: string | undefined) => void; end: (error?: unknown) => void }[];
  let news: (string | undefined)[];
  let errors: unknown[];
  let stop: AbortController;
  let running: Promise<void>;

  beforeEach(async () => {
    clock = new FakeClock();
    runs = [];
    news = [];
    errors = [];
    stop = new AbortController();
    const feed = {
      run: (tell: (key: string | undefined) => void, signal: AbortSignal) =>
        new Promise<void>((resolve, reject) => {
          const end = (error?: unknown) => (error ? reject(error) : resolve());
          signal.addEventListener("abort", () => end(new Error("aborted")));
          runs.push({ tell, end });
        }),
    };
    running = runStoreFeed(
      {
        feed,
        clock,
        random: () => 0.5,
        onNews: (key) => news.push(key),
        onError: (error) => errors.push(error),
      },
      stop.signal,
    );
    await settle();
  });

  it("is run again after it ended, with pauses that grow while it ends at once", async () => {
    const begun: number[] = [];
    for (let times = 0; times < 9; times++) {
      runs.at(-1)!.end(times % 2 ? undefined : new Error("gone"));
      const since = clock.monotonic();
      const count = runs.length;
      while (runs.length === count) await clock.advance(500);
      begun.push(clock.monotonic() - since);
    }
    expect(begun).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
    expect(errors).toHaveLength(5);
    await clock.advance(60_000);
    runs.at(-1)!.end();
    await clock.advance(500);
    expect(runs).toHaveLength(11);
  });

  it("tells what it is told, and ends without a word when nobody needs it any more", async () => {
    runs[0]!.tell("a");
    runs[0]!.tell(undefined);
    expect(news).toEqual(["a", undefined]);
    stop.abort();
    await running;
    expect(errors).toEqual([]);
    expect(clock.pendingTimers).toBe(0);
  });

  it("of a namespace takes its turn, and who is closed before that is let go of at once", async () => {
    const turns = new Turns(1);
    const begun: string[] = [];
    const run = (name: string, until: AbortController) =>
      runInTurn(
        turns,
        "shop",
        {
          feed: {
            run: (_tell, signal) => {
              begun.push(name);
              return new Promise((resolve) => signal.addEventListener("abort", () => resolve()));
            },
          },
          clock,
          random: () => 0.5,
          onNews: () => undefined,
          onError: () => undefined,
        },
        until.signal,
      );
    const [first, second, third] = [new AbortController(), new AbortController(), new AbortController()];
    const running = run("first", first);
    const waiting = run("second", second);
    const last = run("third", third);
    await settle();
    expect(begun).toEqual(["first"]);
    second.abort();
    await waiting;
    first.abort();
    await clock.advance(0);
    await running;
    await settle();
    expect(begun).toEqual(["first", "third"]);
    third.abort();
    await clock.advance(0);
    await last;
  });
});
