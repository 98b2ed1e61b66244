import { beforeEach, describe, expect, it } from "@jest/globals";
import * as fc from "fast-check";
import { Caller } from "../../src/fetch/caller.ts";
import { KeptBytes } from "../../src/fetch/kept-bytes.ts";
import { ProviderClient, type Kept } from "../../src/fetch/provider-client.ts";
import { MISSING_VERSION, type FindCriteria } from "../../src/plan/sources.ts";
import type { ReadResult } from "../../src/providers/provider.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { failure, FakeReader } from "../support/fake-reader.ts";

let clock: FakeClock;
let reader: FakeReader;
let client: ProviderClient;
let more: number;
let recovered: number;
let shared: string[];
let kept: Kept;

beforeEach(() => {
  clock = new FakeClock();
  reader = new FakeReader();
  more = 0;
  recovered = 0;
  shared = [];
  kept = { values: new KeptBytes(16 * 1024 * 1024), names: new KeptBytes(64 * 1024 * 1024) };
  const caller = new Caller({
    clock,
    random: () => 0.5,
    limits: { requestsPerSecond: 1000, maxConcurrent: 64 },
    observe: (_operation, call) => call(),
    onRecovered: () => recovered++,
  });
  client = new ProviderClient({
    reader,
    caller,
    clock,
    coming: { values: () => more, versions: () => more },
    kept,
    onShared: (operation) => shared.push(operation),
  });
});

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
    for (const key of keys(45)) reader.put(key, `value of ${key}`);
    expect(await values(keys(45))).toEqual(keys(45).map((key) => `value of ${key}`));
    expect(reader.calls).toEqual(["batch 20", "batch 20", "batch 5"]);
  });

  it("of one key come by a single read, at once", async () => {
    reader.put("k", "v");
    const result = client.value({ key: "k" }, clock.monotonic(), "shop");
    await clock.advance(0);
    expect(textOf(await result)).toBe("v");
    expect(reader.calls).toEqual(["read k"]);
  });

  it("wait a little for others while more are coming, and no longer when full", async () => {
    for (const key of keys(21)) reader.put(key, key);
    more = 1;
    const pending = keys(21).map((key) => client.value({ key }, clock.monotonic(), "shop"));
    await clock.advance(1);
    expect(reader.calls).toEqual(["batch 20"]);
    await clock.advance(200);
    expect(reader.calls).toEqual(["batch 20", "read k20"]);
    await Promise.all(pending);
  });

  it("are shared by all who became due before the call", async () => {
    reader.put("k", "v");
    const since = clock.monotonic();
    expect(await values(["k", "k", "k"], since)).toEqual(["v", "v", "v"]);
    expect(await values(["k"], since)).toEqual(["v"]);
    expect(reader.calls).toEqual(["read k"]);
    expect(shared).toEqual(["value", "value", "value"]);
  });

  it("are read again for who became due after the call, so a change is never missed", async () => {
    reader.put("k", "old");
    await values(["k"]);
    reader.put("k", "new", "v2");
    await clock.advance(1);
    expect(await values(["k"])).toEqual(["new"]);
  });

  it("are kept for a moment only", async () => {
    reader.put("k", "v");
    const since = clock.monotonic();
    await values(["k"], since);
    await clock.advance(60_000);
    await values(["k"], since);
    expect(reader.calls).toHaveLength(2);
  });

  it("that failed or are missing are not shared once they are known", async () => {
    const since = clock.monotonic();
    expect(await values(["k"], since)).toEqual(["missing"]);
    reader.put("k", "v");
    expect(await values(["k"], since)).toEqual(["v"]);
  });

  it("of a version or a stage come by single reads, of the current stage by batch", async () => {
    reader.put("k", "v");
    const since = clock.monotonic();
    await settled(
      client.value({ key: "k", version: "v1" }, since, "shop"),
      client.value({ key: "k", versionStage: "AWSPREVIOUS" }, since, "shop"),
      client.value({ key: "k", versionStage: "AWSCURRENT" }, since, "shop"),
      client.value({ key: "j" }, since, "shop"),
    );
    expect(reader.calls.toSorted()).toEqual(["batch 2", "read k", "read k"]);
  });

  it("of a batch that fails in part fail in part", async () => {
    for (const key of keys(3)) reader.put(key, key);
    reader.fail = (operation, key) =>
      operation === "item" && key === "k1" ? failure("AccessDenied", "request") : undefined;
    expect(await values(keys(3))).toEqual(["k0", "AccessDenied", "k2"]);
  });

  it("come by single reads for a while when the identity may not batch", async () => {
    for (const key of keys(3)) reader.put(key, key);
    reader.fail = (operation) => (operation === "batch" ? failure("AccessDenied", "batch") : undefined);
    expect(await values(keys(3))).toEqual(keys(3));
    expect(reader.calls).toEqual(["batch 3", "read k0", "read k1", "read k2"]);
    await clock.advance(9 * 60_000);
    await values(keys(3));
    expect(reader.calls.slice(4)).toEqual(["read k0", "read k1", "read k2"]);
    await clock.advance(60_000);
    reader.calls.length = 0;
    await values(keys(3));
    expect(reader.calls[0]).toBe("batch 3");
  });

  it("come by single reads from a provider without batches", async () => {
    for (const key of keys(3)) reader.put(key, key);
    reader.batchSize = 1;
    expect(await values(keys(3))).toEqual(keys(3));
    expect(reader.calls).toEqual(["read k0", "read k1", "read k2"]);
  });

  it("that a batch passes over are not missing", async () => {
    for (const key of keys(3)) reader.put(key, key);
    reader.leftOut.add("k1");
    expect(await values(keys(3))).toEqual(["k0", "ProviderRefused", "k2"]);
  });

  it("come by single reads this once when one key spoils the batch", async () => {
    for (const key of keys(2)) reader.put(key, key);
    reader.fail = (operation) => (operation === "batch" ? failure("ProviderRefused", "batch") : undefined);
    expect(await values(keys(2))).toEqual(keys(2));
    reader.fail = () => undefined;
    reader.calls.length = 0;
    await clock.advance(1_000);
    await values(keys(2));
    expect(reader.calls).toEqual(["batch 2"]);
  });
});

