import { describe, expect, it } from "@jest/globals";
import {
  isExpired,
  Reflector,
  type Change,
  type Collection,
  type Page,
} from "../../src/runtime/reflector.ts";
import { Store, type Stored } from "../../src/runtime/store.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";

const item = (key: string, resourceVersion: string): Stored => ({ key, uid: `uid-${key}`, resourceVersion });
const expired = Object.assign(new Error("too old"), { expired: true });
const unreadable = Object.assign(new Error("can't be decrypted"), { unreadable: "shop/db" });

/** A collection whose answers a test hands out one by one. */
class Script implements Collection<Stored> {
  lists: (Page<Stored> | Error)[] = [];
  asked: string[] = [];
  /** Answers a list that was asked for when there was no answer yet. */
  answer: (page: Page<Stored>) => void = () => undefined;
  #emit: ((change: Change<Stored> | Error | "end") => void) | undefined;

  list(options: { limit: number; continue?: string }): Promise<Page<Stored>> {
    this.asked.push(`list ${options.limit}${"continue" in options ? ` ${options.continue}` : ""}`);
    const next = this.lists.shift();
    if (!next) return new Promise((resolve) => (this.answer = resolve));
    return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
  }

  async *watch(
    { resourceVersion, timeoutSeconds }: { resourceVersion: string; timeoutSeconds: number },
    signal: AbortSignal,
  ) {
    this.asked.push(`watch ${resourceVersion} ${timeoutSeconds}`);
    const waiting: (Change<Stored> | Error | "end")[] = [];
    let wake = () => {};
    this.#emit = (change) => {
      waiting.push(change);
      wake();
    };
    signal.addEventListener("abort", () =>
      this.#emit?.(signal.reason instanceof Error ? signal.reason : new Error("aborted")),
    );
    for (;;) {
      const next = waiting.shift();
      if (next === undefined) await new Promise<void>((resolve) => (wake = resolve));
      else if (next === "end") return;
      else if (next instanceof Error) throw next;
      else yield next;
    }
  }

  async emit(change: Change<Stored> | Error | "end"): Promise<void> {
    this.#emit?.(change);
    await settle();
  }
}

function start(...lists: (Page<Stored> | Error)[]) {
  return startWith({}, ...lists);
}

function startWith({ mayBeBlind = false }, ...lists: (Page<Stored> | Error)[]) {
  const clock = new FakeClock();
  const script = new Script();
  script.lists = lists;
  const store = new Store<Stored>();
  const errors: string[] = [];
  const stop = new AbortController();
  const reflector = new Reflector({
    name: "things",
    collection: script,
    store,
    clock,
    random: () => 0.5,
    mayBeBlind,
    onError: (error, delay) => errors.push(`${(error as Error).message} ${delay}`),
  });
  const ended = reflector.run(stop.signal);
  const keys = () => [...store.values()].map(({ key }) => key);
  return { clock, script, store, errors, reflector, keys, stop, ended };
}

const onePage = (items: readonly Stored[], resourceVersion = "100"): Page<Stored> => ({
  items,
  resourceVersion,
});

describe("an expired version", () => {
  it.each([
    [expired, true],
    [{ expired: true }, true],
    [{ expired: "true" }, false],
    [{ expired: false }, false],
    [new Error("expired"), false],
    ["expired", false],
    [null, false],
    [undefined, false],
  ])("%p is one: %p", (error, expected) => {
    expect(isExpired(error)).toBe(expected);
  });
});

