import { beforeEach, describe, expect, it } from "@jest/globals";
import { DriftTimes } from "../../../src/cluster/drift.ts";
import { namespaceOf, projectSync } from "../../../src/cluster/sync-object.ts";
import { newViews, projectNamespace, projectProvider, type Views } from "../../../src/cluster/views.ts";
import { lanes, queuePolicy, type Lane } from "../../../src/controllers/secret-sync/lanes.ts";
import { connectTriggers } from "../../../src/controllers/secret-sync/triggers.ts";
import type { KubeObject } from "../../../src/kube/kube-api.ts";
import { projectSecret } from "../../../src/plan/live-target.ts";
import { projectWorkload, type WorkloadObject } from "../../../src/rollout/workload.ts";
import { WorkQueue } from "../../../src/runtime/work-queue.ts";
import { FakeClock } from "../../support/fake-clock.ts";

/** Which change makes which SecretSync due, in which lane, and how often. */

let clock: FakeClock;
let views: Views;
let queue: WorkQueue<Lane>;
let drift: DriftTimes;
let expired: string[];
let forgotten: string[];
let revision: number;

beforeEach(() => {
  clock = new FakeClock();
  views = newViews({
    mostBytes: 1e9,
    onError: (_kind, error) => {
      throw error;
    },
    onLeftAlone: () => undefined,
  });
  queue = new WorkQueue({ ...queuePolicy(4), shareOf: namespaceOf, clock, random: () => 0.5 });
  drift = new DriftTimes(clock);
  expired = [];
  forgotten = [];
  revision = 0;
  const polling = {
    expire: (key: string) => void expired.push(key),
    forget: (key: string) => void forgotten.push(key),
  };
  connectTriggers(views, queue, polling, clock, 0, drift);
});

const next = () => String(++revision);

interface SyncParts {
  readonly uid?: string;
  readonly generation?: number;
  readonly requestedAt?: string;
  readonly deleted?: boolean;
  readonly isKnown?: boolean;
  readonly spec?: object;
}
const sync = (name: string, parts: SyncParts = {}) =>
  views.syncs.set(
    projectSync({
      metadata: {
        name,
        namespace: "shop",
        uid: parts.uid ?? name,
        resourceVersion: next(),
        generation: parts.generation ?? 1,
        ...(parts.deleted ? { deletionTimestamp: "2026-05-01T00:00:00Z" } : {}),
        ...(parts.requestedAt
          ? { annotations: { "reconcile.secretsync.dev/requestedAt": parts.requestedAt } }
          : {}),
      },
      spec: {
        providerRef: { name: "aws" },
        data: [{ secretKey: "a", remoteRef: { key: "k" } }],
        ...parts.spec,
      },
      status: parts.isKnown ? { conditions: [] } : {},
    } as unknown as KubeObject),
  );
const secret = (
  name: string,
  owner: string | undefined,
  more: { data?: string; origin?: "watch" | "own"; created?: boolean } = {},
) =>
  views.secrets.set(
    projectSecret({
      metadata: {
        name,
        namespace: "shop",
        uid: `secret ${name}`,
        resourceVersion: next(),
        labels: { "secretsync.dev/managed": "true" },
        annotations: owner === undefined ? {} : { "secretsync.dev/owner": owner },
        managedFields: [
          { manager: "secretsync", operation: "Apply", fieldsV1: { "f:data": { "f:a": {} } } },
          ...(more.data
            ? [{ manager: more.data, operation: "Update", fieldsV1: { "f:data": { "f:b": {} } } }]
            : []),
        ],
      },
    }),
    more.origin,
  );
const deployment = (name: string, secretName: string, more: { replicas?: number; image?: string } = {}) =>
  views.workloads.Deployment.set(
    projectWorkload("Deployment", {
      metadata: { name, namespace: "shop", uid: name, resourceVersion: next() },
      spec: {
        replicas: more.replicas ?? 1,
        selector: { matchLabels: { app: name } },
        template: {
          spec: {
            containers: [
              { name: "c", image: more.image ?? "i", envFrom: [{ secretRef: { name: secretName } }] },
            ],
          },
        },
      },
    } as unknown as WorkloadObject),
  );

