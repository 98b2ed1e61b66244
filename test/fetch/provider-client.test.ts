import { SecretValue } from "../../src/providers/secret-value.ts";
import { beforeEach, describe, expect, it } from "@jest/globals";
import * as fc from "fast-check";
import { Caller } from "../../src/fetch/caller.ts";
import { KeptBytes } from "../../src/fetch/kept-bytes.ts";
import { ProviderClient, type Kept } from "../../src/fetch/provider-client.ts";
import { MISSING_VERSION, type FindCriteria } from "../../src/plan/sources.ts";
import type { ReadResult } from "../../src/providers/contract.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { failure, FakeStore } from "../support/fake-store.ts";

const never = new AbortController().signal;
let clock: FakeClock;
let store: FakeStore;
let client: ProviderClient;
let more: number;
let recovered: number;
let shared: string[];
let kept: Kept;

beforeEach(() => {
  clock = new FakeClock();
  store = new FakeStore();
  more = 0;
  recovered = 0;
  shared = [];
  kept = { values: new KeptBytes(16 * 1024 * 1024), names: new KeptBytes(64 * 1024 * 1024) };
  client = newClient();
});

function newClient(): ProviderClient {
  const caller = new Caller({
    clock,
    random: () => 0.5,
    limits: { requestsPerSecond: 1000, maxConcurrent: 64 },
    observe: (_operation, call) => call(),
    onRecovered: () => recovered++,
  });
  return new ProviderClient({
    store,
    caller,
    clock,
    coming: { values: () => more, versions: () => more },
    kept,
    onShared: (operation) => shared.push(operation),
  });
}

/** Runs requests to their end, moving time as far as they need. */
async function settled<T>(...requests: readonly (Promise<T> | undefined)[]): Promise<T[]> {
  const all = Promise.all(requests.map((request) => request!));
  await clock.advance(5_000);
  return all;
}
const values = async (keys: readonly string[], since = clock.monotonic()) =>
  (await settled(...keys.map((key) => client.value({ key }, since, "shop")))).map(textOf);
const textOf = (result: ReadResult): string =>
  result.kind === "found"
    ? result.value.reveal().toString()
    : result.kind === "failed"
      ? result.failure.reason
      : result.kind;
const keys = (count: number) => Array.from({ length: count }, (_, index) => `k${index}`);

describe("values", () => {
  it("of many keys come in batches of twenty", async () => {
    for (const key of keys(45)) store.put(key, `value of ${key}`);
    expect(await values(keys(45))).toEqual(keys(45).map((key) => `value of ${key}`));
    expect(store.calls).toEqual(["batch 20", "batch 20", "batch 5"]);
  });

  it("of one key come by a single read, at once", async () => {
    store.put("k", "v");
    const result = client.value({ key: "k" }, clock.monotonic(), "shop");
    await clock.advance(0);
    expect(textOf(await result)).toBe("v");
    expect(store.calls).toEqual(["read k"]);
  });

  it("wait a little for others while more are coming, and no longer when full", async () => {
    for (const key of keys(21)) store.put(key, key);
    more = 1;
    const pending = keys(21).map((key) => client.value({ key }, clock.monotonic(), "shop"));
    await clock.advance(1);
    expect(store.calls).toEqual(["batch 20"]);
    await clock.advance(200);
    expect(store.calls).toEqual(["batch 20", "read k20"]);
    await Promise.all(pending);
  });

  it("are shared by all who became due before the call", async () => {
    store.put("k", "v");
    const since = clock.monotonic();
    expect(await values(["k", "k", "k"], since)).toEqual(["v", "v", "v"]);
    expect(await values(["k"], since)).toEqual(["v"]);
    expect(store.calls).toEqual(["read k"]);
    expect(shared).toEqual(["value", "value", "value"]);
  });

  it("are read again for who became due after the call, so a change is never missed", async () => {
    store.put("k", "old");
    await values(["k"]);
    store.put("k", "new", "v2");
    await clock.advance(1);
    expect(await values(["k"])).toEqual(["new"]);
  });

  it("are kept for a moment only", async () => {
    store.put("k", "v");
    const since = clock.monotonic();
    await values(["k"], since);
    await clock.advance(60_000);
    await values(["k"], since);
    expect(store.calls).toHaveLength(2);
  });

  it("that failed or are missing are not shared once they are known", async () => {
    const since = clock.monotonic();
    expect(await values(["k"], since)).toEqual(["missing"]);
    store.put("k", "v");
    expect(await values(["k"], since)).toEqual(["v"]);
  });

  it("of a version or a stage come by single reads, of the current stage by batch", async () => {
    store.put("k", "v");
    const since = clock.monotonic();
    await settled(
      client.value({ key: "k", version: "v1" }, since, "shop"),
      client.value({ key: "k", versionStage: "AWSPREVIOUS" }, since, "shop"),
      client.value({ key: "k", versionStage: "AWSCURRENT" }, since, "shop"),
      client.value({ key: "j" }, since, "shop"),
    );
    expect(store.calls.toSorted()).toEqual(["batch 2", "read k", "read k"]);
  });

  it("of a batch that fails in part fail in part", async () => {
    for (const key of keys(3)) store.put(key, key);
    store.fail = (operation, key) =>
      operation === "item" && key === "k1" ? failure("AccessDenied", "request") : undefined;
    expect(await values(keys(3))).toEqual(["k0", "AccessDenied", "k2"]);
  });

  it("come by single reads for a while when the identity may not batch", async () => {
    for (const key of keys(3)) store.put(key, key);
    store.fail = (operation) => (operation === "batch" ? failure("AccessDenied", "batch") : undefined);
    expect(await values(keys(3))).toEqual(keys(3));
    expect(store.calls).toEqual(["batch 3", "read k0", "read k1", "read k2"]);
    await clock.advance(9 * 60_000);
    await values(keys(3));
    expect(store.calls.slice(4)).toEqual(["read k0", "read k1", "read k2"]);
    await clock.advance(60_000);
    store.calls.length = 0;
    await values(keys(3));
    expect(store.calls[0]).toBe("batch 3");
  });

  it("come by single reads from a provider without batches", async () => {
    for (const key of keys(3)) store.put(key, key);
    store.batch = undefined;
    client = newClient();
    expect(await values(keys(3))).toEqual(keys(3));
    expect(store.calls).toEqual(["read k0", "read k1", "read k2"]);
  });

  it("that a batch passes over are not missing", async () => {
    for (const key of keys(3)) store.put(key, key);
    store.leftOut.add("k1");
    expect(await values(keys(3))).toEqual(["k0", "ProviderRefused", "k2"]);
  });

  it("come by single reads this once when one key spoils the batch", async () => {
    for (const key of keys(2)) store.put(key, key);
    store.fail = (operation) => (operation === "batch" ? failure("ProviderRefused", "batch") : undefined);
    expect(await values(keys(2))).toEqual(keys(2));
    store.fail = () => undefined;
    store.calls.length = 0;
    await clock.advance(1_000);
    await values(keys(2));
    expect(store.calls).toEqual(["batch 2"]);
  });
});

