import { beforeEach, describe, expect, it } from "@jest/globals";
import { DriftTimes } from "../../../src/cluster/drift.ts";
import { outlineOfSync, projectSync, type SyncObject } from "../../../src/cluster/sync-object.ts";
import { newViews, type Views } from "../../../src/cluster/views.ts";
import { newObserver, type Observer } from "../../../src/controllers/secret-sync/observe.ts";
import { ApiError, type KubeApi, type KubeObject } from "../../../src/kube/kube-api.ts";
import { outlineOfTarget, projectSecret } from "../../../src/plan/live-target.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { digestKey } from "../../support/gen.ts";

/** What is known of an object before anything is decided, and what is asked for it. */

let views: Views;
let observer: Observer;
/** What the apiserver is asked, in order. */
let asked: string[];
/** What it has, by kind and name. */
let live: Map<string, KubeObject>;
/** Secrets of a type that is never written. */
let refused: Set<string>;
/** What the apiserver answers instead, by name. */
let broken: Map<string, ApiError>;
let isUnwatched: boolean;
const { signal } = new AbortController();

beforeEach(() => {
  views = newViews({ mostBytes: 1e9, onError: () => undefined, onLeftAlone: () => undefined });
  asked = [];
  live = new Map();
  refused = new Set();
  broken = new Map();
  isUnwatched = false;
  const clock = new FakeClock();
  const api = {
    get: ({ kind }: { kind: string }, name: string) => {
      asked.push(`get ${kind} ${name}`);
      const error = broken.get(name);
      if (error) return Promise.reject(error);
      return Promise.resolve(live.get(`${kind} ${name}`));
    },
    list: ({ kind }: { kind: string }, { fieldSelector = "" }: { fieldSelector?: string }) => {
      asked.push(`list ${kind} ${fieldSelector.split(",")[0]}`);
      const [, name = ""] = /metadata.name=([^,]+)/.exec(fieldSelector) ?? [];
      const found =
        fieldSelector.includes("type!=") && refused.has(name) ? undefined : live.get(`${kind} ${name}`);
      return Promise.resolve({ metadata: {}, items: found ? [found] : null });
    },
  } as unknown as KubeApi;
  observer = newObserver({
    api,
    views,
    clock,
    digestKey: () => digestKey,
    leastRefreshMs: 0,
    drift: new DriftTimes(clock),
    isUnwatched: () => isUnwatched,
  });
});

let revision = 0;
const syncOf = (
  name: string,
  { target, uid = `uid-${name}`, status }: { target?: object; uid?: string; status?: object } = {},
): SyncObject =>
  projectSync({
    metadata: {
      name,
      namespace: "shop",
      uid,
      resourceVersion: String(++revision),
      creationTimestamp: `2026-05-01T00:00:${String(revision).padStart(2, "0")}Z`,
    },
    spec: {
      providerRef: { name: "aws" },
      data: [{ secretKey: "password", remoteRef: { key: "prod/db" } }],
      ...(target ? { target } : {}),
    },
    status,
  } as KubeObject);

const secretOf = (
  name: string,
  more: { uid?: string; managed?: boolean; managers?: readonly string[]; data?: Record<string, string> } = {},
): KubeObject => ({
  metadata: {
    name,
    namespace: "shop",
    uid: more.uid ?? `uid-of-${name}`,
    resourceVersion: String(++revision),
    labels: more.managed === false ? {} : { "secretsync.dev/managed": "true" },
    managedFields: (more.managers ?? []).map((manager) => ({
      manager,
      operation: "Apply",
      fieldsV1: { "f:data": { [`f:${manager}`]: {} } },
    })),
  },
  ...(more.data ? { data: more.data } : {}),
});

async function observe(object: SyncObject, look = false) {
  const parsed = observer.parse(object);
  if (!parsed.ok) throw new Error(parsed.failure.message);
  asked = [];
  return observer.observe(object, parsed.value, look, signal);
}

describe("an object", () => {
  it("of which only an outline is kept is read again, and kept whole for a while", async () => {
    const whole = syncOf("a");
    views.syncs.set(outlineOfSync(whole));
    live.set("SecretSync a", {
      metadata: { name: "a", namespace: "shop", uid: whole.uid, resourceVersion: whole.resourceVersion },
      spec: whole.spec,
    } as KubeObject);
    const outline = views.syncs.get("shop/a") as SyncObject;
    const read = await observer.whole(outline, signal);
    expect(read?.spec).toEqual(whole.spec);
    expect(asked).toEqual(["list SecretSync metadata.name=a"]);
    expect(await observer.whole(whole, signal)).toBe(whole);
  });

  it("that is another one by now is left to the watch", async () => {
    const outline = outlineOfSync(syncOf("a"));
    expect(await observer.whole(outline, signal)).toBeUndefined();
    live.set("SecretSync a", { metadata: { name: "a", namespace: "shop", uid: "another" } });
    expect(await observer.whole(outline, signal)).toBeUndefined();
  });

  it("has its spec checked once for each version, until it is forgotten", () => {
    const object = syncOf("a");
    const parsed = observer.parse(object);
    expect(observer.parse(object)).toBe(parsed);
    observer.forget(object);
    expect(observer.parse(object)).not.toBe(parsed);
  });
});

