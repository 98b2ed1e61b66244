import { reasonsWith } from "../../src/api/reasons.ts";
import { describe, expect, it } from "@jest/globals";
import { newMetrics } from "../../src/telemetry/metrics.ts";
import { exposition, type ObjectSample } from "../../src/telemetry/object-metrics.ts";
import { newCallObserver } from "../../src/telemetry/provider-calls.ts";
import { noTracing } from "../../src/telemetry/tracing.ts";
import { sumOf } from "../support/operator.ts";

const sample = (name: string, more: Partial<ObjectSample> = {}): ObjectSample => ({
  namespace: "shop",
  name,
  ready: true,
  reason: "Synced",
  pendingRestart: "",
  refreshInterval: 60,
  lastSuccess: 1_700_000_000,
  nextRotation: 1_800_000_000_000,
  ...more,
});

function newTestMetrics(samples: readonly ObjectSample[] = [], perObject = true) {
  const metrics = newMetrics({
    version: "1.2.3",
    lanes: ["new", "periodic"],
    kinds: ["Secret"],
    providers: ["aws"],
    callFailures: reasonsWith("ofCall"),
    perObject,
    defaults: false,
  });
  metrics.connect({
    objects: () => samples,
    clusterObjects: () => [true, false, true],
    overdueObjects: () => 2,
    queueDepth: () => new Map([["new", 3]]),
    queueOldestSeconds: () => 4,
    queueStillSeconds: () => 5,
    servedNamespaces: () => [
      ["shop", true],
      ["gone", false],
    ],
    watchSilence: () => [["Secret", 6]],
    isLeader: () => true,
    now: () => 1_700_001_000,
    pause: () => Promise.resolve(),
  });
  return metrics;
}