/** What is due now, by lane; it is handed out, so that the next look sees only what is new. */
async function due(): Promise<string[]> {
  const found: string[] = [];
  for (;;) {
    const waiting = [...queue.depth()].reduce((sum, [, count]) => sum + count, 0);
    if (waiting === 0) return found.sort();
    const taken = (await queue.take())!;
    found.push(`${taken.lane} ${taken.key}`);
    queue.done(taken.key);
  }
}

describe("a SecretSync", () => {
  it("is due when it comes, when its spec changes, when it is asked for, and when it is to be deleted", async () => {
    const steps: [string, () => void, string[]][] = [
      ["it comes", () => sync("a"), ["new shop/a"]],
      ["nothing of it changes", () => sync("a"), []],
      ["its status changes", () => sync("a", { isKnown: true }), []],
      ["its spec changes", () => sync("a", { generation: 2 }), ["edit shop/a"]],
      ["it is asked for", () => sync("a", { generation: 2, requestedAt: "1" }), ["edit shop/a"]],
      ["it was asked for", () => sync("a", { generation: 2, requestedAt: "1" }), []],
      [
        "it is to be deleted",
        () => sync("a", { generation: 2, requestedAt: "1", deleted: true }),
        ["edit shop/a"],
      ],
      ["another one has its name", () => sync("a", { uid: "other" }), ["new shop/a"]],
      ["it is there since before the start", () => sync("b", { isKnown: true }), ["edit shop/b"]],
    ];
    for (const [what, change, expected] of steps) {
      change();
      expect([what, await due()]).toEqual([what, expected]);
    }
    expect(forgotten).toEqual(["shop/a"]);
  });

  it("that is gone is due no more, and forgotten", async () => {
    sync("a");
    views.syncs.delete("shop/a", "a");
    expect(await due()).toEqual([]);
    expect(forgotten).toEqual(["shop/a"]);
  });

  it("that gives up a Secret wakes who waits for it", async () => {
    const target = { target: { name: "shared" } };
    sync("a", { spec: target });
    sync("b", { spec: target });
    secret("shared", "a");
    await due();
    sync("a", { generation: 2, spec: { target: { name: "own" } } });
    expect(await due()).toEqual(["edit shop/a", "edit shop/b"]);
    sync("a", { generation: 3, spec: target });
    await due();
    views.syncs.delete("shop/a", "a");
    expect(await due()).toEqual(["edit shop/b"]);
  });

  it("is edited and asked for at once some times, and then from time to time", async () => {
    sync("a");
    await due();
    const served = async (change: (turn: number) => void, seconds: number) => {
      let count = 0;
      for (let turn = 0; turn < seconds; turn++) {
        change(turn);
        count += (await due()).length;
        await clock.advance(1_000);
      }
      return count;
    };
    const edits = await served((turn) => sync("a", { generation: 10 + turn }), 100);
    // 30 at once, and one each five seconds.
    expect(edits).toBeGreaterThanOrEqual(45);
    expect(edits).toBeLessThanOrEqual(52);
    const requests = await served((turn) => sync("a", { generation: 200, requestedAt: `r${turn}` }), 100);
    // Five at once, and one each ten seconds.
    expect(requests).toBeGreaterThanOrEqual(13);
    expect(requests).toBeLessThanOrEqual(18);
  });
});

