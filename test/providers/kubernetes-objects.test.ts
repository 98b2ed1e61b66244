import { beforeEach, describe, expect, it } from "@jest/globals";
import { AnswerTooLargeError, ApiError, type KubeApi, type KubeObject } from "../../src/kube/kube-api.ts";
import { openObjects } from "../../src/providers/kubernetes/objects.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";

/** What test/integration/kubernetes.test.ts can't have a real apiserver do. */

const { signal } = new AbortController();
let clock: FakeClock;
/** Sizes of the pages that were asked for. */
let limits: number[];
let mostItems: number;
let strict: boolean | undefined;
let failure: Error | undefined;
let object: KubeObject | undefined;
/** Watches that are open. */
let watches: { tell: (event: object) => void; end: () => void; signal: AbortSignal }[];

const api = {
  get: () => (failure ? Promise.reject(failure) : Promise.resolve(object)),
  list(_type: unknown, asked: { limit: number; mostBytes?: number; strict?: boolean }) {
    const { limit, mostBytes } = asked;
    limits.push(limit);
    strict = asked.strict;
    if (failure) return Promise.reject(failure);
    if (limit > mostItems && mostBytes !== undefined) return Promise.reject(new AnswerTooLargeError("4 MiB"));
    return Promise.resolve({
      metadata: { resourceVersion: "7" },
      items: [{ metadata: { name: "a" } }],
    });
  },
  async *watch(_type: unknown, _options: unknown, until: AbortSignal) {
    const events: object[] = [];
    let wake = () => undefined as unknown;
    let isOver = false;
    watches.push({
      tell: (event) => (events.push(event), wake()),
      end: () => ((isOver = true), wake()),
      signal: until,
    });
    until.addEventListener("abort", () => ((isOver = true), wake()));
    for (;;) {
      while (events.length > 0) yield events.shift();
      if (isOver) return;
      await new Promise<void>((resolve) => (wake = () => resolve()));
    }
  },
} as unknown as KubeApi;

const open = () =>
  openObjects({
    api,
    clock,
    namespace: "shared",
    kind: "Secret",
    cluster: "the other cluster",
    needsConsent: false,
    onClose: () => undefined,
  });

beforeEach(() => {
  clock = new FakeClock();
  limits = [];
  mostItems = 1_000;
  strict = undefined;
  object = undefined;
  failure = undefined;
  watches = [];
});

describe("a page of objects that are large", () => {
  it("is asked for in smaller pieces, down to a single one", async () => {
    mostItems = 5;
    expect(await open().listing!.page({}, undefined, signal)).toMatchObject({ kind: "page" });
    expect(limits).toEqual([100, 20, 4]);
    limits = [];
    mostItems = 0;
    expect(await open().listing!.page({}, undefined, signal)).toMatchObject({ kind: "page" });
    expect(limits).toEqual([100, 20, 4, 1]);
  });
});

describe("what no apiserver would answer", () => {
  const of = (data: unknown) => ({ metadata: { name: "a", uid: "u", resourceVersion: "1" }, data }) as never;

  it.each([
    ["a list", [{}, {}]],
    ["a text", "x"],
    ["members that are no texts", { a: 1, b: null, c: ["x"], d: { e: "f" } }],
  ])("such as data that are %s, has no members", async (_what, data) => {
    object = of(data);
    const result = await open().read({ key: "a" }, signal);
    expect(
      result.kind === "found" && [...(result.value.members ?? new Map<string, unknown>()).keys()],
    ).toEqual([]);
  });

  it("ends a list that has a single object which is too large; more than was asked for is refused", async () => {
    failure = new AnswerTooLargeError("4 MiB");
    expect(await open().listing!.page({}, undefined, signal)).toMatchObject({
      kind: "failed",
      failure: { reason: "TooLarge", scope: "request" },
    });
    expect(limits).toEqual([100, 20, 4, 1]);
    expect(strict).toBe(true);
  });

  it("is more than an object can be", async () => {
    failure = new AnswerTooLargeError("4 MiB");
    expect(await open().read({ key: "a" }, signal)).toMatchObject({ failure: { reason: "TooLarge" } });
    failure = undefined;
    object = of(Object.fromEntries(Array.from({ length: 10_001 }, (_, index) => [`k${index}`, ""])));
    expect(await open().read({ key: "a" }, signal)).toMatchObject({ failure: { reason: "TooLarge" } });
    object = of({ ["n".repeat(256 * 1024)]: "", b: "" });
    expect(await open().read({ key: "a" }, signal)).toMatchObject({ failure: { reason: "TooLarge" } });
  });
});