describe("versions", () => {
  const versions = async (names: readonly string[]) => {
    const since = clock.monotonic();
    const results = await settled(...names.map((key) => client.version({ key }, since, "shop")));
    return results.map((result) => (result.kind === "found" ? result.versionId : result.kind));
  };
  const known = async (count: number) => {
    for (const key of keys(count)) reader.put(key, key);
    await values(keys(count));
    reader.calls.length = 0;
    await clock.advance(1);
  };

  it("of one key come by a describe, at once", async () => {
    await known(1);
    const answer = client.version({ key: "k0" }, clock.monotonic(), "shop");
    await clock.advance(0);
    expect(await answer).toMatchObject({ versionId: "v1" });
    expect(reader.calls).toEqual(["describe k0"]);
  });

  it("of many keys come by one sweep of the listing", async () => {
    await known(250);
    reader.put("k7", "new", "v2");
    const told = await versions(keys(250));
    expect(told[7]).toBe("v2");
    expect(told[8]).toBe("v1");
    expect(reader.calls).toEqual(["list", "list", "list"]);
  });

  it("of few keys come by a describe each, when the listing is longer", async () => {
    await known(250);
    await versions(keys(250));
    reader.calls.length = 0;
    await clock.advance(1);
    await versions(["k1", "k2"]);
    expect(reader.calls).toEqual(["describe k1", "describe k2"]);
  });

  it("of few keys come by a sweep, when many others are about to ask", async () => {
    await known(250);
    await versions(keys(250));
    reader.calls.length = 0;
    await clock.advance(1);
    more = 100;
    await versions(["k1", "k2"]);
    expect(reader.calls).toEqual(["list", "list", "list"]);
  });

  it("of few who come after a sweep of the same moment are in it", async () => {
    await known(250);
    const since = clock.monotonic();
    await settled(...keys(240).map((key) => client.version({ key }, since, "shop")));
    reader.calls.length = 0;
    await settled(client.version({ key: "k245" }, since, "shop"));
    expect(reader.calls).toEqual([]);
  });

  it("of many who follow a few are in the few's sweep, which is whole", async () => {
    await known(250);
    const since = clock.monotonic();
    await settled(
      client.version({ key: "k0" }, since, "shop"),
      client.version({ key: "k249" }, since, "shop"),
    );
    await settled(...keys(250).map((key) => client.version({ key }, since, "shop")));
    expect(reader.calls).toEqual(["list", "list", "list"]);
  });

  it("that the listing doesn't know come by a describe", async () => {
    await known(30);
    reader.unlisted.add("k3");
    expect((await versions(keys(30)))[3]).toBe("v1");
    expect(reader.calls).toEqual(["list", "describe k3"]);
  });

  it("come by describes when listing is denied", async () => {
    await known(3);
    reader.fail = (operation) => (operation === "list" ? failure("AccessDenied", "request") : undefined);
    expect(await versions(keys(3))).toEqual(["v1", "v1", "v1"]);
    await clock.advance(1);
    expect(await versions(keys(3))).toEqual(["v1", "v1", "v1"]);
    expect(reader.calls.filter((call) => call === "list")).toHaveLength(1);
  });

  it("are swept for again after a listing failed for once", async () => {
    await known(3);
    reader.fail = (operation) => (operation === "list" ? failure("ProviderRefused", "request") : undefined);
    expect(await versions(keys(3))).toEqual(["v1", "v1", "v1"]);
    reader.fail = () => undefined;
    reader.calls.length = 0;
    await clock.advance(1);
    await versions(keys(3));
    expect(reader.calls).toEqual(["list"]);
  });

  it("are described again after a describe failed for once", async () => {
    await known(1);
    reader.fail = () => failure("ProviderRefused", "request");
    expect(await versions(["k0"])).toEqual(["failed"]);
    reader.fail = () => undefined;
    await clock.advance(1);
    expect(await versions(["k0"])).toEqual(["v1"]);
  });

  it("come by sweeps alone for an identity that may only list", async () => {
    await known(250);
    reader.fail = (operation) => (operation === "describe" ? failure("AccessDenied", "request") : undefined);
    await versions(["k0"]);
    reader.calls.length = 0;
    await clock.advance(1);
    expect(await versions(["k1"])).toEqual(["v1"]);
    expect(reader.calls).toEqual(["list", "list", "list"]);
    // And when that fails, nothing else is tried.
    reader.fail = () => failure("ProviderRefused", "request");
    reader.calls.length = 0;
    await clock.advance(1);
    expect(await versions(["k1"])).toEqual(["failed"]);
    expect(reader.calls).toEqual(["list"]);
  });

  it("are told for ARNs as for names, and for exact versions without a call", async () => {
    await known(3);
    reader.secrets.set("arn:k0", { value: "k0", versionId: "v1" });
    await values(["arn:k0"]);
    reader.secrets.delete("arn:k0");
    reader.calls.length = 0;
    await clock.advance(1);
    const since = clock.monotonic();
    const results = await settled(
      ...["arn:k0", "k1", "k2"].map((key) => client.version({ key }, since, "shop")),
    );
    expect(results.every(({ kind }) => kind === "found")).toBe(true);
    expect(reader.calls).toEqual(["list"]);
    await settled(client.value({ key: "k1", version: "v1" }, since, "shop"));
    reader.calls.length = 0;
    expect(await settled(client.version({ key: "k1", version: "v1" }, since, "shop"))).toMatchObject([
      { versionId: "v1" },
    ]);
    expect(reader.calls).toEqual([]);
  });

  it("of one moment are shared", async () => {
    await known(30);
    const since = clock.monotonic();
    await settled(...keys(30).map((key) => client.version({ key }, since, "shop")));
    await settled(...keys(30).map((key) => client.version({ key }, since, "shop")));
    expect(reader.calls).toEqual(["list"]);
    expect(shared.filter((each) => each === "version")).toHaveLength(30);
  });
});

