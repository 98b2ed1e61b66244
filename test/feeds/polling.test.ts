import { beforeEach, describe, expect, it } from "@jest/globals";
import type { Joining } from "../../src/feeds/member.ts";
import { EXACT_MS, PollingFeed, type PollingOptions } from "../../src/feeds/polling.ts";
import { askersOf, Questions } from "../../src/feeds/questions.ts";
import type { Known } from "../../src/fetch/news.ts";
import type { ProviderRef } from "../../src/api/secret-sync-sources.ts";
import { refId, type Source } from "../../src/plan/sources.ts";
import { FakeClock } from "../support/fake-clock.ts";

let clock: FakeClock;
let feed: PollingFeed;
/** Versions that the stores have, by provider and key. */
let stored: Map<string, string>;
/** Keys that were asked for, by poll. */
let asked: string[][];
/** Of each its first key, and when. */
let askedAt: [string, number][];
let news: string[];
let changed: Set<string>;
let closed: Set<string>;
let signals: AbortSignal[];
let failures: { members: number; late: boolean; error: unknown }[];
let polls: { members: number; due: number; seconds: number }[];

const MINUTE = 60_000;
const rotations: Record<string, number> = { rotated: 5_000, sooner: 4_000, later: 6_000 };
const cluster: ProviderRef = { kind: "ClusterSecretProvider", name: "aws" };
const own: ProviderRef = { kind: "SecretProvider", name: "aws" };

beforeEach(() => {
  clock = new FakeClock();
  stored = new Map();
  asked = [];
  askedAt = [];
  news = [];
  changed = new Set();
  closed = new Set();
  signals = [];
  failures = [];
  polls = [];
  feed = newFeed(1e6);
});

/** `onAsked`: called while the provider is asked. */
function newFeed(
  mostBytes: number,
  onAsked: () => void = () => undefined,
  more: Partial<PollingOptions> = {},
): PollingFeed {
  return new PollingFeed({
    clock,
    open: ({ providerId }) =>
      Promise.resolve(
        closed.has(providerId)
          ? undefined
          : {
              news<K extends Known>(known: readonly K[], _since: number, signal: AbortSignal) {
                onAsked();
                signals.push(signal);
                const names = known.map(({ ref }) => ref.key);
                asked.push(names);
                askedAt.push([names[0]!, clock.monotonic()]);
                if (names[0] === "slow") return new Promise<K[]>(() => undefined);
                if (closed.has("all")) throw new Error("a bug");
                return Promise.resolve(
                  known.filter(({ ref, version }) => (stored.get(ref.key) ?? "v1") !== version),
                );
              },
              nextRotation: (key: string) => rotations[key],
            },
      ),
    isAsLeft: ({ key }) => !changed.has(key),
    onNews: (key) => news.push(key),
    onPolled: (poll) => polls.push(poll),
    onFailed: (failed) => failures.push(failed),
    mostBytes,
    ...more,
  });
}

const read = (key: string, provider: ProviderRef = cluster): Source => ({
  kind: "read",
  provider,
  field: "spec.data[0]",
  ref: { key },
  id: `${provider.kind}/${provider.name} read ${refId({ key })}`,
});

function join(key: string, sources: readonly Source[], more: Partial<Joining> = {}): boolean {
  return feed.join({
    key,
    namespace: key.split("/")[0]!,
    uid: key,
    generation: 1,
    requestedAt: undefined,
    intervalMs: MINUTE,
    sources,
    versions: new Map(sources.map(({ id }) => [id, "v1"])),
    targetKey: key,
    targetVersion: "1",
    exactAt: clock.monotonic(),
    nextRotation: undefined,
    left: undefined,
    ...more,
  });
}

/** Long enough for one poll of each group with that interval, and short enough for no third. */
const poll = (intervalMs = MINUTE) => clock.advance(intervalMs * 1.1);