describe("versions", () => {
  const versions = async (names: readonly string[]) => {
    const since = clock.monotonic();
    const results = await settled(...names.map((key) => client.version({ key }, since, "shop")));
    return results.map((result) => (result.kind === "found" ? result.versionId : result.kind));
  };
  const known = async (count: number) => {
    for (const key of keys(count)) store.put(key, key);
    await values(keys(count));
    store.calls.length = 0;
    await clock.advance(1);
  };

  it("of one key come by a describe, at once", async () => {
    await known(1);
    const answer = client.version({ key: "k0" }, clock.monotonic(), "shop");
    await clock.advance(0);
    expect(await answer).toMatchObject({ versionId: "v1" });
    expect(store.calls).toEqual(["describe k0"]);
  });

  it("of many keys come by one sweep of the listing", async () => {
    await known(250);
    store.put("k7", "new", "v2");
    const told = await versions(keys(250));
    expect(told[7]).toBe("v2");
    expect(told[8]).toBe("v1");
    expect(store.calls).toEqual(["list", "list", "list"]);
  });

  it("of few keys come by a describe each, when the listing is longer", async () => {
    await known(250);
    await versions(keys(250));
    store.calls.length = 0;
    await clock.advance(1);
    await versions(["k1", "k2"]);
    expect(store.calls).toEqual(["describe k1", "describe k2"]);
  });

  it("of few keys come by a sweep, when many others are about to ask", async () => {
    await known(250);
    await versions(keys(250));
    store.calls.length = 0;
    await clock.advance(1);
    more = 100;
    await versions(["k1", "k2"]);
    expect(store.calls).toEqual(["list", "list", "list"]);
  });

  it("of few who come after a sweep of the same moment are in it", async () => {
    await known(250);
    const since = clock.monotonic();
    await settled(...keys(240).map((key) => client.version({ key }, since, "shop")));
    store.calls.length = 0;
    await settled(client.version({ key: "k245" }, since, "shop"));
    expect(store.calls).toEqual([]);
  });

  it("of many who follow a few are in the few's sweep, which is whole", async () => {
    await known(250);
    const since = clock.monotonic();
    await settled(
      client.version({ key: "k0" }, since, "shop"),
      client.version({ key: "k249" }, since, "shop"),
    );
    await settled(...keys(250).map((key) => client.version({ key }, since, "shop")));
    expect(store.calls).toEqual(["list", "list", "list"]);
  });

  it("that the listing doesn't know come by a describe", async () => {
    await known(30);
    store.unlisted.add("k3");
    expect((await versions(keys(30)))[3]).toBe("v1");
    expect(store.calls).toEqual(["list", "describe k3"]);
  });

  it("come by describes when listing is denied", async () => {
    await known(3);
    store.fail = (operation) => (operation === "list" ? failure("AccessDenied", "request") : undefined);
    expect(await versions(keys(3))).toEqual(["v1", "v1", "v1"]);
    await clock.advance(1);
    expect(await versions(keys(3))).toEqual(["v1", "v1", "v1"]);
    expect(store.calls.filter((call) => call === "list")).toHaveLength(1);
  });

  it("are swept for again after a listing failed for once", async () => {
    await known(3);
    store.fail = (operation) => (operation === "list" ? failure("ProviderRefused", "request") : undefined);
    expect(await versions(keys(3))).toEqual(["v1", "v1", "v1"]);
    store.fail = () => undefined;
    store.calls.length = 0;
    await clock.advance(1);
    await versions(keys(3));
    expect(store.calls).toEqual(["list"]);
  });

  it("are described again after a describe failed for once", async () => {
    await known(1);
    store.fail = () => failure("ProviderRefused", "request");
    expect(await versions(["k0"])).toEqual(["failed"]);
    store.fail = () => undefined;
    await clock.advance(1);
    expect(await versions(["k0"])).toEqual(["v1"]);
  });

  it("come by sweeps alone for an identity that may only list", async () => {
    await known(250);
    store.fail = (operation) => (operation === "describe" ? failure("AccessDenied", "request") : undefined);
    await versions(["k0"]);
    store.calls.length = 0;
    await clock.advance(1);
    expect(await versions(["k1"])).toEqual(["v1"]);
    expect(store.calls).toEqual(["list", "list", "list"]);
    // And when that fails, nothing else is tried.
    store.fail = () => failure("ProviderRefused", "request");
    store.calls.length = 0;
    await clock.advance(1);
    expect(await versions(["k1"])).toEqual(["failed"]);
    expect(store.calls).toEqual(["list"]);
  });

  it("are told for ARNs as for names, and for exact versions without a call", async () => {
    await known(3);
    store.secrets.set("arn:k0", { value: "k0", versionId: "v1" });
    await values(["arn:k0"]);
    store.secrets.delete("arn:k0");
    store.calls.length = 0;
    await clock.advance(1);
    const since = clock.monotonic();
    const results = await settled(
      ...["arn:k0", "k1", "k2"].map((key) => client.version({ key }, since, "shop")),
    );
    expect(results.every(({ kind }) => kind === "found")).toBe(true);
    expect(store.calls).toEqual(["list"]);
    await settled(client.value({ key: "k1", version: "v1" }, since, "shop"));
    store.calls.length = 0;
    expect(await settled(client.version({ key: "k1", version: "v1" }, since, "shop"))).toMatchObject([
      { versionId: "v1" },
    ]);
    expect(store.calls).toEqual([]);
  });

  it("of one moment are shared", async () => {
    await known(30);
    const since = clock.monotonic();
    await settled(...keys(30).map((key) => client.version({ key }, since, "shop")));
    await settled(...keys(30).map((key) => client.version({ key }, since, "shop")));
    expect(store.calls).toEqual(["list"]);
    expect(shared.filter((each) => each === "version")).toHaveLength(30);
  });
});

