import { beforeEach, describe, expect, it } from "@jest/globals";
import { newApplier } from "../../../src/controllers/secret-sync/apply.ts";
import { newDecider } from "../../../src/controllers/secret-sync/decide.ts";
import { DriftTimes } from "../../../src/cluster/drift.ts";
import { newFetcher } from "../../../src/controllers/secret-sync/fetch.ts";
import { Freshness } from "../../../src/controllers/secret-sync/freshness.ts";
import { newObserver } from "../../../src/controllers/secret-sync/observe.ts";
import type { AccessResult } from "../../../src/controllers/secret-sync/provider-access.ts";
import { newIsAsLeft, newPolling, type Polling } from "../../../src/controllers/secret-sync/polling.ts";
import type { Next } from "../../../src/controllers/controller.ts";
import { newReconciler } from "../../../src/controllers/secret-sync/reconciler.ts";
import { newSyncStatusWriter } from "../../../src/controllers/secret-sync/report.ts";
import type { Restarts } from "../../../src/controllers/secret-sync/restart.ts";
import { projectSync, type SyncObject } from "../../../src/cluster/sync-object.ts";
import { newViews, type Views } from "../../../src/cluster/views.ts";
import { PollingFeed } from "../../../src/feeds/polling.ts";
import type { Known } from "../../../src/fetch/news.ts";
import { ApiError, type KubeApi, type KubeObject } from "../../../src/kube/kube-api.ts";
import { projectSecret } from "../../../src/plan/live-target.ts";
import { noLogger } from "../../support/no-logger.ts";
import type { ReadResult } from "../../../src/providers/contract.ts";
import { projectWorkload } from "../../../src/rollout/workload.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { appliedObject, digestKey, failing, found } from "../../support/gen.ts";

/** The shell of a reconcile: what of its steps a refresh takes. */

let clock: FakeClock;
let views: Views;
let freshness: Freshness;
/** Version that the store has. */
let version: string;
let mayRead: boolean;
let restarts: Restarts;
/** Steps that were taken, in order. */
let steps: string[];
/** What the provider has. */
let answer: () => ReadResult;
/** The Secret as it was applied last, and whether somebody has changed it since under the operator's name. */
let lastApplied: string;
let isTampered: boolean;
/** What was told by events. */
let events: string[];
/** What the log tells as a warning. */
let warned: string[];
/** The apiserver tells of no Secret, and this is what it answers when it is asked for one. */
let isUnwatched: boolean;
let getSecret: () => Promise<KubeObject | undefined>;
let reconcile: ReturnType<typeof newReconciler>;
let polling: Polling;
let feed: PollingFeed;
/** When a failed or unfinished reconcile wants to come back; monotonic. */
let next: Next | undefined;
let onNews: (key: string) => void;
/** How often what was parsed of the object was given up. */
let forgotten: number;

const KEY = "shop/orders";
const noRestarts: Restarts = { restarted: [], problem: undefined, waiting: undefined, retryInMs: 0 };
let revision = 0;
const nextRevision = () => String(++revision);

/** The apiserver, as far as it takes writes. */
const api = {
  get: () => getSecret(),
  apply: (
    _type: unknown,
    object: KubeObject & { data?: Record<string, string> },
    options: { subresource?: string },
  ) => {
    const before = views.syncs.get(KEY)?.metadata;
    if (options.subresource)
      return Promise.resolve({
        metadata: { ...object.metadata, generation: before?.generation, resourceVersion: nextRevision() },
      });
    steps.push("write");
    // What is there already is applied without effect, unless somebody else has changed it.
    const text = JSON.stringify([object.metadata.labels, object.metadata.annotations, object.data]);
    const live = views.secrets.get(KEY);
    if (live && text === lastApplied && !isTampered)
      return Promise.resolve({ metadata: { ...object.metadata, resourceVersion: live.resourceVersion } });
    lastApplied = text;
    isTampered = false;
    const { labels = {}, annotations = {}, ownerReferences = [] } = object.metadata;
    const written = appliedObject({
      kind: "applySecret",
      fieldManager: "secretsync",
      name: "orders",
      namespace: "shop",
      labels,
      annotations,
      ownerReferences,
      data: new Map(Object.keys(object.data ?? {}).map((key) => [key, undefined as never])),
    });
    const secret = { metadata: { ...written.metadata, resourceVersion: nextRevision() } };
    // Only the watch adds.
    views.secrets.set(projectSecret(secret));
    return Promise.resolve(secret);
  },
} as unknown as KubeApi;