describe("a poll", () => {
  it("asks once for each key that a group reads, and makes due only who reads what is new", async () => {
    join("a/one", [read("k1")]);
    join("a/two", [read("k1"), read("k2")]);
    join("a/three", [read("k3")]);
    await poll();
    expect(asked).toEqual([["k1", "k2", "k3"]]);
    expect(news).toEqual([]);
    stored.set("k1", "v2");
    await poll();
    expect(news).toEqual(["a/one", "a/two"]);
    expect(polls).toMatchObject([
      { members: 3, due: 0, seconds: 0 },
      { members: 3, due: 2 },
    ]);
  });

  it("comes again at each interval, and tells the same again until somebody looks", async () => {
    join("a/one", [read("k1")]);
    stored.set("k1", "v2");
    await clock.advance(5 * MINUTE);
    expect(asked.length).toBeGreaterThanOrEqual(4);
    expect(news).toHaveLength(asked.length);
    feed.leave("a/one");
    asked = [];
    await clock.advance(5 * MINUTE);
    expect(asked).toEqual([]);
    expect(clock.pendingTimers).toBe(0);
  });

  it("is one for each namespace, provider and interval, those of one provider and interval at the same moment", async () => {
    join("a/one", [read("k1")]);
    join("b/one", [read("k1")]);
    join("a/two", [read("k2")], { intervalMs: 10 * MINUTE });
    join("a/own", [read("k3", own)]);
    join("b/own", [read("k3", own)]);
    await poll();
    expect(asked.filter(([key]) => key === "k1")).toHaveLength(2);
    const [first, second] = askedAt.filter(([key]) => key === "k1");
    expect(first).toEqual(second);
    expect(asked.filter(([key]) => key === "k3")).toHaveLength(2);
    await clock.advance(11 * MINUTE);
    const long = asked.filter(([key]) => key === "k2").length;
    expect(long).toBeGreaterThanOrEqual(1);
    expect(long).toBeLessThanOrEqual(2);
  });

  it("waits for no other namespace's", async () => {
    join("a/slow", [read("slow")]);
    join("b/quick", [read("k1")]);
    stored.set("k1", "v2");
    await clock.advance(5 * MINUTE);
    expect(asked.filter(([key]) => key === "slow")).toHaveLength(1);
    expect(asked.filter(([key]) => key === "k1").length).toBeGreaterThanOrEqual(4);
    expect(news).toContain("b/quick");
    expect(news).not.toContain("a/slow");
    // The slow one is overdue, and so is whom nobody looks at although it was told.
    expect(feed.overdueCount()).toBe(2);
    feed.leave("b/quick");
    expect(feed.overdueCount()).toBe(1);
  });

  it("of an object that reads several providers asks each", async () => {
    join("a/one", [read("k1"), read("k2", own)]);
    stored.set("k2", "v2");
    await poll();
    expect(asked.flat().toSorted()).toEqual(["k1", "k2"]);
    expect(news).toEqual(["a/one"]);
  });

  it("goes by what each object knows, where one has seen more than another", async () => {
    join("a/old", [read("k1")]);
    join("a/new", [read("k1")], { versions: new Map([[read("k1").id, "v2"]]) });
    stored.set("k1", "v2");
    await poll();
    expect(news).toEqual(["a/old"]);
  });

  it("makes due who must be read exactly, or whose Secret isn't as it was left, and asks nothing for it", async () => {
    join("a/one", [read("k1")], { exactAt: clock.monotonic() - EXACT_MS });
    join("a/two", [read("k2")]);
    changed.add("a/two");
    await poll();
    expect(news).toEqual(["a/one", "a/two"]);
    expect(asked).toEqual([]);
  });

  it("makes everybody due when the provider can't be asked, or a poll fails, and goes on", async () => {
    join("a/one", [read("k1")]);
    closed.add("a ClusterSecretProvider/aws");
    await poll();
    expect(news).toEqual(["a/one"]);
    closed.clear();
    closed.add("all");
    await poll();
    expect(news).toEqual(["a/one", "a/one"]);
    expect(failures).toMatchObject([{ late: false, error: new Error("a bug") }]);
    closed.clear();
    await poll();
    expect(asked.length).toBeGreaterThanOrEqual(2);
    expect(news).toHaveLength(2);
  });

  it("of very many takes turns, and goes on with who is still there", async () => {
    // One leaves while others are looked at.
    const isAsLeft = ({ key }: { key: string }) => {
      if (key === "a/app-0") feed.leave("a/app-4499");
      return true;
    };
    feed = newFeed(1e8, () => undefined, { isAsLeft });
    for (let index = 0; index < 4_500; index++) join(`a/app-${index}`, [read(`k${index}`)]);
    stored.set("k4400", "v2");
    stored.set("k4499", "v2");
    await poll();
    expect(news).toEqual(["a/app-4400"]);
    expect(polls).toMatchObject([{ members: 4_500, due: 1 }]);
  });

  it("says nothing to who came back meanwhile with what is new", async () => {
    let comeBack = () => undefined as void;
    feed = newFeed(1e6, () => comeBack());
    join("a/one", [read("k1")]);
    join("a/two", [read("k1")]);
    stored.set("k1", "v2");
    comeBack = () => {
      comeBack = () => undefined;
      join("a/one", [read("k1")], { versions: new Map([[read("k1").id, "v2"]]) });
      // It knows both, as somebody who asks the old question too.
      join("a/three", [read("k1")]);
    };
    await poll();
    expect(news).toEqual(["a/two", "a/three"]);
  });

  it("ends a group whose last object left meanwhile", async () => {
    let leave = () => undefined as void;
    feed = newFeed(1e6, () => leave());
    join("a/one", [read("k1")]);
    leave = () => void feed.leave("a/one");
    await poll();
    expect(asked).toHaveLength(1);
    expect(clock.pendingTimers).toBe(0);
    await poll();
    expect(asked).toHaveLength(1);
  });

  it("of a month comes when the month is over", async () => {
    const month = 30 * 24 * 60 * MINUTE;
    join("a/one", [read("k1")], { intervalMs: month, exactAt: clock.monotonic() + 2 * month });
    await clock.advance(1.2 * month);
    expect(asked.length).toBeGreaterThanOrEqual(1);
    expect(asked.length).toBeLessThanOrEqual(2);
  });

  it("tells nobody who left meanwhile", async () => {
    join("a/one", [read("k1")]);
    join("a/two", [read("k1")]);
    stored.set("k1", "v2");
    feed.leave("a/one");
    await poll();
    expect(news).toEqual(["a/two"]);
  });
});