describe("news", () => {
  const knownOf = (names: readonly string[], version = "v1") =>
    names.map((key) => ({ ref: { key }, version, share: "shop" }));
  const news = async (known: ReturnType<typeof knownOf>) => {
    const [told] = await settled(client.news(known, clock.monotonic(), never));
    return told!.map(({ ref }) => ref.key);
  };
  const stored = (count: number) => {
    for (const key of keys(count)) store.put(key, key);
  };

  it("of many come by one sweep, of which nothing is kept", async () => {
    stored(250);
    store.put("k7", "new", "v2");
    expect(await news(knownOf(keys(250)))).toEqual(["k7"]);
    expect(store.calls).toEqual(["list", "list", "list"]);
    expect(kept.names.total).toBe(0);
  });

  it("of a few keys come by describes, however many namespaces know them", async () => {
    stored(250);
    await news(knownOf(keys(250)));
    store.calls.length = 0;
    await clock.advance(1);
    const since = clock.monotonic();
    const told = await settled(
      ...Array.from({ length: 40 }, () => client.news(knownOf(["k1", "k2", "k3"]), since, never)),
    );
    expect(told.flat()).toEqual([]);
    expect(store.calls).toEqual(["describe k1", "describe k2", "describe k3"]);
  });

  it("are told as soon as all of one's own was seen, whatever others still wait for", async () => {
    stored(250);
    store.put("k1", "new", "v2");
    const { page } = store.listing!;
    const rest = Promise.withResolvers<void>();
    store.listing = {
      page: async (filter, next, signal) => {
        if (next !== undefined) await rest.promise;
        return page(filter, next, signal);
      },
    };
    client = newClient();
    const since = clock.monotonic();
    const others = client.news(knownOf(keys(250)), since, never);
    const mine = client.news(knownOf(["k1", "k2"]), since, never);
    await clock.advance(100);
    expect(await mine).toMatchObject([{ ref: { key: "k1" } }]);
    rest.resolve();
    expect((await settled(others))[0]).toHaveLength(1);
  });

  it("are everybody's when the store throws, and the next time isn't spoilt by it", async () => {
    stored(30);
    const { listing } = store;
    store.listing = { page: () => Promise.reject(new TypeError("a bug")) };
    client = newClient();
    expect(await news(knownOf(keys(3)))).toEqual(keys(3));
    store.listing = listing;
    client = newClient();
    expect(await news(knownOf(keys(3)))).toEqual([]);
  });

  it("of a key that may be neither listed nor described come by its value, and others are described still", async () => {
    stored(250);
    store.unlisted.add("k3");
    store.fail = (operation, key) =>
      operation === "describe" && key === "k3" ? failure("AccessDenied", "request") : undefined;
    await settled(client.version({ key: "k1" }, clock.monotonic(), "shop"));
    await news(knownOf(keys(250)));
    store.calls.length = 0;
    await clock.advance(1);
    expect(await news(knownOf(["k1"]))).toEqual([]);
    expect(await news(knownOf(["k3"]))).toEqual([]);
    expect(await news(knownOf(["k3"], "v0"))).toEqual(["k3"]);
    expect(await news(knownOf(["k2"]))).toEqual([]);
    expect(store.calls).not.toContain("list");
    expect(store.calls).toContain("describe k2");
  });

  it("of nothing but exact versions need no call, whatever may be asked", async () => {
    store.versions = undefined;
    client = newClient();
    const known = [{ ref: { key: "k0", version: "v0" }, version: "v0", share: "shop" }];
    expect(await client.news(known, clock.monotonic(), never)).toEqual([]);
    expect(store.calls).toEqual([]);
  });

  it("of one moment share a listing, and each asks for itself what that doesn't tell", async () => {
    stored(30);
    store.unlisted.add("k1");
    store.unlisted.add("k2");
    store.put("k2", "new", "v2");
    const since = clock.monotonic();
    const [first, second] = await settled(
      client.news(knownOf(["k0", "k1"]), since, never),
      client.news(knownOf(["k1", "k2"]), since, never),
    );
    expect([first, second].map((told) => told!.map(({ ref }) => ref.key))).toEqual([[], ["k2"]]);
    expect(store.calls).toEqual(["list", "describe k1", "describe k2"]);
  });

  it("of few come by a describe each, once it is known how long the listing is", async () => {
    stored(250);
    await news(knownOf(keys(250)));
    store.calls.length = 0;
    store.put("k2", "new", "v2");
    await clock.advance(1);
    expect(await news(knownOf(["k1", "k2"]))).toEqual(["k2"]);
    expect(store.calls).toEqual(["describe k1", "describe k2"]);
  });

  it("tell what is gone, what has come, and nothing of what is still missing", async () => {
    stored(30);
    store.secrets.delete("k3");
    const missing = knownOf(["k4", "none"], MISSING_VERSION);
    expect(await news([...knownOf(["k1", "k2", "k3"]), ...missing])).toEqual(["k4", "k3"]);
    expect(store.calls).toEqual(["list", "describe k3"]);
  });

  it("concern each version that somebody knows, and each stage", async () => {
    stored(3);
    store.put("k0", "new", "v2");
    const known = [
      ...knownOf(["k0", "k1"]),
      ...knownOf(["k0"], "v2"),
      { ref: { key: "k1", versionStage: "AWSCURRENT" }, version: "v1", share: "shop" },
      { ref: { key: "k1", versionStage: "AWSPREVIOUS" }, version: "v0", share: "shop" },
    ];
    const [told] = await settled(client.news(known, clock.monotonic(), never));
    expect(told).toEqual([known[0], known[4]]);
  });

  it("of a key that the listing doesn't show yet come by a describe", async () => {
    stored(30);
    store.unlisted.add("k3");
    expect(await news(knownOf(keys(30)))).toEqual([]);
    expect(store.calls).toEqual(["list", "describe k3"]);
  });

  it("never concern an exact version", async () => {
    stored(1);
    const known = [{ ref: { key: "k0", version: "v0" }, version: "v0", share: "shop" }];
    expect(await settled(client.news(known, clock.monotonic(), never))).toEqual([[]]);
    expect(store.calls).toEqual([]);
  });

  it("come by describes when listing is denied, and by listings when describing is", async () => {
    stored(3);
    store.fail = (operation) => (operation === "list" ? failure("AccessDenied", "request") : undefined);
    expect(await news(knownOf(keys(3)))).toEqual([]);
    expect(store.calls).toEqual(["list", "describe k0", "describe k1", "describe k2"]);
    store.fail = (operation) => (operation === "describe" ? failure("AccessDenied", "request") : undefined);
    client = newClient();
    await settled(client.version({ key: "k0" }, clock.monotonic(), "shop"));
    store.calls.length = 0;
    await clock.advance(1);
    expect(await news(knownOf(["k0", "k1"]))).toEqual([]);
    expect(store.calls).toEqual(["list"]);
    store.calls.length = 0;
    await clock.advance(1);
    // Of fewer keys than a listing takes calls, values tell.
    expect(await news(knownOf(["k0"]))).toEqual([]);
    expect(store.calls).toEqual(["read k0"]);
  });

  it("come by values, once for all who know the key, where nothing else tells", async () => {
    stored(3);
    store.fail = (operation) =>
      operation === "list" || operation === "describe" ? failure("AccessDenied", "request") : undefined;
    await news(knownOf(keys(3)));
    store.put("k1", "new", "v2");
    store.calls.length = 0;
    await clock.advance(1);
    expect(await news([...knownOf(keys(3)), ...knownOf(["k2"], "v0"), ...knownOf(["none"])])).toEqual([
      "k1",
      "k2",
      "none",
    ]);
    // An identity that may do neither isn't denied at each poll.
    expect(store.calls).toEqual(["batch 4"]);
    store.calls.length = 0;
    store.versions = store.listing = undefined;
    client = newClient();
    expect(client.version({ key: "k0" }, clock.monotonic(), "shop")).toBeUndefined();
    expect(await news(knownOf(keys(3)))).toEqual(["k1"]);
    expect(store.calls).toEqual(["batch 3"]);
  });

  it("are everybody's when nobody can tell", async () => {
    stored(3);
    store.fail = () => failure("AccessDenied", "request");
    expect(await news(knownOf(keys(3)))).toEqual(keys(3));
  });

  it("come by a sweep from a store that describes nothing, and by describes from one that lists nothing", async () => {
    stored(3);
    store.unlisted.add("k2");
    store.versions = undefined;
    client = newClient();
    // What the listing doesn't show yet its value tells.
    expect(await news(knownOf(keys(3)))).toEqual([]);
    expect(store.calls).toEqual(["list", "read k2"]);
    store.calls.length = 0;
    const again = new FakeStore();
    again.put("k0", "new", "v2");
    again.listing = undefined;
    store = again;
    client = newClient();
    expect(await news(knownOf(["k0"]))).toEqual(["k0"]);
    expect(store.calls).toEqual(["describe k0"]);
    const [found] = await settled(client.finder.find(request({ path: "k", tags: {} })));
    expect(found).toMatchObject({ kind: "failed", failure: { reason: "InvalidSpec" } });
  });

  it("are told of what a listing has shown when it ends after a part, and nobody knows of the rest", async () => {
    stored(250);
    let lists = 0;
    store.fail = (operation) =>
      operation === "list" && ++lists > 1 ? failure("ProviderRefused", "request") : undefined;
    store.put("k7", "new", "v2");
    expect(await news(knownOf(keys(250)))).toEqual(["k7", ...keys(250).slice(100)]);
    expect(store.calls).toEqual(["list", "list"]);
  });

  it("need no call of their own while a listing of the same moment is kept", async () => {
    stored(250);
    const since = clock.monotonic();
    await settled(client.finder.findVersions(request({ tags: {} })));
    store.calls.length = 0;
    const [told] = await settled(client.news(knownOf(keys(250), "v0"), since, never));
    expect(told).toHaveLength(250);
    expect(store.calls).toEqual([]);
  });

  it("tell when what somebody asks about is rotated next, and keep nothing of the rest", async () => {
    stored(30);
    for (const key of keys(30)) store.rotations.set(key, 123);
    expect(client.nextRotation("k1")).toBeUndefined();
    client.nextRotation("arn:k1");
    await news(knownOf(keys(30)));
    expect(client.nextRotation("k1")).toBe(123);
    expect(client.nextRotation("arn:k1")).toBe(123);
    expect(kept.names.total).toBe(2 * 100 + "k1arn:k1".length);
    expect(client.nextRotation("k2")).toBeUndefined();
    store.rotations.clear();
    await clock.advance(1);
    await news(knownOf(keys(30)));
    expect(client.nextRotation("k1")).toBeUndefined();
  });

  describe("while a sweep goes on", () => {
    let pages: PromiseWithResolvers<void>[];
    beforeEach(() => {
      stored(250);
      pages = [];
      const { page } = store.listing!;
      store.listing = {
        page: async (filter, next, signal) => {
          const turn = Promise.withResolvers<void>();
          pages.push(turn);
          await turn.promise;
          return page(filter, next, signal);
        },
      };
      client = newClient();
    });
    const nextPage = async () => {
      pages.at(-1)!.resolve();
      await clock.advance(100);
    };
    const ask = (names: readonly string[], signal = never) =>
      client.news(knownOf(names), clock.monotonic(), signal);

    it("share the next one, however many they are", async () => {
      const all = [ask(keys(250))];
      await clock.advance(100);
      for (let times = 0; times < 50; times++) {
        all.push(ask(keys(250)));
        await clock.advance(100);
      }
      expect(pages).toHaveLength(1);
      for (let times = 0; times < 6; times++) await nextPage();
      expect(await Promise.all(all)).toEqual(all.map(() => []));
      expect(store.calls.filter((call) => call === "list")).toHaveLength(6);
    });

    it("of few keys don't wait for it, once it is known how long it is", async () => {
      const whole = ask(keys(250));
      await clock.advance(100);
      for (let times = 0; times < 3; times++) await nextPage();
      await whole;
      store.calls.length = 0;
      void ask(keys(250));
      await clock.advance(100);
      const few = ask(["k1"]);
      await clock.advance(100);
      expect(await few).toEqual([]);
      expect(store.calls).toEqual(["describe k1"]);
    });

    it("that nobody waits for any more it ends, and asks for nobody who has gone", async () => {
      const [first, second, third] = [new AbortController(), new AbortController(), new AbortController()];
      const reason = new Error("too long");
      const told = [
        ask(keys(250), first.signal),
        ask(["k1", "k249"], second.signal),
        ask(["k2"], third.signal),
      ].map((answer) => answer.catch((error: unknown) => error));
      await clock.advance(100);
      const later = ask(keys(250), first.signal).catch((error: unknown) => error);
      await clock.advance(100);
      first.abort(reason);
      second.abort(reason);
      await nextPage();
      // The third had all it asked for on the first page; nobody asked for the others.
      expect(await Promise.all([...told, later])).toEqual([reason, reason, [], reason]);
      expect(store.calls).toEqual(["list"]);
      expect(pages).toHaveLength(1);
      // A sweep that was ended says nothing of how long it is.
      const again = ask(keys(250));
      await clock.advance(100);
      for (let times = 0; times < 3; times++) await nextPage();
      expect(await again).toEqual([]);
    });

    it("that fails late are everybody's for as long as it took, and of few keys come by describes", async () => {
      let lists = 0;
      store.fail = (operation) =>
        operation === "list" && ++lists === 3 ? failure("ProviderRefused", "request") : undefined;
      const told = ask(keys(250));
      await clock.advance(100);
      for (let times = 0; times < 3; times++) await nextPage();
      await told;
      store.calls.length = 0;
      const [all, few] = await settledIn(200, ask(keys(250)), ask(["k1"]));
      expect([all!.length, few!.length]).toEqual([250, 1]);
      await clock.advance(50);
      const alone = await settledIn(50, ask(["k1", "k2"]));
      expect(alone).toEqual([[]]);
      expect(store.calls).toEqual(["describe k1", "describe k2"]);
      await clock.advance(1_000);
      const after = ask(keys(250));
      await clock.advance(100);
      for (let times = 0; times < 3; times++) await nextPage();
      expect(await after).toEqual([]);
    });
    const settledIn = async <T>(milliseconds: number, ...answers: Promise<T>[]) => {
      await clock.advance(milliseconds);
      return Promise.all(answers);
    };
  });

  it("of very many polls, some of which begin later, come by one sweep; who never ends to come is told all the same", async () => {
    stored(250);
    const told: Promise<unknown>[] = [];
    for (let index = 0; index < 20; index++) {
      const from = (index % 5) * 50;
      told.push(client.news(knownOf(keys(250).slice(from, from + 50)), clock.monotonic(), never));
      await clock.advance(15);
    }
    await settled(...told);
    expect(store.calls.filter((call) => call === "list")).toHaveLength(3);
    store.calls.length = 0;
    let answered = 0;
    for (let index = 0; index < 100; index++) {
      void client.news(knownOf(keys(250)), clock.monotonic(), never).then(() => answered++);
      await clock.advance(15);
    }
    expect(answered).toBeGreaterThan(50);
  });

  it("of a listing that names the same page again and again are everybody's, and it is ended", async () => {
    stored(30);
    const { page } = store.listing!;
    store.listing = {
      page: async (filter, _next, signal) => {
        const answer = await page(filter, undefined, signal);
        return answer.kind === "failed" ? answer : { ...answer, next: "again" };
      },
    };
    client = newClient();
    expect(await news(knownOf([...keys(3), "none"]))).toEqual(["none"]);
    expect(store.calls).toEqual(["list", "list"]);
  });

  it("of very many keys leave turns for others, also when a kept listing tells them", async () => {
    stored(5_000);
    await settled(client.finder.findVersions(request({ tags: {} })));
    store.calls.length = 0;
    const { after } = clock;
    let turns = 0;
    clock.after = (milliseconds, callback) => {
      if (milliseconds === 0) turns++;
      return after.call(clock, milliseconds, callback);
    };
    const none = Array.from({ length: 5_000 }, (_, index) => `none${index}`);
    const since = clock.monotonic() - 5_000;
    const [told] = await settled(
      client.news(knownOf([...keys(5_000), ...none], MISSING_VERSION), since, never),
    );
    expect(told).toHaveLength(5_000);
    expect(store.calls).toEqual([]);
    // Five for what is known, five for the listing with its ARNs, two for what it doesn't show.
    expect(turns).toBe(12);
  });
});

