import { beforeEach, describe, expect, it } from "@jest/globals";
import { API_VERSION } from "../../../src/api/group.ts";
import type { ClusterSecretSyncStatus } from "../../../src/api/cluster-secret-sync.ts";
import { projectClusterSync } from "../../../src/cluster/cluster-sync.ts";
import { outlineOfSync, projectSync, type SyncObject } from "../../../src/cluster/sync-object.ts";
import { newViews, projectNamespace, type Views } from "../../../src/cluster/views.ts";
import { queuePolicy, type Lane } from "../../../src/controllers/cluster-secret-sync/lanes.ts";
import { newClusterReconciler } from "../../../src/controllers/cluster-secret-sync/reconciler.ts";
import { newClusterStatusWriter } from "../../../src/controllers/cluster-secret-sync/report.ts";
import { connectClusterTriggers } from "../../../src/controllers/cluster-secret-sync/triggers.ts";
import type { Next } from "../../../src/controllers/controller.ts";
import { Health } from "../../../src/controllers/health.ts";
import { ApiError, type KubeApi, type KubeObject, type ResourceType } from "../../../src/kube/kube-api.ts";
import { WorkQueue } from "../../../src/runtime/work-queue.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { noLogger } from "../../support/no-logger.ts";

/** The shell around the decision: what it writes, how often, and what wakes it. */

let clock: FakeClock;
let views: Views;
/** What was asked of the apiserver, and what it refuses. */
let calls: string[];
let refuse: (namespace: string) => ApiError | undefined;
let version: number;
let atOnce: { now: number; most: number };
let queue: WorkQueue<Lane>;
/** The watch shows nothing of what is written. */
let isLate: boolean;

const template = { providerRef: { name: "aws" }, data: [{ secretKey: "a", remoteRef: { key: "k" } }] };

const api = {
  async apply(type: ResourceType, object: KubeObject & { spec?: unknown; status?: unknown }) {
    const { namespace = "", name, uid, resourceVersion } = object.metadata;
    if (type.kind === "ClusterSecretSync") {
      calls.push(`status ${name}`);
      const before = views.clusterSyncs.get(name)!;
      const { metadata } = before;
      const spec = { namespaces: { all: true }, template: { spec: before.template } };
      return { metadata: { ...metadata, resourceVersion: String(++version) }, spec, status: object.status };
    }
    calls.push(`${resourceVersion === "1" ? "create" : `change ${uid}`} ${namespace}/${name}`);
    atOnce.now++;
    atOnce.most = Math.max(atOnce.most, atOnce.now);
    await Promise.resolve();
    atOnce.now--;
    const error = refuse(namespace);
    if (error) throw error;
    const generation = (views.syncs.get(`${namespace}/${name}`)?.metadata.generation ?? 0) + 1;
    const written = {
      ...object,
      metadata: {
        ...object.metadata,
        uid: uid ?? `u-${namespace}`,
        generation,
        resourceVersion: String(++version),
      },
    };
    if (!isLate) views.syncs.set(projectSync(written));
    return written;
  },
  delete(_type: ResourceType, name: string, namespace: string) {
    calls.push(`delete ${namespace}/${name}`);
    views.syncs.delete(`${namespace}/${name}`, `u-${namespace}`);
    return Promise.resolve();
  },
  list(_type: ResourceType, { namespace = "" }: { namespace?: string }) {
    calls.push(`read ${namespace}`);
    return Promise.resolve({ metadata: { resourceVersion: "1" }, items: [{ metadata: {}, spec: template }] });
  },
} as unknown as KubeApi;

beforeEach(() => {
  clock = new FakeClock();
  views = newViews({ mostBytes: 1e9, onError: () => undefined, onLeftAlone: () => undefined });
  calls = [];
  refuse = () => undefined;
  version = 100;
  isLate = false;
  atOnce = { now: 0, most: 0 };
  queue = new WorkQueue({ ...queuePolicy, shareOf: () => "", clock, random: () => 0.5 });
});

function put(spec: Record<string, unknown> = {}, generation = 1, status: ClusterSecretSyncStatus = {}): void {
  views.clusterSyncs.set(
    projectClusterSync({
      metadata: { name: "pull", uid: "c", generation, resourceVersion: String(++version) },
      spec: { namespaces: { all: true }, template: { spec: template }, ...spec },
      status,
    } as unknown as KubeObject),
  );
}
const namespace = (name: string, metadata: Partial<KubeObject["metadata"]> = {}) =>
  views.namespaces.set(
    projectNamespace({ metadata: { name, uid: name, resourceVersion: String(++version), ...metadata } }),
  );