const sync = (
  more: { generation?: number; spec?: object; annotations?: Record<string, string> } = {},
): SyncObject =>
  projectSync({
    metadata: {
      name: "orders",
      namespace: "shop",
      uid: "u",
      generation: more.generation ?? 1,
      resourceVersion: nextRevision(),
      creationTimestamp: "2026-05-01T00:00:00Z",
      annotations: more.annotations ?? {},
    },
    spec: {
      providerRef: { name: "aws" },
      refreshInterval: "1m",
      data: [{ secretKey: "password", remoteRef: { key: "prod/db" } }],
      ...more.spec,
    },
    status: views.syncs.get(KEY)?.status,
  } as KubeObject);

beforeEach(() => {
  clock = new FakeClock();
  freshness = new Freshness(clock);
  views = newViews({ mostBytes: 1e9, onError: () => undefined, onLeftAlone: () => undefined });
  version = "v1";
  mayRead = true;
  answer = () => found(version, version);
  events = [];
  warned = [];
  lastApplied = "";
  isTampered = false;
  restarts = noRestarts;
  steps = [];
  forgotten = 0;
  onNews = (key) => void run(key, true);
  const client = {
    version: () => {
      steps.push("versions");
      return Promise.resolve({ kind: "found", versionId: version, versionStages: ["AWSCURRENT"] });
    },
    value: () => {
      steps.push("values");
      return Promise.resolve(answer());
    },
    news: <K extends Known>(known: readonly K[]) => {
      steps.push("poll");
      return Promise.resolve(known.filter((one) => one.version !== version));
    },
    nextRotation: () => undefined,
    finder: { find: () => Promise.resolve({ kind: "matches", secrets: new Map(), forbidden: [] }) },
    place: "a fake",
  };
  const access = { client, mayRead: () => mayRead, mayReadAny: true };
  const fetcher = newFetcher(() => Promise.resolve({ ok: true, access } as unknown as AccessResult));
  feed = new PollingFeed({
    clock,
    open: () => Promise.resolve(client),
    isAsLeft: newIsAsLeft(views, () => isUnwatched),
    onNews: (key) => onNews(key),
    onPolled: () => undefined,
    onFailed: ({ error }) => {
      throw error;
    },
    mostBytes: 1e6,
  });
  polling = newPolling({ feed, freshness, views, clock, leastRefreshMs: 0 });
  const drift = new DriftTimes(clock);
  isUnwatched = false;
  getSecret = () => Promise.resolve(undefined);
  const observer = newObserver({
    api,
    views,
    clock,
    digestKey: () => digestKey,
    leastRefreshMs: 0,
    drift,
    isUnwatched: () => isUnwatched,
  });
  reconcile = newReconciler({
    views,
    clock,
    log: {
      ...noLogger,
      warn: (_fields: unknown, message: string) => warned.push(message),
    },
    freshness,
    polling,
    observer: {
      ...observer,
      forget: () => forgotten++,
      observe: (...args) => {
        steps.push("look");
        return observer.observe(...args);
      },
    },
    decide: newDecider({ fetcher, freshness, clock, liveValues: () => Promise.resolve(new Map()) }),
    apply: newApplier({
      api,
      views,
      clock,
      restarter: { note: () => Promise.resolve(new Set<string>()), restart: () => Promise.resolve(restarts) },
      onWrite: () => undefined,
    }),
    writeStatus: newSyncStatusWriter(api, views, () => steps.push("status"), {
      failed: () => undefined,
      works: () => undefined,
    }),
    recordEvent: ({ kind, name }, { type, reason, message }) => {
      events.push(
        kind === "SecretSync" ? `${type} ${reason}` : `${kind}/${name}: ${type} ${reason}: ${message}`,
      );
      return Promise.resolve();
    },
    onChange: () => undefined,
  });
  views.syncs.set(sync());
});