describe("news", () => {
  const knownOf = (names: readonly string[], version = "v1") =>
    names.map((key) => ({ ref: { key }, version, share: "shop" }));
  const news = async (known: ReturnType<typeof knownOf>) => {
    const [told] = await settled(client.news(known, clock.monotonic()));
    return told!.map(({ ref }) => ref.key);
  };
  const stored = (count: number) => {
    for (const key of keys(count)) reader.put(key, key);
  };

  it("of many come by one sweep, and whoever is told has the version without a call", async () => {
    stored(250);
    reader.put("k7", "new", "v2");
    const since = clock.monotonic();
    expect(await news(knownOf(keys(250)))).toEqual(["k7"]);
    expect(await settled(client.version({ key: "k7" }, since, "shop"))).toMatchObject([{ versionId: "v2" }]);
    expect(reader.calls).toEqual(["list", "list", "list"]);
    expect(kept.names.total).toBeLessThan(1_000);
  });

  it("of few come by a describe each, once it is known how long the listing is", async () => {
    stored(250);
    await news(knownOf(keys(250)));
    reader.calls.length = 0;
    reader.put("k2", "new", "v2");
    await clock.advance(1);
    expect(await news(knownOf(["k1", "k2"]))).toEqual(["k2"]);
    expect(reader.calls).toEqual(["describe k1", "describe k2"]);
  });

  it("tell what is gone, what has come, and nothing of what is still missing", async () => {
    stored(30);
    reader.secrets.delete("k3");
    const missing = knownOf(["k4", "none"], MISSING_VERSION);
    expect(await news([...knownOf(["k1", "k2", "k3"]), ...missing])).toEqual(["k4", "k3"]);
    expect(reader.calls).toEqual(["list", "describe k3"]);
  });

  it("concern each version that somebody knows, and each stage", async () => {
    stored(3);
    reader.put("k0", "new", "v2");
    const known = [
      ...knownOf(["k0", "k1"]),
      ...knownOf(["k0"], "v2"),
      { ref: { key: "k1", versionStage: "AWSCURRENT" }, version: "v1", share: "shop" },
      { ref: { key: "k1", versionStage: "AWSPREVIOUS" }, version: "v0", share: "shop" },
    ];
    const [told] = await settled(client.news(known, clock.monotonic()));
    expect(told).toEqual([known[0], known[4]]);
  });

  it("of a key that the listing doesn't show yet come by a describe", async () => {
    stored(30);
    reader.unlisted.add("k3");
    expect(await news(knownOf(keys(30)))).toEqual([]);
    expect(reader.calls).toEqual(["list", "describe k3"]);
  });

  it("never concern an exact version", async () => {
    stored(1);
    const known = [{ ref: { key: "k0", version: "v0" }, version: "v0", share: "shop" }];
    expect(await settled(client.news(known, clock.monotonic()))).toEqual([[]]);
    expect(reader.calls).toEqual([]);
  });

  it("come by describes when listing is denied, and by listings when describing is", async () => {
    stored(3);
    reader.fail = (operation) => (operation === "list" ? failure("AccessDenied", "request") : undefined);
    expect(await news(knownOf(keys(3)))).toEqual([]);
    expect(reader.calls).toEqual(["list", "describe k0", "describe k1", "describe k2"]);
    reader.fail = (operation) => (operation === "describe" ? failure("AccessDenied", "request") : undefined);
    await clock.advance(10 * 60_000);
    await settled(client.version({ key: "k0" }, clock.monotonic(), "shop"));
    await settled(client.version({ key: "gone" }, clock.monotonic(), "shop"));
    reader.calls.length = 0;
    await clock.advance(1);
    expect(await news(knownOf(["k0"]))).toEqual([]);
    expect(reader.calls).toEqual(["list"]);
  });

  it("are everybody's when nobody can tell", async () => {
    stored(3);
    reader.fail = () => failure("AccessDenied", "request");
    expect(await news(knownOf(keys(3)))).toEqual(keys(3));
    reader.calls.length = 0;
    expect(await news(knownOf(keys(3)))).toEqual(keys(3));
    // An identity that may do neither isn't denied at each poll.
    expect(reader.calls).toEqual([]);
  });

  it("are everybody's when a listing ends after a part", async () => {
    stored(250);
    let lists = 0;
    reader.fail = (operation) =>
      operation === "list" && ++lists > 1 ? failure("ProviderRefused", "request") : undefined;
    expect(await news(knownOf(keys(250)))).toEqual(keys(250));
    expect(reader.calls).toEqual(["list", "list"]);
  });

  it("need no call of their own while a listing of the same moment is kept", async () => {
    stored(250);
    const since = clock.monotonic();
    await settled(client.finder.findVersions(request({ tags: {} })));
    reader.calls.length = 0;
    const [told] = await settled(client.news(knownOf(keys(250), "v0"), since));
    expect(told).toHaveLength(250);
    expect(reader.calls).toEqual([]);
  });

  it("tell when what is listed is rotated next", async () => {
    stored(30);
    reader.rotations.set("k1", 123);
    await news(knownOf(keys(30)));
    expect(client.nextRotation("k1")).toBe(123);
    expect(client.nextRotation("arn:k1")).toBe(123);
    expect(client.nextRotation("k2")).toBeUndefined();
  });
});