const request = (criteria: FindCriteria, mayRead: (key: string) => boolean = () => true) => ({
  criteria,
  mayRead,
  freshAfter: clock.monotonic(),
  share: "shop",
  hold: (): boolean => true,
});

describe("what is missing", () => {
  it("of exact versions is asked for once, and then known", async () => {
    store.put("k", "v");
    const missing = { key: "gone", version: "x" };
    await settled(client.value(missing, clock.monotonic(), "shop"));
    store.calls.length = 0;
    for (let turn = 0; turn < 5; turn++) {
      const [version] = await settled(client.version(missing, clock.monotonic(), "shop"));
      expect(version).toEqual({ kind: "missing" });
    }
    expect(store.calls).toEqual([]);
  });

  it("isn't described again at each refresh, and is found once it is there", async () => {
    store.put("k", "v");
    await settled(client.value({ key: "gone" }, clock.monotonic(), "shop"));
    store.calls.length = 0;
    const look = async () =>
      (await settled(client.version({ key: "gone" }, clock.monotonic(), "shop")))[0]?.kind;
    for (let turn = 0; turn < 4; turn++) expect(await look()).toBe("missing");
    expect(store.calls).toEqual([]);
    store.put("gone", "here");
    await clock.advance(30_000);
    expect(await look()).toBe("found");
    expect(await look()).toBe("found");
  });

  it("is told by a whole listing without a description of each", async () => {
    for (const key of keys(3)) store.put(key, "v");
    const optional = keys(40).map((key) => `none-${key}`);
    await settled(...optional.map((key) => client.value({ key }, clock.monotonic(), "shop")));
    await clock.advance(60_000);
    store.calls.length = 0;
    const versions = await settled(
      ...optional.map((key) => client.version({ key }, clock.monotonic(), "shop")),
    );
    expect(versions.every((version) => version.kind === "missing")).toBe(true);
    expect(store.calls).toEqual(["list"]);
  });
});