/** As somebody made it, or changed what was made. */
const edit = (key: string, change: (object: SyncObject) => SyncObject) =>
  views.syncs.set({ ...change(views.syncs.get(key)!), resourceVersion: String(++version) });
const statusOf = () => views.clusterSyncs.get("pull")!.status;

let reconcile: ReturnType<typeof newClusterReconciler>;
beforeEach(() => {
  const onWrite = () => undefined;
  const writeStatus = newClusterStatusWriter(api, views, onWrite, new Health(noLogger));
  reconcile = newClusterReconciler({ api, views, clock, log: noLogger, onWrite, writeStatus });
});
async function look(): Promise<Next> {
  calls.length = 0;
  const limit = { signal: new AbortController().signal, pause: () => undefined, resume: () => undefined };
  return reconcile({ key: "pull", lane: "edit", dueSince: 0 }, { limit, free: () => undefined });
}
/** All SecretSyncs are ready. */
const allReady = () => {
  for (const { key } of Array.from(views.syncs.values()))
    edit(key, (sync) => ({
      ...sync,
      status: {
        conditions: [
          {
            type: "Ready",
            status: "True",
            reason: "Synced",
            message: "",
            lastTransitionTime: "",
            observedGeneration: sync.metadata.generation,
          },
        ],
      },
    }));
};

