import { describe, expect, it } from "@jest/globals";
import { triggerOf } from "../../src/plan/trigger.ts";

const requested = { "reconcile.secretsync.dev/requestedAt": "now" };
const identity = { name: "x", namespace: "ns", uid: "u", generation: 1 };
const done = { lastChangeTime: "2026-05-01T00:00:00.000Z", observedGeneration: 1 };

describe("the cause of a change", () => {
  it.each([
    ["Created", {}, {}],
    ["Created", { annotations: requested }, { observedGeneration: 1 }],
    ["Spec", { generation: 2 }, done],
    ["Spec", { generation: 2, annotations: requested }, done],
    ["Request", { annotations: requested }, done],
    ["Request", { annotations: requested }, { ...done, lastHandledReconcileAt: "before" }],
    ["Refresh", { annotations: requested }, { ...done, lastHandledReconcileAt: "now" }],
    ["Refresh", {}, { ...done, lastHandledReconcileAt: "now" }],
    ["Refresh", {}, done],
  ])("is %s for %j with the status %j", (trigger, metadata, status) => {
    expect(triggerOf({ metadata: { ...identity, ...metadata }, status })).toBe(trigger);
  });
});
