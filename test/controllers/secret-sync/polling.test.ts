import { beforeEach, describe, expect, it } from "@jest/globals";
import { parseSync } from "../../../src/api/secret-sync-bounds.ts";
import { Freshness } from "../../../src/controllers/secret-sync/freshness.ts";
import { newPolling, type InStep, type Polling } from "../../../src/controllers/secret-sync/polling.ts";
import { projectSync, type SyncObject } from "../../../src/cluster/sync-object.ts";
import { newViews, type Views } from "../../../src/cluster/views.ts";
import { PollingFeed } from "../../../src/feeds/polling.ts";
import type { KubeObject } from "../../../src/kube/kube-api.ts";
import type { LiveTarget } from "../../../src/plan/live-target.ts";
import { contentFingerprint, sourcesOf } from "../../../src/plan/sources.ts";
import { FakeClock } from "../../support/fake-clock.ts";

/** Who looks after an object, and that what is known of it goes along. */

const KEY = "shop/orders";
let clock: FakeClock;
let views: Views;
let freshness: Freshness;
let feed: PollingFeed;
let polling: Polling;
let room: number;

const syncOf = (more: { generation?: number; uid?: string; requestedAt?: string; spec?: object } = {}) =>
  projectSync({
    metadata: {
      name: "orders",
      namespace: "shop",
      uid: more.uid ?? "u",
      generation: more.generation ?? 1,
      resourceVersion: "1",
      annotations: more.requestedAt ? { "reconcile.secretsync.dev/requestedAt": more.requestedAt } : {},
    },
    spec: {
      providerRef: { name: "aws" },
      refreshInterval: "1m",
      data: [{ secretKey: "password", remoteRef: { key: "prod/db" } }],
      ...more.spec,
    },
  } as unknown as KubeObject);

function inStep(object: SyncObject, more: Partial<InStep> = {}): InStep {
  const parsed = parseSync(object.spec, 0);
  if (!parsed.ok) throw new Error("the spec is wrong");
  const sources = sourcesOf(parsed.value);
  const versions = new Map(sources.map(({ id }) => [id, "v1"]));
  return {
    spec: parsed.value,
    sources,
    versions,
    left: undefined,
    version: contentFingerprint(parsed.value, versions),
    target: { resourceVersion: "7" } as LiveTarget,
    ...more,
  };
}

/** As a look leaves it that found everything in step. */
function looked(key = KEY, nextRotation?: number): void {
  const fresh = { uid: "u", generation: 1, requestedAt: undefined, until: clock.monotonic() + 60_000 };
  freshness.succeeded(key, fresh, { nextRotation, verified: true }, freshness.epoch(key));
}

beforeEach(() => {
  clock = new FakeClock();
  room = 1e6;
  freshness = new Freshness(clock);
  views = newViews({ mostBytes: 1e9, onError: () => undefined, onLeftAlone: () => undefined });
  start();
});

function start(): void {
  feed = new PollingFeed({
    clock,
    open: () =>
      Promise.resolve({
        news: <K>() => Promise.resolve<readonly K[]>([]),
        nextRotation: () => 9_000,
      }),
    isAsLeft: () => true,
    onNews: () => undefined,
    onPolled: () => undefined,
    onFailed: ({ error }) => {
      throw error;
    },
    mostBytes: room,
  });
  polling = newPolling({ feed, freshness, views, clock, leastRefreshMs: 0 });
}

describe("an object in step", () => {
  it("is given to polling, which then knows what freshness knew", async () => {
    const object = syncOf();
    views.syncs.set(object);
    looked();
    const givenAt = clock.now() / 1000;
    expect(polling.give(object, inStep(object))).toBe(true);
    expect(freshness.exactAt(KEY)).toBeUndefined();
    expect(polling.lastSuccess(KEY)).toBe(givenAt);
    await clock.advance(70_000);
    expect(polling.lastSuccess(KEY)).toBeGreaterThan(givenAt);
    expect(polling.nextRotation(KEY)).toBe(9_000);
  });

  it("is taken with what polling knew, so that nothing need be looked at before its time", async () => {
    const object = syncOf({ requestedAt: "now" });
    views.syncs.set(object);
    looked();
    const exactAt = freshness.exactAt(KEY);
    polling.give(object, inStep(object));
    await clock.advance(70_000);
    const lastSuccess = polling.lastSuccess(KEY);
    const left = polling.take(KEY);
    expect(feed.has(KEY)).toBe(false);
    expect(freshness.freshUntil(KEY, { uid: "u", generation: 1, requestedAt: "now" })).toBe(left?.dueAt);
    expect(freshness.freshUntil(KEY, { uid: "u", generation: 2, requestedAt: "now" })).toBeUndefined();
    expect(freshness.exactAt(KEY)).toBe(exactAt);
    expect([polling.lastSuccess(KEY), polling.nextRotation(KEY)]).toEqual([lastSuccess, 9_000]);
    expect(polling.take(KEY)).toBeUndefined();
    // And goes back without a look at its sources.
    expect(polling.give(object, inStep(object, { versions: undefined, left }))).toBe(true);
  });

  it.each<[string, (object: SyncObject) => Partial<InStep> | void]>([
    ["nobody knows its versions", () => ({ versions: undefined })],
    ["its record was made from other versions", () => ({ version: "another" })],
    ["one of its versions isn't known", () => ({ versions: new Map() })],
    [
      "it is never refreshed",
      (object) => ({ spec: { ...inStep(object).spec, refreshInterval: 0 } as never }),
    ],
    [
      "it was edited meanwhile",
      () => views.syncs.set({ ...syncOf({ generation: 2 }), resourceVersion: "2" }),
    ],
    [
      "it was asked for meanwhile",
      () => views.syncs.set({ ...syncOf({ requestedAt: "x" }), resourceVersion: "2" }),
    ],
    ["another one has its name", () => views.syncs.set(syncOf({ uid: "v" }))],
    ["it is gone", () => views.syncs.delete(KEY, "u")],
    ["its provider changed meanwhile", () => polling.expire(KEY)],
    ["it was never looked at exactly", () => freshness.forget(KEY)],
    ["there is no room", () => ((room = 0), start())],
  ])("looks after itself when %s", (_what, spoil) => {
    const object = syncOf();
    views.syncs.set(object);
    looked();
    const more = spoil(object) ?? {};
    expect(polling.give(object, inStep(object, more))).toBe(false);
    expect(feed.size).toBe(0);
  });

  it("needs a look when what it depends on changes, and is forgotten when it is gone", () => {
    const object = syncOf();
    views.syncs.set(object);
    looked();
    polling.give(object, inStep(object));
    polling.expire(KEY);
    expect(feed.has(KEY)).toBe(false);
    expect(freshness.mustLook(KEY)).toBe(true);
    looked();
    polling.give(object, inStep(object));
    polling.forget(KEY);
    expect(feed.has(KEY)).toBe(false);
    expect(polling.lastSuccess(KEY)).toBeUndefined();
  });

  it("is overdue once, whoever looks after it", async () => {
    const object = syncOf();
    views.syncs.set(object);
    looked();
    polling.give(object, inStep(object));
    looked("shop/alone");
    feed.close();
    expect(polling.overdueCount([])).toBe(0);
    await clock.advance(300_000);
    // It waits in the queue, too.
    expect(polling.overdueCount([KEY])).toBe(2);
    expect(polling.overdueCount([KEY, "shop/new"])).toBe(3);
  });
});