describe("what is known of an object", () => {
  it("is when it was last in step: since it joined, or since the last poll of all", async () => {
    const joinedAt = clock.now() / 1000;
    join("a/one", [read("k1")]);
    expect(feed.lastSuccess("a/one")).toBe(joinedAt);
    await poll();
    const polledAt = feed.lastSuccess("a/one")!;
    expect(polledAt).toBeGreaterThan(joinedAt);
    await clock.advance(1_000);
    join("a/two", [read("k2")]);
    expect(feed.lastSuccess("a/two")).toBe(clock.now() / 1000);
    closed.add("all");
    await poll();
    expect(feed.lastSuccess("a/one")).toBe(polledAt);
    expect(feed.lastSuccess("a/none")).toBeUndefined();
  });

  it("goes with it when it leaves", async () => {
    join("a/one", [read("k1"), read("k2")]);
    await poll();
    const left = feed.leave("a/one")!;
    expect(left.versions).toEqual(["v1", "v1"]);
    expect(left.member).toMatchObject({ uid: "a/one", generation: 1, exactAt: 1_000_000 });
    expect(left.dueAt).toBeGreaterThan(clock.monotonic());
    expect(left.lastSuccess).toBeGreaterThan(1_700_001_000);
    expect(feed.leave("a/one")).toBeUndefined();
    expect(feed.has("a/one")).toBe(false);
  });

  it("is the first rotation among its sources, once the provider was asked", async () => {
    join("a/one", [read("k1"), read("rotated")]);
    join("a/two", [read("rotated"), read("sooner"), read("later")]);
    expect(feed.nextRotation("a/one")).toBeUndefined();
    await poll();
    expect(feed.nextRotation("a/one")).toBe(5_000);
    expect(feed.nextRotation("a/two")).toBe(4_000);
    expect(feed.nextRotation("a/none")).toBeUndefined();
    // What was known when it joined holds until a poll tells more.
    join("a/three", [read("k3")], { nextRotation: 7_000 });
    expect(feed.nextRotation("a/three")).toBe(7_000);
  });

  it("is overdue when its poll doesn't come", async () => {
    join("a/one", [read("k1")]);
    join("a/two", [read("k2")]);
    expect(feed.overdueCount()).toBe(0);
    feed.close();
    await clock.advance(2 * MINUTE + 1);
    expect(feed.overdueCount()).toBe(2);
    expect(feed.stillMs()).toBeGreaterThan(MINUTE);
    expect(join("a/three", [read("k3")])).toBe(false);
  });
});