const request = (criteria: FindCriteria, mayRead: (key: string) => boolean = () => true) => ({
  criteria,
  mayRead,
  freshAfter: clock.monotonic(),
  share: "shop",
});

describe("what is missing", () => {
  it("of exact versions is asked for once, and then known", async () => {
    reader.put("k", "v");
    const missing = { key: "gone", version: "x" };
    await settled(client.value(missing, clock.monotonic(), "shop"));
    reader.calls.length = 0;
    for (let turn = 0; turn < 5; turn++) {
      const [version] = await settled(client.version(missing, clock.monotonic(), "shop"));
      expect(version).toEqual({ kind: "missing" });
    }
    expect(reader.calls).toEqual([]);
  });

  it("isn't described again at each refresh, and is found once it is there", async () => {
    reader.put("k", "v");
    await settled(client.value({ key: "gone" }, clock.monotonic(), "shop"));
    reader.calls.length = 0;
    const look = async () =>
      (await settled(client.version({ key: "gone" }, clock.monotonic(), "shop")))[0]?.kind;
    for (let turn = 0; turn < 4; turn++) expect(await look()).toBe("missing");
    expect(reader.calls).toEqual([]);
    reader.put("gone", "here");
    await clock.advance(30_000);
    expect(await look()).toBe("found");
    expect(await look()).toBe("found");
  });

  it("is told by a whole listing without a description of each", async () => {
    for (const key of keys(3)) reader.put(key, "v");
    const optional = keys(40).map((key) => `none-${key}`);
    await settled(...optional.map((key) => client.value({ key }, clock.monotonic(), "shop")));
    await clock.advance(60_000);
    reader.calls.length = 0;
    const versions = await settled(
      ...optional.map((key) => client.version({ key }, clock.monotonic(), "shop")),
    );
    expect(versions.every((version) => version.kind === "missing")).toBe(true);
    expect(reader.calls).toEqual(["list"]);
  });
});