describe("what a SecretSync depends on", () => {
  beforeEach(async () => {
    sync("a");
    sync("b", { spec: { providerRef: { kind: "ClusterSecretProvider", name: "aws" } } });
    await due();
  });

  it("is its provider: another one, another spec, none", async () => {
    const provider = (generation: number, uid = "p") =>
      views.providers.set(
        projectProvider({
          metadata: { name: "aws", namespace: "shop", uid, generation, resourceVersion: next() },
        }),
      );
    const steps: [string, () => void, string[]][] = [
      ["it comes", () => provider(1), ["edit shop/a"]],
      ["the same again", () => provider(1), []],
      ["another spec", () => provider(2), ["edit shop/a"]],
      ["another one", () => provider(2, "q"), ["edit shop/a"]],
      ["none", () => views.providers.delete("shop/aws", "q"), ["edit shop/a"]],
    ];
    for (const [what, change, expected] of steps) {
      change();
      expect([what, await due()]).toEqual([what, expected]);
    }
    views.clusterProviders.set(
      projectProvider({
        metadata: { name: "aws", uid: "c", generation: 1, resourceVersion: next() },
      }),
    );
    expect(await due()).toEqual(["edit shop/b"]);
    expect(expired).toEqual(["shop/a", "shop/a", "shop/a", "shop/a", "shop/b"]);
  });

  it("is its provider, which may be edited without end, and wakes nobody who is suspended", async () => {
    sync("asleep", { spec: { providerRef: { name: "aws" }, suspend: true } });
    await due();
    const edit = (generation: number) =>
      views.providers.set(
        projectProvider({
          metadata: { name: "aws", namespace: "shop", uid: "p", generation, resourceVersion: next() },
        }),
      );
    for (let generation = 1; generation <= 200; generation++) edit(generation);
    expect(expired).toEqual(Array.from({ length: 30 }, () => "shop/a"));
    expect(await due()).toEqual(["edit shop/a"]);
    // The last edit isn't lost.
    await clock.advance(5_000);
    expect(expired).toHaveLength(31);
    expect(await due()).toEqual(["edit shop/a"]);
  });

  it("is its namespace's labels", async () => {
    const namespace = (name: string, labels: Record<string, string>) =>
      views.namespaces.set(
        projectNamespace({ metadata: { name, uid: name, resourceVersion: next(), labels } }),
      );
    const steps: [string, () => void, string[]][] = [
      ["it comes", () => namespace("shop", {}), ["edit shop/a", "edit shop/b"]],
      ["the same again", () => namespace("shop", {}), []],
      ["a label", () => namespace("shop", { team: "x" }), ["edit shop/a", "edit shop/b"]],
      ["another namespace", () => namespace("other", { team: "x" }), []],
    ];
    for (const [what, change, expected] of steps) {
      change();
      expect([what, await due()]).toEqual([what, expected]);
    }
  });
});

describe("its Secret", () => {
  beforeEach(async () => {
    sync("a");
    secret("a", "a", { origin: "watch" });
    await due();
  });

  it("changed or deleted by somebody makes it due, a deletion first of all; its own writes don't", async () => {
    secret("a", "a", { data: "kubectl" });
    expect(await due()).toEqual(["edit shop/a"]);
    expect(drift.since("shop/a")).toBeDefined();
    secret("a", "a", { origin: "own" });
    expect(await due()).toEqual([]);
    expect(drift.since("shop/a")).toBeUndefined();
    views.secrets.delete("shop/a", "secret a");
    expect(await due()).toEqual(["new shop/a"]);
  });

  it("of which somebody makes a war is answered later and later", async () => {
    let answered = 0;
    for (let turn = 0; turn < 60; turn++) {
      secret("a", "a", { data: `kubectl-${turn}` });
      answered += (await due()).length;
      await clock.advance(1_000);
    }
    expect(answered).toBeGreaterThanOrEqual(5);
    expect(answered).toBeLessThan(20);
  });

  it("of nobody's concern wakes nobody", async () => {
    secret("other", "somebody");
    expect(await due()).toEqual([]);
  });
});

describe("a workload", () => {
  beforeEach(async () => {
    sync("a");
    secret("a", "a");
    await due();
  });

  it("that consumes the Secret makes it due when it comes or consumes otherwise, and not by anything else", async () => {
    const steps: [string, () => void, string[]][] = [
      ["it comes", () => deployment("web", "a"), ["edit shop/a"]],
      ["it is scaled", () => deployment("web", "a", { replicas: 5 }), []],
      ["it has another image", () => deployment("web", "a", { image: "j" }), []],
      ["it consumes another", () => deployment("web", "b"), []],
      ["it consumes this one again", () => deployment("web", "a"), ["edit shop/a"]],
      ["it goes", () => views.workloads.Deployment.delete("shop/web", "web"), []],
    ];
    for (const [what, change, expected] of steps) {
      change();
      expect([what, await due()]).toEqual([what, expected]);
    }
  });

  it("that is rewritten without end makes it due from time to time", async () => {
    let count = 0;
    for (let turn = 0; turn < 100; turn++) {
      deployment("web", turn % 2 ? "b" : "a");
      count += (await due()).length;
      await clock.advance(200);
    }
    // Ten at once, and one each two seconds.
    expect(count).toBeGreaterThanOrEqual(10);
    expect(count).toBeLessThanOrEqual(22);
  });
});

describe("lanes", () => {
  it("are served in their order", () =>
    expect(lanes).toEqual(["new", "edit", "event", "periodic", "failing"]));
});