const task = {
  limit: { signal: new AbortController().signal, pause: () => undefined, resume: () => undefined },
  free: () => undefined,
};

async function run(key: string, refresh: boolean): Promise<void> {
  next = await reconcile(key, { look: refresh ? "versions" : "ifDue", freshAfter: clock.monotonic() }, task);
}

/** The steps of a look, whatever made it due. */
async function looked(refresh = false): Promise<readonly string[]> {
  steps = [];
  await run(KEY, refresh);
  return steps;
}

/** What the next poll takes. */
async function polled(): Promise<readonly string[]> {
  steps = [];
  await clock.advance(70_000);
  return [...new Set(steps)];
}

async function untilInStep(): Promise<void> {
  expect(await looked()).toEqual(["look", "values", "write", "status"]);
  expect(next).toEqual({ kind: "rest", result: "success" });
  expect(await polled()).toEqual(["poll"]);
}

describe("an object that is in step", () => {
  it("is left to polling, with all that is known of it", async () => {
    await untilInStep();
    expect(feed.has(KEY)).toBe(true);
    expect(forgotten).toBe(1);
    expect(freshness.lastSuccess(KEY)).toBeUndefined();
    expect(clock.now() / 1000 - (polling.lastSuccess(KEY) ?? 0)).toBeLessThan(70);
    await clock.advance(130_000);
    expect(clock.now() / 1000 - (polling.lastSuccess(KEY) ?? 0)).toBeLessThan(70);
    expect(polling.overdueCount([])).toBe(0);
  });

  it("is looked at when there is another version, and left to polling again", async () => {
    await untilInStep();
    version = "v2";
    expect(await polled()).toEqual(["poll", "look", "values", "write", "status"]);
    expect(await polled()).toEqual(["poll"]);
  });

  it("needs no look at its sources when something else makes it due before the next poll", async () => {
    await untilInStep();
    expect(await looked()).toEqual(["look"]);
    expect(next).toEqual({ kind: "rest", result: "success" });
    // What its record holds is still what polling compares with.
    version = "v2";
    expect(await polled()).toContain("write");
  });

  it("is looked at when its Secret changed, although nobody said so", async () => {
    await untilInStep();
    const secret = views.secrets.get(KEY)!;
    views.secrets.set({ ...secret, resourceVersion: nextRevision(), owned: {} });
    expect(await polled()).toContain("look");
  });

  it("looks at its sources when a poll saw something new, whatever else made it due meanwhile", async () => {
    await untilInStep();
    // The poll's own news wait in the queue.
    const told: string[] = [];
    onNews = (key) => told.push(key);
    version = "v2";
    await polled();
    expect(told).toEqual([KEY]);
    expect(await looked()).toEqual(["look", "values", "write", "status"]);
    expect(next).toEqual({ kind: "rest", result: "success" });
  });

  it("is polled in time, although something makes it due again and again", async () => {
    views.syncs.set(sync({ generation: 2, spec: { refreshInterval: "1h" } }));
    expect(await looked()).toContain("write");
    version = "v2";
    let waited = 0;
    for (steps = []; !steps.includes("values") && waited < 90; waited += 2) {
      await clock.advance(2 * 60_000);
      await run(KEY, false);
      // As the settler does.
      if (next?.kind === "at" && next.at <= clock.monotonic() + 2 * 60_000) {
        await clock.advance(next.at - clock.monotonic());
        await run(KEY, true);
      }
    }
    expect(waited).toBeLessThanOrEqual(68);
    expect(steps).toContain("write");
  });

  it("looks at its sources when its spec, or its provider, changed", async () => {
    await untilInStep();
    views.syncs.set(sync({ generation: 2, spec: { refreshInterval: "2m" } }));
    expect(await looked()).toContain("versions");
    polling.expire(KEY);
    expect(feed.has(KEY)).toBe(false);
    expect(await looked()).toContain("versions");
    expect(feed.has(KEY)).toBe(true);
  });

  it("is read and written exactly from time to time, whatever versions say", async () => {
    await untilInStep();
    // Between five and ten minutes after it was first seen, and every ten then.
    for (const minutes of [11, 10, 10]) {
      steps = [];
      await clock.advance(minutes * 60_000);
      expect(steps.filter((step) => step === "values")).toHaveLength(1);
      expect(steps.filter((step) => step === "write")).toHaveLength(1);
    }
  });

  it("isn't any more once its namespace may no longer read it, and that is told", async () => {
    await untilInStep();
    mayRead = false;
    polling.expire(KEY);
    expect(await looked()).toEqual(["look", "status"]);
    expect(feed.has(KEY)).toBe(false);
    expect(views.syncs.get(KEY)?.status.conditions).toContainEqual(
      expect.objectContaining({ type: "Ready", reason: "KeyNotAllowed" }),
    );
  });

  it("is forgotten when it is deleted", async () => {
    await untilInStep();
    views.syncs.delete(KEY, views.syncs.get(KEY)!.uid);
    await run(KEY, false);
    expect(next).toEqual({ kind: "gone" });
    expect(feed.size).toBe(0);
    expect(await polled()).toEqual([]);
  });
});