describe("who was told that there is news", () => {
  it("needs a look at once, and was last in step before", async () => {
    join("a/one", [read("k1")]);
    await poll();
    const before = feed.lastSuccess("a/one");
    stored.set("k1", "v2");
    await poll();
    await poll();
    expect(feed.lastSuccess("a/one")).toBe(before);
    const left = feed.leave("a/one")!;
    expect(left.lastSuccess).toBe(before);
    expect(left.dueAt).toBeLessThan(clock.monotonic());
    expect(left.dueAt).toBe(left.member.toldAt);
  });

  it("is due once a poll, however many of its sources are new and however long it waits", async () => {
    join("a/one", [read("k1"), read("k2")]);
    stored.set("k1", "v2");
    stored.set("k2", "v2");
    await poll();
    expect(polls).toMatchObject([{ members: 1, due: 1 }]);
    expect(news).toEqual(["a/one"]);
    await clock.advance(MINUTE);
    expect(polls).toMatchObject([{ due: 1 }, { due: 1 }]);
    expect(news).toEqual(["a/one", "a/one"]);
  });
});

describe("who comes back without a look", () => {
  it("is polled when it would have been, and was last in step when it was", async () => {
    join("a/one", [read("k1")]);
    join("a/two", [read("k2")]);
    await clock.advance(10_000);
    const left = feed.leave("a/one")!;
    expect(join("a/one", [read("k1")], { left })).toBe(true);
    expect(feed.lastSuccess("a/one")).toBe(left.lastSuccess);
    await poll();
    expect(asked[0]).toEqual(["k2", "k1"]);
  });

  it("looks after itself when its group would come later, or is passing it over just now", async () => {
    join("a/one", [read("k1")]);
    const left = feed.leave("a/one")!;
    // So near to its time a group of its own takes the one after.
    await clock.advance(left.dueAt - clock.monotonic() - 1_000);
    expect(join("a/one", [read("k1")], { left })).toBe(false);
    expect(clock.pendingTimers).toBe(0);
    join("a/slow", [read("slow")]);
    join("a/two", [read("k2")]);
    await clock.advance(10_000);
    const second = feed.leave("a/two")!;
    await poll();
    expect(asked).toEqual([["slow"]]);
    expect(join("a/two", [read("k2")], { left: second })).toBe(false);
    expect(join("a/two", [read("k2")])).toBe(true);
  });
});