describe("a batch that is refused for one of its keys", () => {
  it("is halved until the key is alone, which is asked alone from then on", async () => {
    for (const key of keys(20)) reader.put(key, "v");
    const refusal = failure("ProviderRefused", "batch");
    const read = reader.readBatch.bind(reader);
    reader.readBatch = (batch) =>
      batch.includes("k13")
        ? (reader.calls.push(`refused ${batch.length}`),
          Promise.resolve(new Map(batch.map((key) => [key, refusal]))))
        : read(batch);
    reader.fail = (operation, key) =>
      operation === "read" && key === "k13" ? failure("ProviderRefused", "request") : undefined;
    const results = await values(keys(20));
    expect(results.filter((result) => result === "v")).toHaveLength(19);
    expect(results[13]).toBe("ProviderRefused");
    expect(reader.calls.filter((call) => call.startsWith("refused"))).toEqual([
      "refused 20",
      "refused 10",
      "refused 5",
      "refused 2",
    ]);
    await clock.advance(20_000);
    reader.calls.length = 0;
    await values(keys(20));
    expect(reader.calls.toSorted()).toEqual(["batch 19", "read k13"]);
  });
});

describe("find", () => {
  const find = async (criteria: FindCriteria, mayRead: (key: string) => boolean = () => true) => {
    const [result] = await settled(client.finder.find(request(criteria, mayRead)));
    return result?.kind === "matches" ? [...result.secrets.keys()] : result?.kind;
  };

  it("checks path, pattern and tags again, exactly", async () => {
    reader.put("prod/a", "1", "v", { team: "shop" });
    reader.put("prod/b", "2", "v", { team: "shopping" });
    reader.put("prod/c-x", "3", "v", { team: "shop" });
    reader.put("product", "4", "v", { team: "shop" });
    expect(await find({ path: "prod/", nameRegexp: "[a-b]$", tags: { team: "shop" } })).toEqual(["prod/a"]);
    expect(await find({ tags: { team: "shop" } }, (key) => key !== "product")).toEqual([
      "prod/a",
      "prod/c-x",
    ]);
  });

  it("without a match finds nothing", async () => {
    expect(await find({ path: "none/", tags: {} })).toEqual([]);
  });

  it("fails as a whole when one match can't be read, and says which", async () => {
    reader.put("a", "1");
    reader.put("b", "2");
    reader.fail = (operation, key) =>
      operation === "item" && key === "b" ? failure("AccessDenied", "request") : undefined;
    const [result] = await settled(client.finder.find(request({ path: "", tags: {} })));
    expect(result).toMatchObject({ kind: "failed", failure: { message: '"b": AccessDenied' } });
  });

  it("reads nothing of what matches and may not be read, and keeps the names for whoever must know them", async () => {
    for (const key of ["a", "b", "c"]) reader.put(key, "v");
    const [result] = await settled(client.finder.find(request({ tags: {} }, (key) => key === "a")));
    expect(result).toMatchObject({ kind: "matches", forbidden: ["b", "c"] });
    expect(reader.calls).toEqual(["list", "read a"]);
  });

  it("of more secrets than a Secret is for reads none of them", async () => {
    for (const key of keys(1_001)) reader.put(key, "v");
    const [result] = await settled(client.finder.find(request({ tags: {} })));
    expect(result).toMatchObject({ kind: "failed", failure: { reason: "TooLarge" } });
    expect(reader.calls.every((call) => call === "list")).toBe(true);
  });

  it("stops reading once it is more than a Secret can hold", async () => {
    for (const key of keys(1_000)) reader.put(key, "x".repeat(20_000));
    const [result] = await settled(client.finder.find(request({ tags: {} })));
    expect(result).toMatchObject({ kind: "failed", failure: { reason: "TooLarge" } });
    expect(reader.calls.filter((call) => call.startsWith("batch"))).toHaveLength(5);
  });

  it("fails when listing does", async () => {
    reader.fail = () => failure("AccessDenied", "request");
    expect(await find({ path: "a", tags: {} })).toBe("failed");
  });

  it("fails when there is more than can be listed, since what it doesn't see it would take for deleted", async () => {
    for (const key of keys(501)) reader.put(key, "v");
    reader.pageSize = 1;
    const [result] = await settled(client.finder.find(request({ path: "k", tags: {} })));
    expect(result).toMatchObject({ kind: "failed", failure: { reason: "TooLarge" } });
  });
});