describe("its Secret", () => {
  it("is looked for among all Secrets only when there is reason to", async () => {
    const object = syncOf("a");
    live.set("Secret a", secretOf("a", { managed: false }));
    expect((await observe(object)).target).toBeUndefined();
    expect(asked).toEqual([]);
    expect((await observe(object, true)).target?.managed).toBe(false);
    expect(asked).toEqual(["get Secret a"]);
    views.secrets.set(projectSecret(secretOf("a")));
    expect((await observe(object, true)).target?.managed).toBe(true);
    expect(asked).toEqual([]);
  });

  it("of which only an outline is kept is read again; another one of that name isn't it", async () => {
    const secret = secretOf("a", { managers: ["secretsync"] });
    views.secrets.set(outlineOfTarget(projectSecret(secret)));
    live.set("Secret a", secret);
    expect((await observe(syncOf("a"))).target?.owned).toHaveProperty("secretsync");
    expect(asked).toEqual(["get Secret a"]);
    views.secrets.set(outlineOfTarget(projectSecret(secretOf("b", { uid: "old" }))));
    live.set("Secret b", secretOf("b", { uid: "new" }));
    expect((await observe(syncOf("b"))).target).toBeUndefined();
  });

  it("that an earlier spec named is known as long as it is there", async () => {
    const object = syncOf("a", { status: { secretRef: { name: "before" } } });
    expect((await observe(object)).abandoned).toBeUndefined();
    views.secrets.set(projectSecret(secretOf("before")));
    expect((await observe(object)).abandoned?.name).toBe("before");
    isUnwatched = true;
    live.set("Secret before", secretOf("before"));
    expect((await observe(object)).abandoned?.name).toBe("before");
    broken.set("before", new ApiError(500, "InternalError", "corrupt object, Key: /secrets/shop/before"));
    expect((await observe(object)).abandoned).toBeUndefined();
    broken.set("before", new ApiError(503, "Unavailable", "later"));
    await expect(observe(object)).rejects.toThrow("later");
    isUnwatched = false;
    const same = syncOf("before", { status: { secretRef: { name: "before" } } });
    expect((await observe(same)).abandoned).toBeUndefined();
  });

  it("tells values of the keys that are asked for, and none once it was replaced", async () => {
    const secret = secretOf("a", { data: { one: "MQ==", two: "Mg==" } });
    live.set("Secret a", secret);
    const target = projectSecret(secret);
    const values = await observer.liveValues(target, new Set(["two", "three"]), signal);
    expect([...values].map(([key, value]) => [key, value.reveal().toString()])).toEqual([["two", "2"]]);
    live.set("Secret a", secretOf("a", { uid: "another", data: { two: "Mg==" } }));
    expect(await observer.liveValues(target, new Set(["two"]), signal)).toEqual(new Map());
    live.clear();
    expect(await observer.liveValues(target, new Set(["two"]), signal)).toEqual(new Map());
  });
});

describe("a Secret that keys are merged into", () => {
  const merge = { target: { name: "theirs", creationPolicy: "Merge" } };

  it("is always looked for, and its type asked for once", async () => {
    live.set("Secret theirs", secretOf("theirs", { managed: false }));
    const object = syncOf("a", merge);
    expect((await observe(object)).targetRefused).toBe(false);
    expect(asked).toEqual(["get Secret theirs", "list Secret metadata.name=theirs"]);
    expect((await observe(object)).targetRefused).toBe(false);
    expect(asked).toEqual(["get Secret theirs"]);
  });

  it("may be of a type that nobody writes, or may be replaced while its type is asked for", async () => {
    live.set("Secret theirs", secretOf("theirs", { managed: false }));
    refused.add("theirs");
    expect((await observe(syncOf("a", merge))).targetRefused).toBe(true);
    refused.clear();
    views.secrets.set(projectSecret(secretOf("theirs", { uid: "old" })));
    expect((await observe(syncOf("a", merge))).targetRefused).toBe(false);
    // The type was that of another Secret, so it is asked for again.
    await observe(syncOf("a", merge));
    expect(asked).toEqual(["list Secret metadata.name=theirs"]);
  });

  it("isn't asked for its type when it isn't there", async () => {
    const { target, targetRefused, targetUnseen } = await observe(syncOf("a", merge));
    expect([target, targetRefused, targetUnseen]).toEqual([undefined, false, true]);
    expect(asked).toEqual(["get Secret theirs"]);
  });
});

describe("others that write the same Secret", () => {
  it("are the SecretSyncs that still merge into it, and the one that writes it as a whole", async () => {
    const merging = (name: string) => syncOf(name, { target: { name: "db", creationPolicy: "Merge" } });
    const [one, two] = [merging("one"), merging("two")];
    const whole = syncOf("db");
    for (const object of [one, two, whole]) views.syncs.set(object);
    const managers = [
      "secretsync",
      "secretsync-merge-uid-one",
      "secretsync-merge-uid-two",
      "secretsync-merge-uid-gone",
    ];
    views.secrets.set(projectSecret(secretOf("db", { managers })));
    expect((await observe(one)).otherManagers).toEqual(["secretsync", "secretsync-merge-uid-two"]);
    expect((await observe(whole)).otherManagers).toEqual([
      "secretsync-merge-uid-one",
      "secretsync-merge-uid-two",
    ]);
    views.syncs.delete("shop/db", whole.uid);
    expect((await observe(two)).otherManagers).toEqual(["secretsync-merge-uid-one"]);
  });

  it("win when they are older", async () => {
    const older = syncOf("older", { target: { name: "db" } });
    const younger = syncOf("db");
    for (const object of [older, younger]) views.syncs.set(object);
    expect((await observe(older)).winner).toBeUndefined();
    expect((await observe(younger)).winner).toBe("older");
  });
});
