import { beforeEach, describe, expect, it } from "@jest/globals";
import { newApplier } from "../../src/controller/apply.ts";
import { newDecider } from "../../src/controller/decide.ts";
import { DriftTimes } from "../../src/controller/drift.ts";
import { newFetcher } from "../../src/controller/fetch.ts";
import { Freshness } from "../../src/controller/freshness.ts";
import { newGatherer } from "../../src/controller/gather.ts";
import type { AccessResult } from "../../src/controller/provider-access.ts";
import { newQuietRefresh } from "../../src/controller/quiet.ts";
import { newReconciler, type Next } from "../../src/controller/reconciler.ts";
import { newStatusWriter } from "../../src/controller/report.ts";
import type { Restarts } from "../../src/controller/restart.ts";
import { projectSync, type SyncObject } from "../../src/controller/sync-object.ts";
import { newViews, type Views } from "../../src/controller/views.ts";
import type { KubeApi, KubeObject } from "../../src/kube/kube-api.ts";
import { projectSecret } from "../../src/plan/live-target.ts";
import { noLogger } from "../support/no-logger.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { appliedObject, digestKey, found } from "../support/gen.ts";

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
let reconcile: ReturnType<typeof newReconciler>;

const KEY = "shop/orders";
const noRestarts: Restarts = { restarted: [], problem: undefined, waiting: undefined, retryInMs: 0 };
let revision = 0;
const nextRevision = () => String(++revision);

/** The apiserver, as far as it takes writes. */
const api = {
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
  restarts = noRestarts;
  steps = [];
  const client = {
    version: () => {
      steps.push("versions");
      return Promise.resolve({ kind: "found", versionId: version, versionStages: ["AWSCURRENT"] });
    },
    value: () => {
      steps.push("values");
      return Promise.resolve(found(version, version));
    },
    nextRotation: () => undefined,
    place: "a fake",
  };
  const fetcher = newFetcher(() =>
    Promise.resolve({
      ok: true,
      access: { client, mayRead: () => mayRead, mayReadAny: true },
    } as unknown as AccessResult),
  );
  const drift = new DriftTimes(clock);
  const gatherer = newGatherer({ api, views, clock, digestKey: () => digestKey, leastRefreshMs: 0, drift });
  reconcile = newReconciler({
    views,
    clock,
    log: noLogger,
    freshness,
    quiet: newQuietRefresh({ views, freshness, fetcher, clock, leastRefreshMs: 0 }),
    gatherer: {
      ...gatherer,
      gather: (...args) => {
        steps.push("look");
        return gatherer.gather(...args);
      },
    },
    decide: newDecider({ fetcher, freshness, clock, liveValues: () => Promise.resolve(new Map()) }),
    apply: newApplier(api, views, clock, () => steps.push("write")),
    adopt: () => Promise.resolve(),
    restart: () => Promise.resolve(restarts),
    writeStatus: newStatusWriter(api, views, () => steps.push("status"), {
      failed: () => undefined,
      works: () => undefined,
    }),
    recordEvent: () => Promise.resolve(),
    onChange: () => undefined,
  });
  views.syncs.set(sync());
});

const task = {
  limit: { signal: new AbortController().signal, pause: () => undefined, resume: () => undefined },
  free: () => undefined,
};

/** What the next refresh takes. */
async function refreshed(refresh = true): Promise<readonly string[]> {
  steps = [];
  await clock.advance(60_000);
  await reconcile(KEY, { refresh, freshAfter: clock.monotonic() }, task);
  return steps;
}

/** Until a refresh needs nothing but the question. */
async function untilQuiet(): Promise<void> {
  expect(await refreshed()).toEqual(["look", "values", "write", "status"]);
  expect(await refreshed()).toEqual(["look", "versions"]);
  expect(await refreshed()).toEqual(["versions"]);
}

describe("a refresh of what is in step", () => {
  it("asks for versions and nothing else, and comes back at its time", async () => {
    await untilQuiet();
    steps = [];
    const next: Next = await reconcile(KEY, { refresh: true, freshAfter: clock.monotonic() }, task);
    expect(next).toMatchObject({ kind: "at", result: "success" });
    expect(next.kind === "at" && next.at - clock.monotonic()).toBeGreaterThan(0);
    expect(freshness.lastSuccess(KEY)).toBe(clock.now() / 1000);
    expect(freshness.freshUntil(KEY, { uid: "u", generation: 1, requestedAt: undefined })).toBe(
      next.kind === "at" && next.at,
    );
  });

  it("looks at all of it when there is another version, and is quiet again after that", async () => {
    await untilQuiet();
    version = "v2";
    expect(await refreshed()).toEqual(["versions", "look", "versions", "values", "write", "status"]);
    expect(await refreshed()).toEqual(["look", "versions"]);
    expect(await refreshed()).toEqual(["versions"]);
  });

  it.each<[string, () => void]>([
    ["spec", () => views.syncs.set(sync({ generation: 2, spec: { refreshInterval: "2m" } }))],
    ["object", () => views.syncs.set(sync({ annotations: { other: "x" } }))],
    [
      "Secret",
      () => {
        const secret = views.secrets.get(KEY)!;
        views.secrets.set({ ...secret, resourceVersion: nextRevision(), owned: {} });
      },
    ],
    ["provider, or what it lets be read", () => freshness.expire(KEY)],
  ])("looks at all of it when its %s changed", async (_what, change) => {
    await untilQuiet();
    change();
    expect((await refreshed())[0]).toBe("look");
  });

  it("looks at all of it when it may no longer be read, and tells", async () => {
    await untilQuiet();
    mayRead = false;
    expect(await refreshed()).toEqual(["look", "status"]);
    expect(views.syncs.get(KEY)?.status.conditions).toContainEqual(
      expect.objectContaining({ type: "Ready", reason: "KeyNotAllowed" }),
    );
  });

  it("looks at all of it when something else made it due, and when ten minutes have passed", async () => {
    await untilQuiet();
    expect(await refreshed(false)).toContain("look");
    await untilQuietAgain();
    await clock.advance(10 * 60_000);
    expect(await refreshed()).toEqual(["look", "versions"]);
  });

  it.each<[string, Partial<Restarts>]>([
    ["a restart waits", { waiting: "Deployment/web is paused" }],
    ["a restart failed", { problem: "Deployment/web: no" }],
    ["pods could not be looked at yet", { retryInMs: 50 }],
  ])("is never quiet while %s", async (_what, more) => {
    restarts = { ...noRestarts, ...more };
    for (let round = 0; round < 4; round++) expect(await refreshed()).toContain("look");
  });

  it("is told whoever deletes and makes the object anew", async () => {
    await untilQuiet();
    const { uid } = views.syncs.get(KEY)!;
    views.syncs.delete(KEY, uid);
    await reconcile(KEY, { refresh: true, freshAfter: clock.monotonic() }, task);
    views.syncs.set(sync());
    expect((await refreshed())[0]).toBe("look");
  });
});

async function untilQuietAgain(): Promise<void> {
  await refreshed();
  expect(await refreshed()).toEqual(["versions"]);
}