describe("a ClusterSecretSync", () => {
  it("writes what is missing once, and then its status when that says something new", async () => {
    for (const name of ["a", "b"]) namespace(name);
    namespace("ending", { deletionTimestamp: "2026-05-01T00:00:00Z" });
    put();
    expect(await look()).toEqual({ kind: "rest", result: "success" });
    expect(calls).toEqual(["create a/pull", "create b/pull", "status pull"]);
    expect(await look()).toEqual({ kind: "rest", result: "success" });
    expect(calls).toEqual([]);
    allReady();
    await look();
    expect(calls).toEqual(["status pull"]);
    expect(statusOf().namespaces).toEqual({ matched: 2, ready: 2, failed: 0 });
    await look();
    expect(calls).toEqual([]);
  });

  it("brings each to another template, and back from what somebody made of it, from time to time", async () => {
    namespace("a");
    put();
    await look();
    put({ template: { spec: template, metadata: { labels: { team: "shop" } } } }, 2);
    await look();
    expect(calls).toContain("change u-a a/pull");
    let changed = 0;
    for (let times = 0; times < 100; times++) {
      edit("a/pull", (sync) => ({ ...sync, spec: { ...template, data: [] } }));
      const next = await look();
      changed += calls.filter((call) => call.startsWith("change")).length;
      if (changed >= 5) expect(["at", "rest"]).toContain(next.kind);
      await clock.advance(1_000);
    }
    // Five at once, and one each half minute.
    expect(changed).toBeGreaterThanOrEqual(7);
    expect(changed).toBeLessThanOrEqual(9);
  });

  it("reads what was given up for memory, once", async () => {
    namespace("a");
    put();
    await look();
    views.syncs.set(outlineOfSync({ ...views.syncs.get("a/pull")!, resourceVersion: String(++version) }));
    await look();
    expect(calls.filter((call) => call.startsWith("read"))).toEqual(["read a"]);
    expect(calls.filter((call) => call.startsWith("change"))).toEqual([]);
    await look();
    expect(calls).toEqual([]);
  });

  it("makes nothing twice while the watch hasn't shown it, and again when it never does", async () => {
    namespace("a");
    put();
    isLate = true;
    expect(await look()).toEqual({ kind: "at", at: clock.monotonic() + 10_000, result: "success" });
    expect(calls).toContain("create a/pull");
    await clock.advance(9_000);
    expect((await look()).kind).toBe("at");
    expect(calls).toEqual([]);
    await clock.advance(1_000);
    isLate = false;
    expect((await look()).kind).toBe("rest");
    expect(calls).toContain("create a/pull");
  });

  it("of very many namespaces takes turns, and writes a few at once", async () => {
    for (let index = 0; index < 450; index++) namespace(`n${index}`);
    put();
    const creates = () => calls.filter((call) => call.startsWith("create")).length;
    const rounds: [number, Next["kind"]][] = [];
    for (let round = 0; round < 3; round++) {
      const { kind } = await look();
      rounds.push([creates(), kind]);
    }
    expect(rounds).toEqual([
      [200, "at"],
      [200, "at"],
      [50, "rest"],
    ]);
    expect(atOnce.most).toBe(8);
  });

  it("of very many that somebody spoils again and again waits, instead of looking without end", async () => {
    for (let index = 0; index < 300; index++) namespace(`n${index}`);
    put();
    while ((await look()).kind === "at");
    let looks = 0;
    for (let times = 0; times < 12; times++) {
      for (const { key } of Array.from(views.syncs.values()))
        edit(key, (sync) => ({ ...sync, spec: { ...template, data: [] } }));
      while ((await look()).kind === "at" && calls.length > 0) looks++;
    }
    const next = await look();
    expect(looks).toBeLessThan(30);
    expect(calls).toEqual([]);
    expect(next.kind === "at" && next.at).toBeGreaterThan(clock.monotonic());
    // Another template is no repair.
    put({ template: { spec: template, metadata: { labels: { a: "b" } } } }, 2);
    await look();
    expect(calls.filter((call) => call.startsWith("change"))).toHaveLength(200);
  });

  it("that are refused keep no others from their turn", async () => {
    for (let index = 0; index < 300; index++) namespace(`n${index}`);
    put();
    refuse = (name) => (Number(name.slice(1)) < 250 ? new ApiError(403, "Forbidden", "no room") : undefined);
    await look();
    await look();
    expect(views.syncs.size).toBe(50);
  });

  it("tells what the apiserver doesn't take, and tries again", async () => {
    for (const name of ["a", "b"]) namespace(name);
    put();
    refuse = (name) => (name === "a" ? new ApiError(403, "Forbidden", "no room") : undefined);
    expect(await look()).toMatchObject({ kind: "backoff" });
    expect(statusOf().failing).toEqual([{ namespace: "a", reason: "WriteFailed", message: "no room" }]);
    refuse = (name) => (name === "a" ? new ApiError(429, "TooManyRequests", "later", 7) : undefined);
    expect(await look()).toEqual({ kind: "at", at: clock.monotonic() + 7_000, result: "retry" });
    // Somebody was quicker; the watch is about to tell.
    refuse = (name) => (name === "a" ? new ApiError(409, "Conflict", "there") : undefined);
    expect(await look()).toEqual({ kind: "at", at: clock.monotonic() + 1_000, result: "retry" });
    expect(statusOf().failing).toBeUndefined();
  });

  it("that breaks a rule writes nothing but that", async () => {
    namespace("a");
    put({ namespaces: {} });
    expect(await look()).toEqual({ kind: "rest", result: "stalled" });
    expect(calls).toEqual(["status pull"]);
    expect(statusOf().conditions?.[0]).toMatchObject({ reason: "InvalidSpec" });
  });

  it("that is gone, or about to be, does nothing", async () => {
    expect(await look()).toEqual({ kind: "gone" });
    views.clusterSyncs.set(
      projectClusterSync({
        metadata: { name: "pull", uid: "c", resourceVersion: "1", deletionTimestamp: "2026-05-01T00:00:00Z" },
        spec: {},
      } as unknown as KubeObject),
    );
    expect(await look()).toEqual({ kind: "gone" });
    expect(calls).toEqual([]);
  });

  it("deletes its own when it isn't meant any more, and leaves those of others", async () => {
    for (const name of ["a", "b"]) namespace(name);
    put();
    await look();
    views.syncs.set(
      projectSync({
        metadata: { name: "pull", namespace: "c", uid: "x", resourceVersion: String(++version) },
        spec: template,
      } as unknown as KubeObject),
    );
    namespace("c");
    put({ namespaces: { names: ["c"] } }, 2);
    await look();
    expect(calls).toEqual(["delete a/pull", "delete b/pull", "status pull"]);
    expect(statusOf().failing).toMatchObject([{ namespace: "c", reason: "NameTaken" }]);
  });

  it("tells what somebody has set beside the template, and leaves it; that it is suspended it has from its status", async () => {
    namespace("a");
    put();
    await look();
    allReady();
    const target = { name: "elsewhere" };
    edit("a/pull", (sync) => ({ ...sync, spec: { ...template, target } }));
    await look();
    expect(calls).toEqual(["status pull"]);
    expect(statusOf().failing).toMatchObject([{ namespace: "a", reason: "Added" }]);
    expect(statusOf().failing?.[0]?.message).toContain("spec.target");
    edit("a/pull", (sync) => ({ ...sync, spec: { ...template, suspend: false } }));
    await look();
    expect(statusOf().namespaces).toEqual({ matched: 1, ready: 1, failed: 0 });
  });

  it("deletes some at a time, after it has made what is missing, whoever copies the owner reference", async () => {
    put();
    for (let index = 0; index < 250; index++) {
      const name = `copy-${index}`;
      const ownerReferences = [
        { apiVersion: API_VERSION, kind: "ClusterSecretSync", name: "pull", uid: "c" },
      ];
      views.syncs.set(
        projectSync({
          metadata: {
            name,
            namespace: "evil",
            uid: name,
            resourceVersion: String(++version),
            ownerReferences,
          },
          spec: template,
        } as unknown as KubeObject),
      );
    }
    for (const name of ["a", "b"]) namespace(name);
    expect(await look()).toEqual({ kind: "at", at: clock.monotonic() + 1_000, result: "retry" });
    expect(calls.slice(0, 2)).toEqual(["create a/pull", "create b/pull"]);
    expect(calls.filter((call) => call.startsWith("delete"))).toHaveLength(100);
  });
});