describe("a batch that is refused for one of its keys", () => {
  it("is halved until the key is alone, which is asked alone from then on", async () => {
    for (const key of keys(20)) store.put(key, "v");
    const refusal = failure("ProviderRefused", "batch");
    const { most, read } = store.batch!;
    store.batch = {
      most,
      read: (batch, signal) =>
        batch.includes("k13")
          ? (store.calls.push(`refused ${batch.length}`), Promise.resolve(refusal))
          : read(batch, signal),
    };
    client = newClient();
    store.fail = (operation, key) =>
      operation === "read" && key === "k13" ? failure("ProviderRefused", "request") : undefined;
    const results = await values(keys(20));
    expect(results.filter((result) => result === "v")).toHaveLength(19);
    expect(results[13]).toBe("ProviderRefused");
    expect(store.calls.filter((call) => call.startsWith("refused"))).toEqual([
      "refused 20",
      "refused 10",
      "refused 5",
      "refused 2",
    ]);
    await clock.advance(20_000);
    store.calls.length = 0;
    await values(keys(20));
    expect(store.calls.toSorted()).toEqual(["batch 19", "read k13"]);
  });
});

describe("find", () => {
  const find = async (criteria: FindCriteria, mayRead: (key: string) => boolean = () => true) => {
    const [result] = await settled(client.finder.find(request(criteria, mayRead)));
    return result?.kind === "matches" ? [...result.secrets.keys()] : result?.kind;
  };

  it("checks path, pattern and tags again, exactly", async () => {
    store.put("prod/a", "1", "v", { team: "shop" });
    store.put("prod/b", "2", "v", { team: "shopping" });
    store.put("prod/c-x", "3", "v", { team: "shop" });
    store.put("product", "4", "v", { team: "shop" });
    expect(await find({ path: "prod/", nameRegexp: "[a-b]$", tags: { team: "shop" } })).toEqual(["prod/a"]);
    expect(await find({ tags: { team: "shop" } }, (key) => key !== "product")).toEqual([
      "prod/a",
      "prod/c-x",
    ]);
  });

  it("passes over what was deleted since it was listed, and what has no current version", async () => {
    for (const key of ["a", "b"]) store.put(key, "1");
    const { page } = store.listing!;
    store.listing = {
      page: async (...args) => {
        const listed = await page(...args);
        store.secrets.delete("b");
        if (listed.kind !== "page") return listed;
        return {
          ...listed,
          secrets: [...listed.secrets, { name: "c", aliases: [], tags: {}, versions: {} }],
        };
      },
    };
    client = newClient();
    expect(await find({ tags: {} })).toEqual(["a"]);
  });

  it("without a match finds nothing", async () => {
    expect(await find({ path: "none/", tags: {} })).toEqual([]);
  });

  it("fails as a whole when one match can't be read, and says which", async () => {
    store.put("a", "1");
    store.put("b", "2");
    store.fail = (operation, key) =>
      operation === "item" && key === "b" ? failure("AccessDenied", "request") : undefined;
    const [result] = await settled(client.finder.find(request({ path: "", tags: {} })));
    expect(result).toMatchObject({ kind: "failed", failure: { message: '"b": AccessDenied' } });
  });

  it("reads nothing of what matches and may not be read, and keeps the names for whoever must know them", async () => {
    for (const key of ["a", "b", "c"]) store.put(key, "v");
    const [result] = await settled(client.finder.find(request({ tags: {} }, (key) => key === "a")));
    expect(result).toMatchObject({ kind: "matches", forbidden: ["b", "c"] });
    expect(store.calls).toEqual(["list", "read a"]);
  });

  it("of more secrets than a Secret is for reads none of them", async () => {
    for (const key of keys(1_001)) store.put(key, "v");
    const [result] = await settled(client.finder.find(request({ tags: {} })));
    expect(result).toMatchObject({ kind: "failed", failure: { reason: "TooLarge" } });
    expect(store.calls.every((call) => call === "list")).toBe(true);
  });

  it("stops reading once it is more than a Secret can hold", async () => {
    for (const key of keys(1_000)) store.put(key, "x".repeat(20_000));
    const [result] = await settled(client.finder.find(request({ tags: {} })));
    expect(result).toMatchObject({ kind: "failed", failure: { reason: "TooLarge" } });
    expect(store.calls.filter((call) => call.startsWith("batch"))).toHaveLength(5);
  });

  it("tells of each value as it comes, and reads no more once nobody wants it", async () => {
    for (const key of keys(300)) store.put(key, "x".repeat(1_000));
    const held: number[] = [];
    const hold = (bytes: number) => held.push(bytes) < 150;
    const [result] = await settled(client.finder.find({ ...request({ tags: {} }), hold }));
    expect(result).toBeUndefined();
    expect(held).toHaveLength(150);
    expect(new Set(held)).toEqual(new Set([1_002, 1_003, 1_004]));
    expect(store.calls.filter((call) => call.startsWith("batch"))).toHaveLength(10);
  });

  it("reads large values a few at a time", async () => {
    store.batch = undefined;
    store.largest = 1024 * 1024;
    client = newClient();
    for (const key of keys(20)) store.put(key, "x".repeat(200_000));
    const [result] = await settled(client.finder.find(request({ tags: {} })));
    expect(result).toMatchObject({ kind: "failed", failure: { reason: "TooLarge" } });
    // Seven of them are more than a Secret can hold.
    expect(store.calls.filter((call) => call.startsWith("read"))).toHaveLength(7);
  });

  it("counts what a set says, not what it takes, against what a Secret can hold", async () => {
    const members = new Map(
      Array.from({ length: 3_000 }, (_, index) => [`k${index}`, SecretValue.fromText("x")]),
    );
    store.put("set", "");
    store.setsOf.set("set", SecretValue.fromMembers(members));
    expect(await find({ tags: {} })).toEqual(["set"]);
  });

  it("settles without what its owner doesn't share, until that is another version", async () => {
    store.put("a", "1");
    store.put("b", "2");
    store.sharedWith.set("b", ["other"]);
    const versions = async () => {
      await clock.advance(11_000);
      const [found] = await settled(client.finder.findVersions(request({ tags: {} })));
      return found instanceof Map ? [...(found as ReadonlyMap<string, string>).keys()] : found;
    };
    expect(await versions()).toEqual(["a", "b"]);
    expect(await find({ tags: {} })).toEqual(["a"]);
    expect(await versions()).toEqual(["a"]);
    store.put("b", "2", "v2");
    store.sharedWith.set("b", ["shop"]);
    expect(await versions()).toEqual(["a", "b"]);
    expect(await find({ tags: {} })).toEqual(["a", "b"]);
  });

  it("fails when listing does", async () => {
    store.fail = () => failure("AccessDenied", "request");
    expect(await find({ path: "a", tags: {} })).toBe("failed");
  });

  it("fails when there is more than can be listed, since what it doesn't see it would take for deleted", async () => {
    for (const key of keys(501)) store.put(key, "v");
    store.pageSize = 1;
    const [result] = await settled(client.finder.find(request({ path: "k", tags: {} })));
    expect(result).toMatchObject({ kind: "failed", failure: { reason: "TooLarge" } });
  });
});