describe("a reflector", () => {
  it("asks for the next page before this one goes into the store", async () => {
    const { clock, script, store, keys } = start();
    const seen: string[] = [];
    store.listen((_before, after) => seen.push(`${after?.key} after ${script.asked.length} lists`));
    await settle();
    script.answer({ items: [item("a", "1")], resourceVersion: "90", continue: "next" });
    await settle();
    // The request needs a turn to go out.
    expect(seen).toEqual([]);
    await clock.advance(1);
    expect(script.asked).toEqual(["list 32", "list 64 next"]);
    expect(seen).toEqual(["a after 2 lists"]);
    script.answer({ items: [item("b", "2")], resourceVersion: "90" });
    await clock.advance(1);
    expect(keys()).toEqual(["a", "b"]);
    expect(script.asked.at(-1)).toMatch(/^watch 90/);
  });

  it("lists page by page, then watches from the list's version", async () => {
    const { script, keys, reflector, clock } = start(
      { items: [item("a", "1")], resourceVersion: "90", continue: "next" },
      onePage([item("b", "2")]),
    );
    await clock.advance(0);
    await reflector.synced;
    expect(script.asked).toEqual(["list 32", "list 64 next", "watch 100 450"]);
    expect(keys()).toEqual(["a", "b"]);
  });

  it("starts over a list that breaks off in the middle, and drops what the second one doesn't have", async () => {
    const { script, keys, clock, errors } = start(
      { items: [item("a", "1")], resourceVersion: "90", continue: "next" },
      new Error("reset"),
      onePage([item("c", "3")]),
    );
    await clock.advance(0);
    expect(keys()).toEqual(["a"]);
    expect(errors).toEqual(["reset 800"]);
    await clock.advance(800);
    expect(keys()).toEqual(["c"]);
    expect(script.asked.slice(0, 3)).toEqual(["list 32", "list 64 next", "list 32"]);
  });

  it("asks for fewer where a page is too large, then for one more at a time, and for all in the end", async () => {
    const tooLarge = Object.assign(new Error("too large"), { tooLarge: true });
    const next = (key: string): Page<Stored> => ({
      items: [item(key, "1")],
      resourceVersion: "9",
      continue: key,
    });
    const { script, keys, clock, errors } = start(
      next("a"),
      tooLarge,
      next("b"),
      next("c"),
      tooLarge,
      tooLarge,
      next("d"),
      onePage([item("e", "2")]),
    );
    await clock.advance(0);
    expect(script.asked.slice(0, -1)).toEqual([
      "list 32",
      "list 64 a",
      "list 16 a",
      "list 17 b",
      "list 18 c",
      "list 5 c",
      "list 2 c",
      "list 3 d",
    ]);
    expect(keys()).toEqual(["a", "b", "c", "d", "e"]);
    expect(errors).toEqual([]);
  });

  it("fails when a single item is too large, and tries again later", async () => {
    const tooLarge = Object.assign(new Error("too large"), { tooLarge: true });
    const { script, clock, errors } = start(tooLarge, tooLarge, tooLarge, tooLarge);
    await clock.advance(0);
    expect(script.asked).toEqual(["list 32", "list 8", "list 2", "list 1"]);
    expect(errors).toEqual(["too large 800"]);
  });

  it("tells for how long it has failed, and that it works once it has worked for a while", async () => {
    const { script, clock, reflector } = start(new Error("down"), new Error("down"), onePage([]));
    await clock.advance(0);
    await clock.advance(500);
    expect(reflector.failingMs()).toBe(500);
    await clock.advance(10_000);
    expect(reflector.failingMs()).toBeGreaterThan(5_000);
    await script.emit({ type: "set", item: item("a", "101") });
    expect(reflector.failingMs()).toBe(0);
  });

  it("goes on from the last version that was told when an odd object names none", async () => {
    const { script, clock } = start(onePage([]));
    await clock.advance(0);
    await script.emit({ type: "set", item: item("a", "101") });
    await script.emit({ type: "deleted", item: { key: "odd", uid: "", resourceVersion: "" } });
    await script.emit("end");
    await clock.advance(2_000);
    expect(script.asked.at(-1)).toMatch(/^watch 101 /);
  });

  it("follows events in order and goes on from the last version when the watch ends", async () => {
    const { script, keys, clock } = start(onePage([item("a", "1")]));
    await clock.advance(0);
    await script.emit({ type: "set", item: item("b", "101") });
    await script.emit({ type: "deleted", item: item("a", "102") });
    expect(keys()).toEqual(["b"]);
    await script.emit({ type: "bookmark", resourceVersion: "150" });
    await clock.advance(5_000);
    await script.emit("end");
    expect(script.asked.at(-1)).toBe("watch 150 450");
    expect(script.asked.filter((each) => each.startsWith("list"))).toHaveLength(1);
  });

  it.each<[string, Change<Stored>, string]>([
    ["a change", { type: "set", item: item("b", "101") }, "101"],
    ["a deletion", { type: "deleted", item: item("a", "102") }, "102"],
    ["a bookmark", { type: "bookmark", resourceVersion: "150" }, "150"],
  ])("goes on from the version of %s", async (_case, change, version) => {
    const { script, clock } = start(onePage([item("a", "1")]));
    await clock.advance(0);
    await script.emit(change);
    await script.emit(new Error("reset"));
    await clock.advance(800);
    expect(script.asked.at(-1)).toBe(`watch ${version} 450`);
  });

  it("takes a watch that ends after a second for a good one", async () => {
    const { script, clock, errors } = start(onePage([]));
    await clock.advance(1_000);
    await script.emit("end");
    expect(errors).toEqual([]);
    expect(script.asked).toHaveLength(3);
  });

  it("lists again when its version has expired, and drops what is gone", async () => {
    const { script, keys, clock } = start(
      onePage([item("a", "1"), item("b", "1")]),
      onePage([item("b", "1")], "200"),
    );
    await clock.advance(0);
    await script.emit(expired);
    await clock.advance(1_000);
    expect(script.asked.slice(2)).toEqual(["list 32", "watch 200 450"]);
    expect(keys()).toEqual(["b"]);
  });

  it("lists again when a page token has expired", async () => {
    const { script, clock, keys } = start(
      { items: [], resourceVersion: "1", continue: "next" },
      expired,
      onePage([item("a", "1")]),
    );
    await clock.advance(1_000);
    expect(keys()).toEqual(["a"]);
    expect(script.asked).toHaveLength(4);
  });

  it("never gives up, and waits longer from try to try up to half a minute", async () => {
    const down = Array.from({ length: 12 }, () => new Error("down"));
    const { clock, errors, keys } = start(...down, onePage([item("a", "1")]));
    await clock.advance(300_000);
    expect(errors.map((text) => Number(text.split(" ")[1]))).toEqual([
      800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000, 30_000, 30_000, 30_000, 30_000,
    ]);
    expect(keys()).toEqual(["a"]);
  });

  it("forgets its failures when events come again", async () => {
    const { clock, errors, script } = start(new Error("down"), new Error("down"), onePage([]));
    await clock.advance(10_000);
    await script.emit({ type: "bookmark", resourceVersion: "101" });
    await script.emit(new Error("reset"));
    expect(errors.at(-1)).toBe("reset 800");
  });

  it("cuts a watch that is silent for too long and goes on from the last version", async () => {
    const { clock, script, errors } = start(onePage([]));
    await clock.advance(149_000);
    await script.emit({ type: "bookmark", resourceVersion: "120" });
    await clock.advance(149_000);
    expect(errors).toEqual([]);
    await clock.advance(2_000);
    expect(errors[0]).toContain("silent for too long");
    expect(script.asked.at(-1)).toBe("watch 120 450");
  });

  it("doesn't spin when watches end at once", async () => {
    const { clock, script, errors } = start(onePage([]));
    await clock.advance(0);
    await script.emit("end");
    expect(errors).toEqual(["the watch ended at once 800"]);
    expect(script.asked).toHaveLength(2);
    await clock.advance(800);
    expect(script.asked).toHaveLength(3);
  });

  it("tells how long it has been silent; failed tries count as a sign of life", async () => {
    const { clock, reflector, script } = start(onePage([]));
    await clock.advance(60_000);
    expect(reflector.silentMs()).toBe(60_000);
    await script.emit(new Error("reset"));
    expect(reflector.silentMs()).toBe(0);
    expect(reflector.name).toBe("things");
    await clock.advance(700);
    await script.emit({ type: "bookmark", resourceVersion: "110" });
    await clock.advance(30_000);
    await script.emit({ type: "bookmark", resourceVersion: "120" });
    expect(reflector.silentMs()).toBe(0);
    await clock.advance(30_000);
    await script.emit("end");
    expect(reflector.silentMs()).toBe(0);
  });

  it("counts its silence from its making, and each page of a list as a sign", async () => {
    const { clock, reflector, script } = start();
    await clock.advance(60_000);
    expect(reflector.silentMs()).toBe(60_000);
    script.answer(onePage([]));
    await clock.advance(0);
    expect(reflector.silentMs()).toBe(0);
  });

  it("ends when it is told to, in the middle of a watch, of a wait or of an error", async () => {
    for (const lists of [[onePage([])], [new Error("down")], [onePage([])]]) {
      const { stop, ended, clock, errors } = start(...lists);
      await clock.advance(10);
      stop.abort();
      await clock.advance(0);
      await ended;
      expect(errors).toHaveLength(lists[0] instanceof Error ? 1 : 0);
      expect(clock.pendingTimers).toBe(0);
    }
  });

  it("is blind while an object can't be read, which others need not wait for, and sees again", async () => {
    const { clock, script, reflector, keys, errors } = startWith({ mayBeBlind: true }, unreadable);
    await settle();
    expect(await reflector.firstTry).toBe(true);
    expect([reflector.isSynced, reflector.isBlind]).toEqual([true, true]);
    await clock.advance(1_000);
    expect(reflector.failingMs()).toBe(1_000);
    expect(errors).toHaveLength(1);
    script.answer(onePage([item("a", "1")]));
    await settle();
    expect([keys(), reflector.isBlind]).toEqual([["a"], false]);
    // Of a watch that ends for it, nothing is known any more; the next one tells what came meanwhile.
    await script.emit(unreadable);
    expect(reflector.isBlind).toBe(true);
    await clock.advance(2_000);
    await script.emit({ type: "set", item: item("b", "2") });
    expect([keys(), reflector.isBlind, reflector.failingMs()]).toEqual([["a", "b"], false, 0]);
  });

  it("isn't blind where its objects are asked for nowhere else", async () => {
    const { reflector } = start(unreadable);
    await settle();
    expect(await reflector.firstTry).toBe(false);
    expect([reflector.isSynced, reflector.isBlind]).toEqual([false, false]);
  });

  it("tells of each list", async () => {
    const listed: number[] = [];
    const clock = new FakeClock();
    const script = new Script();
    script.lists = [onePage([item("a", "1")])];
    const stop = new AbortController();
    const options = {
      name: "n",
      collection: script,
      store: new Store<Stored>(),
      clock,
      random: () => 0,
      onError: () => undefined,
    };
    void new Reflector({ ...options, onList: (count: number) => listed.push(count), idleMs: 5 }).run(
      stop.signal,
    );
    await clock.advance(1);
    expect(listed).toEqual([1]);
    stop.abort();
  });
});