describe("what wakes it", () => {
  const due = async () => {
    await clock.advance(300);
    const depth = [...queue.depth()].reduce((sum, [, count]) => sum + count, 0);
    if (depth > 0) queue.done((await queue.take())!.key);
    return depth;
  };

  beforeEach(async () => {
    connectClusterTriggers(views, queue);
    namespace("a");
    put();
    await look();
    while ((await due()) > 0);
  });

  it("is an edit of it, a namespace that comes, goes or gets other labels", async () => {
    const wakes: [string, () => unknown, number][] = [
      ["nothing", () => undefined, 0],
      ["its status", () => put({}, 1, { observedGeneration: 1 }), 0],
      ["an edit", () => put({}, 2), 1],
      ["a namespace", () => namespace("b"), 1],
      ["the same again", () => namespace("b"), 0],
      ["labels", () => namespace("b", { labels: { team: "shop" } }), 1],
      [
        "its end",
        () => namespace("b", { labels: { team: "shop" }, deletionTimestamp: "2026-05-01T00:00:00Z" }),
        1,
      ],
      ["a namespace that is gone", () => views.namespaces.delete("b", "b"), 1],
    ];
    for (const [what, change, expected] of wakes) {
      change();
      expect([what, await due()]).toEqual([what, expected]);
    }
  });

  it("is what becomes of its SecretSyncs, and a name that is free", async () => {
    const foreign = (name: string) =>
      views.syncs.set(
        projectSync({
          metadata: { name, namespace: "b", uid: name, resourceVersion: String(++version) },
        }),
      );
    const wakes: [string, () => unknown, number][] = [
      ["a result", allReady, 1],
      ["the same again", allReady, 0],
      [
        "an edit",
        () => edit("a/pull", (sync) => ({ ...sync, metadata: { ...sync.metadata, generation: 9 } })),
        1,
      ],
      ["another owner", () => edit("a/pull", ({ maker: _maker, ...sync }) => sync), 1],
      ["somebody else's", () => foreign("pull"), 0],
      ["somebody else's that goes", () => views.syncs.delete("b/pull", "pull"), 1],
      ["another name", () => foreign("other"), 0],
      ["another name that goes", () => views.syncs.delete("b/other", "other"), 0],
    ];
    for (const [what, change, expected] of wakes) {
      change();
      expect([what, await due()]).toEqual([what, expected]);
    }
  });

  it("is what another one has made and leaves, also one of its own name that is gone", async () => {
    const made = (namespace: string, maker: string | undefined) =>
      views.syncs.set(
        projectSync({
          metadata: {
            name: "pull",
            namespace,
            uid: `of ${namespace}`,
            resourceVersion: String(++version),
            ...(maker === undefined
              ? {}
              : {
                  ownerReferences: [
                    {
                      apiVersion: API_VERSION,
                      kind: "ClusterSecretSync",
                      name: "x",
                      uid: maker,
                    },
                  ],
                }),
          },
        }),
      );
    made("b", "gone");
    await due();
    views.syncs.delete("b/pull", "of b");
    expect(await due()).toBe(1);
    made("b", "gone");
    await due();
    made("b", undefined);
    expect(await due()).toBe(1);
  });

  it("is nothing after its end", async () => {
    put({}, 2);
    views.clusterSyncs.delete("pull", "c");
    expect(await due()).toBe(0);
    allReady();
    expect(await due()).toBe(0);
  });
});