describe("a poll without an end", () => {
  it("is given up, told, and begun again", async () => {
    join("a/slow", [read("slow")], { exactAt: clock.monotonic() + 60 * MINUTE });
    await clock.advance(14 * MINUTE);
    expect(failures).toMatchObject([{ members: 1, late: true, error: new Error("the poll took too long") }]);
    expect(signals[0]!.aborted).toBe(true);
    expect(news).toEqual(["a/slow"]);
    expect(asked.length).toBeGreaterThanOrEqual(2);
    expect(feed.stillMs()).toBe(0);
  });
});

describe("many groups", () => {
  it("are one when their intervals differ by less than a second", async () => {
    for (let index = 0; index < 10; index++)
      join(`a/${index}`, [read(`k${index}`)], { intervalMs: MINUTE - index });
    await poll();
    expect(asked).toHaveLength(1);
  });

  it("of one moment begin some at a time, and none is left out", async () => {
    const turns: number[] = [];
    const begun = new Set<string>();
    const fresh = { exactAt: clock.monotonic() + 60 * MINUTE };
    feed = newFeed(1e7, () => undefined, {
      isAsLeft: ({ key }) => {
        begun.add(key);
        return true;
      },
    });
    for (let index = 0; index < 450; index++) join(`n${index}/one`, [read(`k${index}`)], fresh);
    // A timer of no time ends a turn.
    const { after } = clock;
    clock.after = (milliseconds, callback) => {
      if (milliseconds === 0) turns.push(begun.size);
      return after.call(clock, milliseconds, callback);
    };
    await poll();
    // One to wait for each other, and two between them.
    expect(turns).toEqual([0, 200, 400]);
    expect(asked).toHaveLength(450);
  });

  it("don't begin after the end, and an empty one asks nothing", async () => {
    join("a/one", [read("k1")]);
    await poll();
    asked.length = 0;
    feed.leave("a/one");
    await poll();
    expect(asked).toEqual([]);
    expect(clock.pendingTimers).toBe(0);
  });
});

describe("room", () => {
  const many = (count: number) => Array.from({ length: count }, (_, index) => read(`k${index}`));

  it("is bounded by bytes for all, and half of it for a namespace", () => {
    // Room for twice ten questions in groups of their own.
    feed = newFeed(2 * 5_200);
    expect(join("a/one", many(10))).toBe(true);
    expect(join("a/two", many(1))).toBe(false);
    expect(join("b/one", many(10))).toBe(true);
    expect(join("c/one", many(1))).toBe(false);
    feed.leave("a/one");
    expect(join("c/one", many(10))).toBe(true);
    expect(feed.size).toBe(2);
  });

  it("is taken once by who joins again", () => {
    for (let round = 0; round < 3; round++) expect(join("a/one", many(10))).toBe(true);
    expect(feed.size).toBe(1);
  });

  it("isn't given to finds", () => {
    const find: Source = { kind: "find", provider: cluster, field: "f", criteria: { tags: {} }, id: "find" };
    expect(join("a/one", [read("k1"), find])).toBe(false);
    expect(clock.pendingTimers).toBe(0);
  });
});

describe("questions", () => {
  it("are one for all who know the same of a key, and end with the last of them", () => {
    const questions = new Questions();
    const [source] = [read("k1")] as (Source & { kind: "read" })[];
    const one = questions.add("a/one", "a", source!, "v1");
    expect(questions.add("a/two", "a", source!, "v1")).toBe(one);
    expect(askersOf(one)).toEqual(["a/one", "a/two"]);
    expect(questions.add("a/three", "a", source!, "v2")).not.toBe(one);
    const staged = { ...source!, ref: { key: "k1", versionStage: "AWSPREVIOUS" } };
    expect(questions.add("a/four", "a", staged, "v1")).not.toBe(one);
    expect(questions.add("b/one", "b", source!, "v1")).not.toBe(one);
    questions.remove("a/one", one);
    questions.remove("a/two", one);
    expect(askersOf(one)).toEqual([]);
    expect(questions.add("a/one", "a", source!, "v1")).not.toBe(one);
  });
});
