import { describe, expect, it } from "@jest/globals";
import type { KubeObject } from "../../src/kube/kube-api.ts";
import { planDoubt, planRestart } from "../../src/rollout/plan-restart.ts";
import { digestContent, type ContentRecord } from "../../src/plan/digest.ts";
import { outlineOfWorkload, projectWorkload, type Workload } from "../../src/rollout/workload.ts";
import { digestKey, specOf, value } from "../support/gen.ts";

/** What is kept of a workload, within bounds, whatever somebody wrote into it. */

const project = (more: { metadata?: object; spec?: object; status?: object } = {}): Workload =>
  projectWorkload("Deployment", {
    metadata: { name: "web", namespace: "shop", uid: "u", resourceVersion: "1", ...more.metadata },
    spec: more.spec,
    status: more.status,
  } as KubeObject);
const noted = (text: string): object => ({ metadata: { annotations: { "secretsync.dev/consumed": text } } });
const selecting = (selector: object): object => ({ spec: { selector } });

describe("the selector of a workload's pods", () => {
  it.each<[string, object, string | undefined]>([
    ["labels", { matchLabels: { app: "web", tier: "a" } }, "app=web,tier=a"],
    ["In", { matchExpressions: [{ key: "t", operator: "In", values: ["a", "b"] }] }, "t in (a,b)"],
    ["NotIn", { matchExpressions: [{ key: "t", operator: "NotIn", values: ["a"] }] }, "t notin (a)"],
    ["Exists", { matchExpressions: [{ key: "t", operator: "Exists" }] }, "t"],
    ["DoesNotExist", { matchExpressions: [{ key: "t", operator: "DoesNotExist" }] }, "!t"],
    ["none, which would be all pods", {}, undefined],
    ["the longest", { matchLabels: { a: "x".repeat(1_022) } }, `a=${"x".repeat(1_022)}`],
    ["one that is longer", { matchLabels: { a: "x".repeat(1_023) } }, undefined],
  ])("of %s", (_what, selector, expected) => {
    expect(project(selecting(selector)).selector).toBe(expected);
  });
});

describe("a note on a workload", () => {
  const slots = (count: number) =>
    JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, index) => [`s${index}`, ""])));

  it("is kept with 128 names, and no longer than 16 KiB", () => {
    expect(project(noted(slots(128))).consumed).toBe(slots(128));
    expect(project(noted(slots(129))).consumed).toBeUndefined();
    expect(project(noted("x".repeat(16_384))).consumed).toHaveLength(16_384);
    expect(project(noted("x".repeat(16_385))).consumed).toBeUndefined();
    expect(project().consumed).toBeUndefined();
  });

  it("weighs with each name that it has, beyond what is usual", () => {
    expect(project(noted(slots(5))).weight).toBe(0);
    const [fewer, more] = [project(noted(slots(40))).weight, project(noted(slots(80))).weight];
    expect(fewer).toBeGreaterThan(40 * 400 - 5_120);
    expect(more - fewer).toBeGreaterThan(40 * 400);
  });
});

describe("who changed a workload last", () => {
  const entry = (manager: unknown, time: unknown, more: object = {}) => ({ manager, time, ...more });
  const by = (...managedFields: unknown[]) => project({ metadata: { managedFields } }).changedBy?.manager;

  it("is the latest of all but the operator itself, and of writes of no subresource", () => {
    expect(by(entry("a", "2026-05-01T00:00:00Z"), entry("b", "2026-05-02T00:00:00Z"))).toBe("b");
    expect(by(entry("b", "2026-05-02T00:00:00Z"), entry("a", "2026-05-01T00:00:00Z"))).toBe("b");
    // Of the same second, the later one in the list.
    expect(by(entry("a", "2026-05-01T00:00:00Z"), entry("b", "2026-05-01T00:00:00Z"))).toBe("b");
    expect(by(entry("secretsync-restart", "2026-05-03T00:00:00Z"))).toBeUndefined();
    expect(by(entry("a", "2026-05-01T00:00:00Z", { subresource: "status" }))).toBeUndefined();
  });

  it("is nobody whom the entry doesn't name, or names no time for", () => {
    expect(by(entry(undefined, "2026-05-01T00:00:00Z"))).toBeUndefined();
    expect(by(entry("m".repeat(129), "2026-05-01T00:00:00Z"))).toBeUndefined();
    expect(by(entry("a", "soon"), entry("b", undefined))).toBeUndefined();
    expect(by()).toBeUndefined();
  });
});

describe("a rollout that is stuck", () => {
  const waitsFor = (...conditions: object[]) =>
    project({
      metadata: { generation: 1 },
      status: { observedGeneration: 1, replicas: 2, updatedReplicas: 1, conditions },
    }).waitsFor;

  it("is one whose progress took too long, and nothing else that a condition tells", () => {
    expect(waitsFor({ type: "Progressing", reason: "ProgressDeadlineExceeded" })).toBe("Stuck");
    expect(waitsFor({ type: "Available", reason: "ProgressDeadlineExceeded" })).toBeUndefined();
    expect(waitsFor({ type: "Progressing", reason: "ReplicaSetUpdated" })).toBeUndefined();
    expect(waitsFor()).toBeUndefined();
  });
});

describe("an outline", () => {
  it("says who it is, and nothing of what it reads", () => {
    const spec = {
      selector: { matchLabels: { app: "web" } },
      template: {
        metadata: { annotations: { "secretsync.dev/restarted-for": "m" } },
        spec: {
          volumes: [{ secret: { secretName: "db", optional: true } }, { secret: { secretName: "x" } }],
        },
      },
    };
    const whole = project({ spec, ...noted('{"db":"x"}') });
    expect(outlineOfWorkload(whole)).toEqual({
      ...whole,
      consumes: {},
      requires: {},
      optional: [],
      consumed: undefined,
      restartedFor: undefined,
      isOutline: true,
      weight: 0,
    });
  });
});

describe("a workload that is due and can't be restarted yet", () => {
  const record = (data: Record<string, string>, at: string): ContentRecord => ({
    key: digestKey.id,
    version: "v",
    owned: "o",
    digests: digestContent(
      digestKey,
      new Map(Object.entries(data).map(([name, text]) => [name, value(text)])),
    ),
    found: [],
    change: { kind: "updated", at, trigger: "Refresh", keys: ["a"] },
  });
  const spec = { template: { spec: { volumes: [{ secret: { secretName: "db", optional: true } }] } } };
  const part = { secretName: "db" };

  it("is noted as unknown, without a restart, so that its pods decide whatever comes", () => {
    const workload = project({ spec });
    const doubt = planDoubt(workload, part);
    expect([doubt.restart, doubt.restartedFor]).toEqual([false, undefined]);
    const noted = { ...workload, consumed: doubt.consumed };
    const { restart: policy } = specOf({});
    const next = record({ a: "2" }, "2026-05-01T00:00:10.000Z");
    expect(planRestart(noted, part, policy, next)).toEqual({ kind: "look" });
    const at = (startedAt: string, writtenAt = 0) => {
      const readers = [{ startedAt: Date.parse(startedAt), keys: "all", optional: true }] as const;
      const decision = planRestart(noted, part, policy, next, { readers, writtenAt });
      return decision.kind === "write" && decision.write.restart;
    };
    // Clocks may differ by a second.
    expect(at("2026-05-01T00:00:10.999Z")).toBe(true);
    expect(at("2026-05-01T00:00:11.000Z")).toBe(false);
    expect(at("2026-05-01T00:00:13.000Z", Date.parse("2026-05-01T00:00:12.500Z"))).toBe(true);
  });
});
