import { beforeEach, describe, expect, it } from "@jest/globals";
import { newStoreNews, type OnStoreNews } from "../../../src/controllers/secret-sync/store-news.ts";
import { queuePolicy, type Lane } from "../../../src/controllers/secret-sync/lanes.ts";
import { namespaceOf, outlineOfSync, projectSync } from "../../../src/cluster/sync-object.ts";
import { newViews, type Views } from "../../../src/cluster/views.ts";
import type { KubeObject } from "../../../src/kube/kube-api.ts";
import { WorkQueue } from "../../../src/runtime/work-queue.ts";
import { FakeClock } from "../../support/fake-clock.ts";

/** Who is woken by what a store tells. */

let clock: FakeClock;
let views: Views;
let queue: WorkQueue<Lane>;
let expired: string[];
let onNews: OnStoreNews;

beforeEach(() => {
  clock = new FakeClock();
  views = newViews({ mostBytes: 1e9, onError: () => undefined, onLeftAlone: () => undefined });
  queue = new WorkQueue({ ...queuePolicy(4), shareOf: namespaceOf, clock, random: () => 0.5 });
  expired = [];
  onNews = newStoreNews({
    views,
    queue,
    polling: { expire: (key) => expired.push(key) },
    clock,
    leastRefreshMs: 0,
  });
});

const put = (name: string, spec: object, isOutline = false) => {
  const object = projectSync({
    metadata: { name, namespace: "shop", uid: name, resourceVersion: "1" },
    spec: { providerRef: { kind: "ClusterSecretProvider", name: "vault" }, ...spec },
  } as unknown as KubeObject);
  views.syncs.set(isOutline ? outlineOfSync(object) : object);
};
const data = (key: string) => ({ data: [{ secretKey: "a", remoteRef: { key } }] });

describe("what a store tells", () => {
  it("wakes who reads the key, who finds, and of whom nobody knows what it reads", async () => {
    put("reads", data("db"));
    put("extracts", { dataFrom: [{ extract: { key: "db" } }] });
    put("finds", { dataFrom: [{ find: { path: "x" } }] });
    put("other", data("web"));
    put("outline", data("web"), true);
    put("once", { ...data("db"), refreshInterval: "0s" });
    put("suspended", { ...data("db"), suspend: true });
    put("elsewhere", { ...data("db"), providerRef: { name: "own" } });
    onNews(["ClusterSecretProvider/vault"], "db");
    expect(expired).toEqual([]);
    await clock.advance(100);
    expect(expired.sort()).toEqual(["shop/extracts", "shop/finds", "shop/outline", "shop/reads"]);
    expect(new Map(queue.depth()).get("event")).toBe(4);
  });

  it("wakes all who read the provider when any key may have changed", async () => {
    put("one", data("db"));
    put("two", data("web"));
    onNews(["ClusterSecretProvider/vault", "ClusterSecretProvider/none"], "db");
    onNews(["ClusterSecretProvider/vault"], undefined);
    onNews(["ClusterSecretProvider/vault"], "db");
    await clock.advance(100);
    expect([...new Set(expired)].sort()).toEqual(["shop/one", "shop/two"]);
  });

  it("again and again wakes an object from time to time", async () => {
    put("one", data("db"));
    let handled = 0;
    for (let times = 0; times < 100; times++) {
      onNews(["ClusterSecretProvider/vault"], "db");
      await clock.advance(100);
      if (new Map(queue.depth()).get("event") === 0) continue;
      const taken = (await queue.take())!;
      queue.done(taken.key);
      handled++;
    }
    // Three at once, and one each ten seconds.
    expect(handled).toBeGreaterThanOrEqual(3);
    expect(handled).toBeLessThanOrEqual(6);
  });

  it("leaves turns for others when very many are woken", async () => {
    for (let index = 0; index < 2_500; index++) put(`s${index}`, data("db"));
    const { after } = clock;
    let turns = 0;
    clock.after = (milliseconds, callback) => {
      if (milliseconds === 0 && callback.name === "end") turns++;
      return after.call(clock, milliseconds, callback);
    };
    onNews(["ClusterSecretProvider/vault"], "db");
    await clock.advance(100);
    expect([expired.length, turns]).toEqual([2_500, 2]);
  });

  it("goes through an object once for all providers of a client", async () => {
    put("one", data("db"));
    const { get } = views.syncs;
    let looks = 0;
    views.syncs.get = (key) => {
      looks++;
      return get.call(views.syncs, key);
    };
    onNews(["ClusterSecretProvider/vault", "ClusterSecretProvider/vault"], "db");
    for (let times = 0; times < 10; times++) onNews(["ClusterSecretProvider/vault"], "db");
    await clock.advance(1_000);
    // Two clients had news.
    expect(looks).toBe(2);
  });

  it("rests after a look that took long, while what others' stores tell goes on", async () => {
    for (let index = 0; index < 200; index++)
      put(`s${index}`, { data: Array.from({ length: 200 }, (_, entry) => data(`k${entry}`).data[0]) });
    put("victim", { ...data("db"), providerRef: { name: "own" } });
    // Each turn of the loop takes 50 ms.
    const { after } = clock;
    clock.after = (milliseconds, callback) =>
      after.call(clock, milliseconds === 0 ? 50 : milliseconds, callback);
    const looked = () => expired.filter((key) => key !== "shop/victim").length;
    for (let times = 0; times < 100; times++) {
      onNews(["ClusterSecretProvider/vault"], "k0");
      await clock.advance(100);
    }
    // 20 turns of 50 ms, and four seconds of rest.
    expect(looked()).toBeGreaterThanOrEqual(200);
    expect(looked()).toBeLessThanOrEqual(3 * 200);
    const since = clock.monotonic();
    onNews(["shop/own"], "db");
    await clock.advance(100);
    expect(expired).toContain("shop/victim");
    expect(clock.monotonic() - since).toBe(100);
  });
});