describe("a provider that is down", () => {
  const down = () => (store.fail = () => failure("ProviderUnreachable", "provider"));
  const pinned = (key: string) => client.value({ key, version: "x" }, clock.monotonic(), "shop");

  it("is called once a second in all, however many wait; they get its failure at once", async () => {
    down();
    await settled(...keys(3).map(pinned));
    store.calls.length = 0;
    for (let second = 0; second < 10; second++) {
      for (const key of keys(50)) void pinned(`${second}-${key}`);
      await clock.advance(1_000);
    }
    expect(store.calls.length).toBeGreaterThan(5);
    expect(store.calls.length).toBeLessThanOrEqual(11);
  });

  it("tells each who waits for a batch that it is down, and nobody that the secret is missing", async () => {
    store.fail = () => failure("ProviderUnreachable", "provider", 60_000);
    await settled(...keys(3).map(pinned));
    for (const key of keys(3)) store.put(key, "v");
    store.calls.length = 0;
    more = 1;
    const waiting = keys(3).map((key) => client.value({ key }, clock.monotonic(), "shop"));
    await clock.advance(200);
    expect((await Promise.all(waiting)).map(textOf)).toEqual(keys(3).map(() => "ProviderUnreachable"));
    expect(store.calls).toEqual([]);
  });

  it("is tried a few times before it counts as down, and tells when it is back", async () => {
    let failures = 2;
    for (const key of keys(3)) store.put(key, "v");
    store.fail = () => (failures-- > 0 ? failure("ProviderUnreachable", "provider") : undefined);
    expect(await values(["k0"])).toEqual(["v"]);
    expect(recovered).toBe(0);
    down();
    expect((await settled(...keys(3).map(pinned))).map(textOf)).toEqual(
      Array.from({ length: 3 }, () => "ProviderUnreachable"),
    );
    store.fail = () => undefined;
    await clock.advance(2_000);
    expect(await values(["k0"])).toEqual(["v"]);
    expect(recovered).toBe(1);
  });

  it("isn't what a single key is that always fails: others are read as ever", async () => {
    store.put("good", "v");
    store.fail = (_operation, key) =>
      key === "poison" ? failure("ProviderUnreachable", "provider") : undefined;
    for (let minute = 0; minute < 20; minute++) {
      void pinned("poison");
      expect((await settled(client.value({ key: "good" }, clock.monotonic(), "shop"))).map(textOf)).toEqual([
        "v",
      ]);
      await clock.advance(60_000);
    }
    expect(recovered).toBe(0);
  });

  it("makes those wait who ask while a call looks whether it is back, and lets them through when it is", async () => {
    down();
    await settled(...keys(3).map(pinned));
    await clock.advance(1_000);
    store.fail = () => undefined;
    for (const key of keys(5)) store.put(key, "v");
    const hold = store.hold();
    const asked = keys(5).map((key) => client.value({ key, version: "v1" }, clock.monotonic(), "shop"));
    await clock.advance(10);
    hold.release();
    expect((await settled(...asked)).map(textOf)).toEqual(Array.from({ length: 5 }, () => "v"));
  });

  it("and answers nothing frees who waits for it soon, and those behind them at once", async () => {
    store.hold();
    const ends: number[] = [];
    const since = clock.monotonic();
    for (const key of keys(200)) void pinned(key).then(() => ends.push(clock.monotonic() - since));
    await clock.advance(60_000);
    expect(ends).toHaveLength(200);
    // 64 at once; two more go out before it is clear that not single keys fail. No second round.
    expect(ends.filter((ms) => ms < 20_000).length).toBeGreaterThan(195);
    expect(Math.max(...ends)).toBeLessThan(31_000);
    expect(store.calls.length).toBeLessThan(70);
  });

  it("and asks for a long wait gets it", async () => {
    store.fail = () => failure("ProviderUnreachable", "provider", 60_000);
    const since = clock.monotonic();
    await settled(...keys(3).map(pinned));
    expect(clock.monotonic() - since).toBeLessThan(10_000);
    store.calls.length = 0;
    for (let second = 0; second < 50; second++) {
      void pinned(`k${second}`);
      await clock.advance(1_000);
    }
    expect(store.calls).toEqual([]);
  });

  it("with bad credentials isn't tried again and again", async () => {
    store.fail = () => failure("AuthenticationFailed", "provider");
    expect(await values(["k"])).toEqual(["AuthenticationFailed"]);
    expect(await values(["l"])).toEqual(["AuthenticationFailed"]);
    expect(store.calls.length).toBeLessThanOrEqual(2);
  });

  it("that throttles is waited for as long as it asks", async () => {
    let throttle = true;
    store.put("k", "v");
    store.fail = () => (throttle ? failure("RateLimited", "provider", 3_000) : undefined);
    const result = client.value({ key: "k" }, clock.monotonic(), "shop");
    await clock.advance(1_000);
    throttle = false;
    await clock.advance(1_000);
    expect(store.calls).toHaveLength(1);
    await clock.advance(2_000);
    expect(textOf(await result)).toBe("v");
  });

  it("that throttles listings answers reads", async () => {
    store.put("k", "v");
    store.fail = (operation) =>
      operation === "list" ? failure("RateLimited", "provider", 60_000) : undefined;
    void client.finder.find(request({ path: "k", tags: {} }));
    await clock.advance(100);
    expect(await values(["k"])).toEqual(["v"]);
  });

  it("is let go when nobody needs it any more", () => {
    client.close();
    expect(store.closed).toBe(true);
  });
});