describe("an object that isn't in step", () => {
  it.each<[string, Partial<Restarts>]>([
    ["a restart waits", { waiting: "Deployment/web is paused" }],
    ["a restart failed", { problem: "Deployment/web: no" }],
    ["pods could not be looked at yet", { retryInMs: 50 }],
  ])("looks after itself while %s", async (_what, more) => {
    restarts = { ...noRestarts, ...more };
    for (let round = 0; round < 3; round++) {
      expect(await looked(true)).toContain("look");
      expect(next).toMatchObject({ kind: more.problem ? "backoff" : "at" });
      expect(feed.has(KEY)).toBe(false);
    }
    restarts = noRestarts;
    await looked(true);
    expect(next).toEqual({ kind: "rest", result: "success" });
  });

  it.each<[string, object, Next["kind"]]>([
    ["is never refreshed", { refreshInterval: "0s" }, "rest"],
    ["is suspended", { suspend: true }, "rest"],
    [
      "has a find, which takes turns with those of others",
      { data: undefined, dataFrom: [{ find: { path: "prod/" } }] },
      "backoff",
    ],
    ["merges keys into a Secret", { target: { creationPolicy: "Merge" } }, "backoff"],
  ])("looks after itself when it %s", async (_what, spec, kind) => {
    views.syncs.set(sync({ generation: 2, spec }));
    await looked();
    expect(next).toMatchObject({ kind });
    expect(feed.has(KEY)).toBe(false);
  });

  it("looks after itself when its provider changed while it was looked at", async () => {
    await untilInStep();
    version = "v2";
    const { apply } = api;
    api.apply = (...args) => {
      polling.expire(KEY);
      return apply(...args);
    };
    try {
      await looked(true);
    } finally {
      api.apply = apply;
    }
    expect(next).toMatchObject({ kind: "at" });
    expect(await looked()).toContain("versions");
    expect(next).toEqual({ kind: "rest", result: "success" });
  });
});

