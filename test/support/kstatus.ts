import assert from "node:assert/strict";
import type { SecretSyncStatus } from "../../src/api/secret-sync-status.ts";

/**
 * Without the test runner, since the benchmark waits for SecretSyncs in the same way. What Argo CD, Flux and Helm rely on:
 * https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md
 */
export function expectKstatus(status: SecretSyncStatus, generation: number): void {
  const conditions = status.conditions ?? [];
  const types = conditions.map(({ type }) => type);
  assert.equal(new Set(types).size, types.length);
  assert.ok(types.includes("Ready"));
  assert.equal(status.observedGeneration, generation);
  for (const { observedGeneration } of conditions) assert.ok((observedGeneration ?? 0) <= generation);
  // Abnormal-true: there only while they hold.
  for (const { type, status: value } of conditions) {
    if (["Reconciling", "Stalled", "Stale"].includes(type)) assert.equal(value, "True");
  }
  const ready = conditions.find(({ type }) => type === "Ready");
  const [isReconciling, isStalled] = [types.includes("Reconciling"), types.includes("Stalled")];
  assert.ok(!(isReconciling && isStalled));
  if (ready?.status === "True") assert.ok(!isReconciling && !isStalled);
  if (ready?.status === "False") assert.ok(isReconciling || isStalled);
}