describe("a provider that is down", () => {
  const down = () => (reader.fail = () => failure("ProviderUnreachable", "provider"));
  const pinned = (key: string) => client.value({ key, version: "x" }, clock.monotonic(), "shop");

  it("is called once a second in all, however many wait; they get its failure at once", async () => {
    down();
    await settled(...keys(3).map(pinned));
    reader.calls.length = 0;
    for (let second = 0; second < 10; second++) {
      for (const key of keys(50)) void pinned(`${second}-${key}`);
      await clock.advance(1_000);
    }
    expect(reader.calls.length).toBeGreaterThan(5);
    expect(reader.calls.length).toBeLessThanOrEqual(11);
  });

  it("tells each who waits for a batch that it is down, and nobody that the secret is missing", async () => {
    reader.fail = () => failure("ProviderUnreachable", "provider", 60_000);
    await settled(...keys(3).map(pinned));
    for (const key of keys(3)) reader.put(key, "v");
    reader.calls.length = 0;
    more = 1;
    const waiting = keys(3).map((key) => client.value({ key }, clock.monotonic(), "shop"));
    await clock.advance(200);
    expect((await Promise.all(waiting)).map(textOf)).toEqual(keys(3).map(() => "ProviderUnreachable"));
    expect(reader.calls).toEqual([]);
  });

  it("is tried a few times before it counts as down, and tells when it is back", async () => {
    let failures = 2;
    for (const key of keys(3)) reader.put(key, "v");
    reader.fail = () => (failures-- > 0 ? failure("ProviderUnreachable", "provider") : undefined);
    expect(await values(["k0"])).toEqual(["v"]);
    expect(recovered).toBe(0);
    down();
    expect((await settled(...keys(3).map(pinned))).map(textOf)).toEqual(
      Array.from({ length: 3 }, () => "ProviderUnreachable"),
    );
    reader.fail = () => undefined;
    await clock.advance(2_000);
    expect(await values(["k0"])).toEqual(["v"]);
    expect(recovered).toBe(1);
  });

  it("isn't what a single key is that always fails: others are read as ever", async () => {
    reader.put("good", "v");
    reader.fail = (_operation, key) =>
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
    reader.fail = () => undefined;
    for (const key of keys(5)) reader.put(key, "v");
    const hold = reader.hold();
    const asked = keys(5).map((key) => client.value({ key, version: "v1" }, clock.monotonic(), "shop"));
    await clock.advance(10);
    hold.release();
    expect((await settled(...asked)).map(textOf)).toEqual(Array.from({ length: 5 }, () => "v"));
  });

  it("and answers nothing frees who waits for it soon, and those behind them at once", async () => {
    reader.hold();
    const ends: number[] = [];
    const since = clock.monotonic();
    for (const key of keys(200)) void pinned(key).then(() => ends.push(clock.monotonic() - since));
    await clock.advance(60_000);
    expect(ends).toHaveLength(200);
    // 64 at once; two more go out before it is clear that not single keys fail. No second round.
    expect(ends.filter((ms) => ms < 20_000).length).toBeGreaterThan(195);
    expect(Math.max(...ends)).toBeLessThan(31_000);
    expect(reader.calls.length).toBeLessThan(70);
  });

  it("and asks for a long wait gets it", async () => {
    reader.fail = () => failure("ProviderUnreachable", "provider", 60_000);
    const since = clock.monotonic();
    await settled(...keys(3).map(pinned));
    expect(clock.monotonic() - since).toBeLessThan(10_000);
    reader.calls.length = 0;
    for (let second = 0; second < 50; second++) {
      void pinned(`k${second}`);
      await clock.advance(1_000);
    }
    expect(reader.calls).toEqual([]);
  });

  it("with bad credentials isn't tried again and again", async () => {
    reader.fail = () => failure("AuthenticationFailed", "provider");
    expect(await values(["k"])).toEqual(["AuthenticationFailed"]);
    expect(await values(["l"])).toEqual(["AuthenticationFailed"]);
    expect(reader.calls.length).toBeLessThanOrEqual(2);
  });

  it("that throttles is waited for as long as it asks", async () => {
    let throttle = true;
    reader.put("k", "v");
    reader.fail = () => (throttle ? failure("RateLimited", "provider", 3_000) : undefined);
    const result = client.value({ key: "k" }, clock.monotonic(), "shop");
    await clock.advance(1_000);
    throttle = false;
    await clock.advance(1_000);
    expect(reader.calls).toHaveLength(1);
    await clock.advance(2_000);
    expect(textOf(await result)).toBe("v");
  });

  it("that throttles listings answers reads", async () => {
    reader.put("k", "v");
    reader.fail = (operation) =>
      operation === "list" ? failure("RateLimited", "provider", 60_000) : undefined;
    void client.finder.find(request({ path: "k", tags: {} }));
    await clock.advance(100);
    expect(await values(["k"])).toEqual(["v"]);
  });

  it("is let go when nobody needs it any more", () => {
    client.close();
    expect(reader.closed).toBe(true);
  });
});