describe("where the apiserver tells of no Secret", () => {
  it("each is asked for, whatever the watch told before", async () => {
    await untilInStep();
    expect(await looked()).not.toContain("write");
    // It is gone, and nobody told.
    isUnwatched = true;
    expect(await looked()).toContain("write");
  });

  it("isn't asked for at each poll, though nobody can tell that it is as it was left", async () => {
    await untilInStep();
    views.secrets.delete(KEY, views.secrets.get(KEY)!.uid);
    isUnwatched = true;
    expect(await polled()).toEqual(["poll"]);
    isUnwatched = false;
    expect(await polled()).toContain("look");
  });

  it("the one that it can't decrypt is told, and tried again", async () => {
    isUnwatched = true;
    getSecret = () =>
      Promise.reject(
        new ApiError(
          500,
          "InternalError",
          "StorageError: corrupt object, Code: 7, Key: /secrets/shop/orders, x",
        ),
      );
    expect(await looked()).toEqual(["look", "status"]);
    expect(next).toEqual({ kind: "backoff", atLeastMs: 0, atMostMs: 300_000 });
    const conditions = views.syncs.get(KEY)?.status.conditions ?? [];
    expect(conditions.map(({ type, status, reason }) => [type, status, reason])).toEqual([
      ["Ready", "False", "WriteFailed"],
      ["Reconciling", "True", "WriteFailed"],
    ]);
    expect(conditions[0]?.message).toContain("can't decrypt Secret shop/orders;");
    getSecret = () => Promise.reject(new ApiError(500, "InternalError", "etcd is away"));
    await expect(looked()).rejects.toThrow("etcd is away");
  });
});

describe("an object that fails", () => {
  const ready = () => views.syncs.get(KEY)?.status.conditions?.find(({ type }) => type === "Ready");

  it("by its spec is told once, and asks for nothing until it is another one", async () => {
    const dataFrom = [{ find: { name: { regexp: "(" } } }];
    views.syncs.set(sync({ generation: 2, spec: { data: undefined, dataFrom } }));
    for (let times = 0; times < 2; times++) {
      await looked(true);
      expect(next).toEqual({ kind: "at", at: clock.monotonic() + 300_000, result: "stalled" });
    }
    expect(ready()?.reason).toBe("InvalidSpec");
    expect(events).toEqual(["Warning InvalidSpec"]);
    expect(steps).toEqual([]);
  });

  it("by its provider is tried again as often as it is refreshed, or in five minutes if only a person can help", async () => {
    answer = () => failing("AccessDenied");
    await looked(true);
    expect(next).toEqual({ kind: "backoff", atLeastMs: 0, atMostMs: 60_000 });
    expect([ready()?.reason, events, warned]).toEqual([
      "AccessDenied",
      ["Warning AccessDenied"],
      ["sync failed"],
    ]);
    mayRead = false;
    await looked(true);
    expect(next).toEqual({ kind: "at", at: clock.monotonic() + 300_000, result: "stalled" });
  });

  it("since somebody's Secret is in the way looks at it, and tells whose it is", async () => {
    const { apply } = api;
    api.apply = (...args: Parameters<typeof apply>) =>
      args[2].subresource
        ? apply(...args)
        : Promise.reject(new ApiError(409, "AlreadyExists", "secrets orders already exists"));
    getSecret = () =>
      Promise.resolve({
        metadata: { name: "orders", namespace: "shop", uid: "theirs", resourceVersion: "1" },
      });
    try {
      expect(await looked(true)).toEqual(["look", "values", "look", "status"]);
    } finally {
      api.apply = apply;
    }
    expect(ready()?.reason).toBe("TargetConflict");
    // From now on it is looked at before anything is fetched, soon enough for whoever deletes it.
    expect(await looked(true)).toEqual(["look"]);
    expect(next).toEqual({ kind: "at", at: clock.monotonic() + 60_000, result: "stalled" });
  });

  it("in nothing, while a rollout is under way, is looked at when that would count as stuck", async () => {
    restarts = { ...noRestarts, lookInMs: 5_000 };
    await looked(true);
    expect(next).toEqual({ kind: "at", at: clock.monotonic() + 5_000, result: "success" });
  });

  it("in nothing, and restarts, tells so on the workload too, with what it was for", async () => {
    const metadata = { name: "web", namespace: "shop", uid: "w", resourceVersion: "1" };
    views.workloads.Deployment.set(projectWorkload("Deployment", { metadata }));
    restarts = { ...noRestarts, restarted: ["Deployment/web", "Deployment/gone"] };
    await looked(true);
    expect(events).toEqual([
      "Normal Restarted",
      "Deployment/web: Normal Restarted: restarted, since password of Secret orders changed (SecretSync orders)",
    ]);
  });

  it("only to restart is told as that", async () => {
    restarts = { ...noRestarts, problem: "Deployment/web: no", waiting: "Deployment/api is paused" };
    await looked(true);
    expect(warned).toEqual(["restart failed", "restart waits"]);
    expect(ready()?.reason).toBe("Synced");
  });
});