describe("metrics", () => {
  it("have every series of a closed set from the start", async () => {
    const text = await newTestMetrics().registry.metrics();
    for (const series of [
      'secretsync_reconcile_total{kind="SecretSync",result="stalled"} 0',
      'secretsync_reconcile_duration_seconds_count{kind="ClusterSecretSync"} 0',
      'secretsync_provider_calls_total{provider="aws",operation="read",result="TooLarge"} 0',
      'secretsync_cluster_objects{ready="true"} 2',
      'secretsync_cluster_objects{ready="false"} 1',
      'secretsync_provider_calls_total{provider="aws",operation="readBatch",result="RateLimited"} 0',
      'secretsync_provider_call_duration_seconds_count{provider="aws",operation="list"} 0',
      'secretsync_provider_shared_total{operation="value"} 0',
      'secretsync_restarts_total{kind="DaemonSet",result="failure"} 0',
      'secretsync_queue_wait_seconds_count{lane="periodic"} 0',
      'secretsync_propagation_seconds_count{stage="source_to_secret"} 0',
      'secretsync_watch_errors_total{kind="Secret"} 0',
      'secretsync_kubernetes_writes_total{kind="Event"} 0',
      "secretsync_drift_repairs_total 0",
    ])
      expect(text).toContain(`${series}\n`);
  });

  it("tell what they are asked for, at the moment of the scrape", async () => {
    const samples = [
      sample("a"),
      sample("b", { ready: false, reason: "AccessDenied", nextRotation: undefined }),
    ];
    const { registry } = newTestMetrics(samples);
    const text = await registry.metrics();
    expect(sumOf(text, "secretsync_objects", { ready: "false" })).toBe(1);
    expect(sumOf(text, "secretsync_object_ready", { name: "a", reason: "Synced" })).toBe(1);
    expect(text).toContain('secretsync_object_ready{namespace="shop",name="b",reason="AccessDenied"} 0');
    expect(text).toContain(
      'secretsync_object_next_rotation_timestamp_seconds{namespace="shop",name="a"} 1800000000\n',
    );
    expect(text).not.toContain('next_rotation_timestamp_seconds{namespace="shop",name="b"}');
    expect(sumOf(text, "secretsync_overdue_objects", {})).toBe(2);
    expect(sumOf(text, "secretsync_queue_depth", { lane: "new" })).toBe(3);
    expect(sumOf(text, "secretsync_queue_depth", { lane: "periodic" })).toBe(0);
    expect(sumOf(text, "secretsync_queue_oldest_seconds", {})).toBe(4);
    expect(sumOf(text, "secretsync_queue_still_seconds", {})).toBe(5);
    expect(sumOf(text, "secretsync_watch_silence_seconds", { kind: "Secret" })).toBe(6);
    expect(sumOf(text, "secretsync_namespace_served", { namespace: "shop" })).toBe(1);
    expect(sumOf(text, "secretsync_namespace_served", { namespace: "gone" })).toBe(0);
    expect(text).toContain('secretsync_build_info{version="1.2.3"} 1');
    // An object that is gone takes its series along.
    samples.pop();
    expect(await registry.metrics()).not.toContain('name="b"');
  });

  it("tell whose workloads run with something older, and why", async () => {
    const samples = [
      sample("done"),
      sample("paused", { pendingRestart: "RestartWaiting" }),
      sample("refused", { pendingRestart: "RestartFailed" }),
    ];
    const text = await newTestMetrics(samples).registry.metrics();
    expect(sumOf(text, "secretsync_pending_restart_objects", { reason: "RestartWaiting" })).toBe(1);
    expect(sumOf(text, "secretsync_pending_restart_objects", { reason: "RestartFailed" })).toBe(1);
    expect(text).toContain(
      'secretsync_object_pending_restart{namespace="shop",name="paused",reason="RestartWaiting"} 1\n',
    );
    expect(text).not.toContain('secretsync_object_pending_restart{namespace="shop",name="done"');
  });

  it("count what is stale, and what wasn't rotated in time", async () => {
    const samples = [
      sample("fine", { refreshInterval: 600 }),
      sample("stale", { refreshInterval: 60 }),
      sample("once", { refreshInterval: 0 }),
      sample("new", { lastSuccess: undefined }),
      sample("unrotated", { refreshInterval: 3_600, nextRotation: 1_600_000_000_000 }),
    ];
    const text = await newTestMetrics(samples, false).registry.metrics();
    expect(sumOf(text, "secretsync_stale_objects", {})).toBe(1);
    expect(sumOf(text, "secretsync_rotation_overdue_objects", {})).toBe(1);
  });

  it("are the same text, written with turns for others, as the registry's own", async () => {
    const samples = Array.from({ length: 4_500 }, (_, index) =>
      sample(`app-${index}`, {
        reason: index === 7 ? 'a"b\\c\nd' : "Synced",
        pendingRestart: index % 2 ? "RestartWaiting" : "",
        ready: index % 3 > 0,
      }),
    );
    const { registry } = newTestMetrics(samples);
    const pieces: string[] = [];
    for await (const piece of exposition(registry, () => Promise.resolve())) pieces.push(piece);
    expect(pieces.join("")).toBe(await registry.metrics());
    const lines = pieces.map((piece) => piece.split("\n").length);
    expect(Math.max(...lines)).toBeLessThanOrEqual(1_002);
  });

  it("let others have a turn after each piece", async () => {
    const samples = Array.from({ length: 4_500 }, (_, index) => sample(`app-${index}`));
    const { registry } = newTestMetrics(samples);
    let isOpen = false;
    for await (const piece of exposition(registry, () => ((isOpen = false), Promise.resolve()))) {
      if (piece === "\n") continue;
      // What follows a piece of a whole portion comes in another turn.
      expect(isOpen && piece.split("\n").length > 1_000).toBe(false);
      isOpen = true;
    }
  });

  it("name no object where that is switched off", async () => {
    const text = await newTestMetrics([sample("a")], false).registry.metrics();
    expect(text).not.toContain("secretsync_object_");
    expect(sumOf(text, "secretsync_objects", { ready: "true" })).toBe(1);
  });

  it("carry labels of closed sets only, but for names of objects", async () => {
    const labels = [...(await newTestMetrics([sample("a")]).registry.metrics()).matchAll(/[{,](\w+)="/g)];
    expect([...new Set(labels.map(([, label]) => String(label)))].sort()).toEqual([
      "kind",
      "lane",
      "le",
      "name",
      "namespace",
      "operation",
      "provider",
      "ready",
      "reason",
      "result",
      "stage",
      "version",
    ]);
  });
});

describe("a call to a provider", () => {
  it("is counted by how it ended, and timed", async () => {
    const metrics = newTestMetrics();
    let now = 0;
    const observe = newCallObserver({ provider: "aws", metrics, tracing: noTracing, monotonic: () => now });
    const answer = await observe(
      "read",
      () => Promise.resolve((now += 1_500)),
      () => "RateLimited",
    );
    expect(answer).toBe(1_500);
    const text = await metrics.registry.metrics();
    const labels = { provider: "aws", operation: "read" };
    expect(sumOf(text, "secretsync_provider_calls_total", { ...labels, result: "RateLimited" })).toBe(1);
    expect(sumOf(text, "secretsync_provider_call_duration_seconds_sum", labels)).toBe(1.5);
  });
});