describe("an identity that may only read values", () => {
  it("isn't denied again at each refresh of each key", async () => {
    for (const key of keys(50)) reader.put(key, "v");
    await values(keys(50));
    reader.fail = (operation) =>
      ["list", "describe"].includes(operation) ? failure("AccessDenied", "request") : undefined;
    const versions = () =>
      settled(
        ...keys(50).map(
          (key) => client.version({ key }, clock.monotonic(), "shop") ?? Promise.resolve(undefined),
        ),
      );
    await versions();
    await versions();
    reader.calls.length = 0;
    expect(await versions()).toEqual(Array.from({ length: 50 }, () => undefined));
    expect(reader.calls).toEqual([]);
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
        const store = new FakeReader();
        const asker = new ProviderClient({
          reader: store,
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
  const rotated = () => reader.rotations.set("k0", next);

  it("is known after a sweep or a describe", async () => {
    for (const key of keys(3)) reader.put(key, "v");
    await values(keys(3));
    rotated();
    expect(client.nextRotation("k0")).toBeUndefined();
    await clock.advance(1);
    await settled(...keys(3).map((key) => client.version({ key }, clock.monotonic(), "shop")));
    expect([client.nextRotation("k0"), client.nextRotation("k1")]).toEqual([next, undefined]);
    reader.rotations.set("k1", next + 1);
    await clock.advance(1);
    await settled(client.version({ key: "k1" }, clock.monotonic(), "shop"));
    expect(client.nextRotation("k1")).toBe(next + 1);
  });

  it("is looked up once an hour where no sweep comes by, and not asked for by each key", async () => {
    for (const key of keys(3)) reader.put(key, "v");
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
    expect(reader.calls).toEqual([]);
    await clock.advance(60_000);
    expect(await asked()).toBe(next);
    await clock.advance(59 * 60_000);
    await asked();
    expect(reader.calls).toEqual(["list"]);
    await clock.advance(60_000);
    await asked();
    expect(reader.calls).toEqual(["list", "list"]);
  });

  it("isn't asked for without end when listing fails", async () => {
    reader.fail = () => failure("AccessDenied", "request");
    await clock.advance(60 * 60_000 + 1);
    for (let minute = 0; minute < 30; minute++) {
      client.nextRotation("k0");
      await clock.advance(60_000);
    }
    expect(reader.calls).toEqual(["list"]);
  });

  it("stays known when a describe fails", async () => {
    reader.put("k0", "v");
    await values(["k0"]);
    rotated();
    await clock.advance(1);
    await settled(client.version({ key: "k0" }, clock.monotonic(), "shop"));
    reader.fail = () => failure("ProviderRefused", "request");
    await clock.advance(1);
    await settled(client.version({ key: "k0" }, clock.monotonic(), "shop"));
    expect(client.nextRotation("k0")).toBe(next);
  });
});