describe("an apiserver's failure", () => {
  it.each<[string, Error, object]>([
    ["no answer", new Error("reset"), { reason: "ProviderUnreachable", scope: "provider" }],
    [
      "no credentials",
      new ApiError(401, "Unauthorized", "x"),
      { reason: "AuthenticationFailed", scope: "provider" },
    ],
    ["no right", new ApiError(403, "Forbidden", "x"), { reason: "AccessDenied", scope: "request" }],
    ["too much asked", new ApiError(429, "Busy", "x", 7), { reason: "RateLimited", retryAfterMs: 7_000 }],
    [
      "any time asked for",
      new ApiError(429, "Busy", "x", 1e9),
      { reason: "RateLimited", retryAfterMs: 300_000 },
    ],
    [
      "a list that is too old",
      new ApiError(410, "Gone", "x"),
      { reason: "ProviderUnreachable", scope: "request" },
    ],
    [
      "an error of its own",
      new ApiError(503, "x", "x"),
      { reason: "ProviderUnreachable", scope: "provider" },
    ],
    ["no JSON", new ApiError(0, "BadAnswer", "x"), { reason: "ProviderUnreachable", scope: "provider" }],
    ["anything else", new ApiError(400, "x", "x"), { reason: "ProviderRefused", scope: "request" }],
  ])("%s is told in our words", async (_what, error, expected) => {
    failure = error;
    for (const result of [
      await open().read({ key: "a" }, signal),
      await open().versions!.read({ key: "a" }, signal),
      await open().listing!.page({}, undefined, signal),
    ])
      expect(result).toMatchObject({ kind: "failed", failure: expected });
  });
});

describe("the feed", () => {
  const begin = async () => {
    const news: (string | undefined)[] = [];
    const stop = new AbortController();
    const ended = open().feed!.run((key) => news.push(key), stop.signal);
    const result = ended.then(
      () => "ended",
      (error: Error) => error.message,
    );
    await settle();
    return { news, stop, result };
  };

  it("tells names, and goes on where a watch ended that was well", async () => {
    const { news, stop, result } = await begin();
    watches[0]!.tell({ type: "MODIFIED", object: { metadata: { name: "a", resourceVersion: "8" } } });
    watches[0]!.tell({ type: "BOOKMARK", object: { metadata: { resourceVersion: "9" } } });
    await clock.advance(60_000);
    watches[0]!.end();
    await settle();
    expect(news).toEqual([undefined, "a"]);
    expect(watches).toHaveLength(2);
    stop.abort();
    await settle();
    expect(await result).toBe("ended");
    expect(clock.pendingTimers).toBe(0);
  });

  it("ends when nothing is heard for minutes, and when a watch ends at once", async () => {
    const silent = await begin();
    await clock.advance(149_000);
    watches[0]!.tell({ type: "BOOKMARK", object: { metadata: { resourceVersion: "9" } } });
    await clock.advance(149_000);
    expect(watches[0]!.signal.aborted).toBe(false);
    await clock.advance(1_000);
    expect(await silent.result).toBe("the watch fell silent");
    const short = await begin();
    watches.at(-1)!.end();
    await settle();
    expect(await short.result).toBe("the watch ended at once");
    expect(clock.pendingTimers).toBe(0);
  });
});

describe("an object of very many members", () => {
  const of = (count: number, length: number) => {
    const names = Array.from({ length: count }, (_, index) => [String(index).padStart(length, "k"), ""]);
    return { metadata: { name: "a" }, data: Object.fromEntries(names) } as KubeObject;
  };

  it.each([
    [10_000, 5, "found"],
    [10_001, 5, "failed"],
    [2_000, 128, "found"],
    [2_000, 140, "failed"],
  ])("%s of them with names of %s is %s", async (count, length, kind) => {
    object = of(count, length);
    expect((await open().read({ key: "a" }, signal)).kind).toBe(kind);
  });

  it("counts with what each takes beside its bytes", async () => {
    object = of(1_000, 4);
    const result = await open().read({ key: "a" }, signal);
    expect(result.kind === "found" && result.value.held).toBeGreaterThan(300_000);
  });
});