describe("a request", () => {
  it("looks at the sources exactly, and writes what they hold", async () => {
    await untilInStep();
    await looked();
    const annotations = { "reconcile.secretsync.dev/requestedAt": "now" };
    views.syncs.set(sync({ annotations }));
    expect(await looked()).toEqual(["look", "values", "write", "status"]);
    expect(views.syncs.get(KEY)?.status.lastHandledReconcileAt).toBe("now");
  });
});

describe("a restart that waits", () => {
  it("is come back to in its time, whatever else fails", async () => {
    await untilInStep();
    restarts = { ...noRestarts, retryInMs: 5_000 };
    mayRead = false;
    polling.expire(KEY);
    await looked(true);
    expect(next).toEqual({ kind: "at", at: clock.monotonic() + 5_000, result: "stalled" });
    mayRead = true;
    answer = () => failing("AccessDenied");
    version = "v2";
    await looked(true);
    expect(next).toEqual({ kind: "backoff", atLeastMs: 0, atMostMs: 5_000 });
  });
});

describe("objects that are too large", () => {
  it("are told one at a time, since each status costs the apiserver all of the object", async () => {
    const { apply } = api;
    const { promise: written, resolve: write } = Promise.withResolvers<void>();
    api.apply = async (_type, { metadata }) => {
      steps.push(`status of ${metadata.name}`);
      await written;
      return { metadata: { ...metadata, resourceVersion: nextRevision() } } as never;
    };
    const large = (name: string) => {
      const object = { ...sync(), key: `shop/${name}`, uid: name, tooLarge: 2e6 };
      views.syncs.set({ ...object, metadata: { ...object.metadata, name, uid: name } });
      return reconcile(`shop/${name}`, { look: "ifDue", freshAfter: 0 }, task);
    };
    steps = [];
    const first = large("a");
    try {
      expect(await large("b")).toEqual({ kind: "at", at: clock.monotonic() + 250, result: "stalled" });
      expect(steps).toEqual(["status of a"]);
      write();
      expect(await first).toMatchObject({ at: clock.monotonic() + 300_000 });
      await clock.advance(250);
      expect(await large("b")).toMatchObject({ at: clock.monotonic() + 300_000 });
      expect(steps.filter((step) => step !== "status")).toEqual(["status of a", "status of b"]);
    } finally {
      api.apply = apply;
    }
  });
});

describe("a Secret that somebody changed under the operator's name", () => {
  it("is restored when its values are written again, and that is told; where nobody did, nothing is", async () => {
    await untilInStep();
    steps = [];
    await clock.advance(11 * 60_000);
    expect([steps.includes("write"), warned]).toEqual([true, []]);
    isTampered = true;
    await clock.advance(11 * 60_000);
    expect(warned).toEqual(["restored a Secret that somebody had changed under the operator's name"]);
  });
});