describe("an identity that may only read values", () => {
  it("isn't denied again at each refresh of each key", async () => {
    for (const key of keys(50)) store.put(key, "v");
    await values(keys(50));
    store.fail = (operation) =>
      ["list", "describe"].includes(operation) ? failure("AccessDenied", "request") : undefined;
    const versions = () =>
      settled(
        ...keys(50).map(
          (key) => client.version({ key }, clock.monotonic(), "shop") ?? Promise.resolve(undefined),
        ),
      );
    await versions();
    await versions();
    store.calls.length = 0;
    expect(await versions()).toEqual(Array.from({ length: 50 }, () => undefined));
    expect(store.calls).toEqual([]);
  });
});

describe("everybody who asks", () => {
  it("gets the answer to what was asked, no older than wanted, in few calls", async () => {
    const ask = fc.record({
      key: fc.nat(30),
      afterMs: fc.integer({ min: 1, max: 400 }),
      changes: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(ask, { minLength: 1, maxLength: 60, size: "max" }), async (asks) => {
        const time = new FakeClock();
        const store = new FakeStore();
        const asker = new ProviderClient({
          store,
          caller: new Caller({
            clock: time,
            random: () => 0.5,
            limits: { requestsPerSecond: 1000, maxConcurrent: 64 },
            observe: (_operation, call) => call(),
            onRecovered: () => undefined,
          }),
          clock: time,
          coming: { values: () => 0, versions: () => 0 },
          kept,
          onShared: () => undefined,
        });
        const current = new Map<string, number>();
        const answers: Promise<void>[] = [];
        for (const { key: index, afterMs, changes } of asks) {
          await time.advance(afterMs);
          const key = `k${index}`;
          if (changes || !current.has(key)) {
            current.set(key, (current.get(key) ?? 0) + 1);
            store.put(key, `${key}=${current.get(key)}`);
          }
          const atLeast = current.get(key) ?? 0;
          answers.push(
            asker.value({ key }, time.monotonic(), "shop").then((result) => {
              const [name, version] = textOf(result).split("=");
              expect(name).toBe(key);
              expect(Number(version)).toBeGreaterThanOrEqual(atLeast);
            }),
          );
        }
        await time.advance(10_000);
        await Promise.all(answers);
        const sizes = store.calls
          .filter((call) => call.startsWith("batch"))
          .map((call) => Number(call.slice(6)));
        expect(sizes.every((size) => size <= 20)).toBe(true);
        expect(store.calls.length).toBeLessThanOrEqual(asks.length);
      }),
      { numRuns: 100 },
    );
  });
});

describe("the next rotation", () => {
  const next = 1_800_000_000_000;
  const rotated = () => store.rotations.set("k0", next);

  it("is known after a sweep or a describe", async () => {
    for (const key of keys(3)) store.put(key, "v");
    await values(keys(3));
    rotated();
    expect(client.nextRotation("k0")).toBeUndefined();
    await clock.advance(1);
    await settled(...keys(3).map((key) => client.version({ key }, clock.monotonic(), "shop")));
    expect([client.nextRotation("k0"), client.nextRotation("k1")]).toEqual([next, undefined]);
    store.rotations.set("k1", next + 1);
    await clock.advance(1);
    await settled(client.version({ key: "k1" }, clock.monotonic(), "shop"));
    expect(client.nextRotation("k1")).toBe(next + 1);
  });

  it("is looked up once an hour where no sweep comes by, and not asked for by each key", async () => {
    for (const key of keys(3)) store.put(key, "v");
    rotated();
    const asked = async () => {
      for (const key of keys(3)) {
        client.nextRotation(key);
        await clock.advance(1_000);
      }
      return client.nextRotation("k0");
    };
    expect(await asked()).toBeUndefined();
    await clock.advance(59 * 60_000);
    expect(await asked()).toBeUndefined();
    expect(store.calls).toEqual([]);
    await clock.advance(60_000);
    expect(await asked()).toBe(next);
    await clock.advance(59 * 60_000);
    await asked();
    expect(store.calls).toEqual(["list"]);
    await clock.advance(60_000);
    await asked();
    expect(store.calls).toEqual(["list", "list"]);
  });

  it("isn't asked for without end when listing fails", async () => {
    store.fail = () => failure("AccessDenied", "request");
    await clock.advance(60 * 60_000 + 1);
    for (let minute = 0; minute < 30; minute++) {
      client.nextRotation("k0");
      await clock.advance(60_000);
    }
    expect(store.calls).toEqual(["list"]);
  });

  it("stays known when a describe fails", async () => {
    store.put("k0", "v");
    await values(["k0"]);
    rotated();
    await clock.advance(1);
    await settled(client.version({ key: "k0" }, clock.monotonic(), "shop"));
    store.fail = () => failure("ProviderRefused", "request");
    await clock.advance(1);
    await settled(client.version({ key: "k0" }, clock.monotonic(), "shop"));
    expect(client.nextRotation("k0")).toBe(next);
  });
});
