import { expect } from "@jest/globals";
import type { SecretSyncStatus } from "../../src/api/secret-sync-status.ts";

/**
 * What Argo CD, Flux and Helm rely on:
 * https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md
 */
export function expectKstatus(status: SecretSyncStatus, generation: number): void {
  const conditions = status.conditions ?? [];
  const types = conditions.map(({ type }) => type);
  expect(new Set(types).size).toBe(types.length);
  expect(types).toContain("Ready");
  expect(status.observedGeneration).toBe(generation);
  for (const { observedGeneration } of conditions) expect(observedGeneration).toBeLessThanOrEqual(generation);
  // Abnormal-true: there only while they hold.
  for (const { type, status: value } of conditions) {
    if (["Reconciling", "Stalled", "Stale"].includes(type)) expect(value).toBe("True");
  }
  const ready = conditions.find(({ type }) => type === "Ready");
  expect(types.includes("Reconciling") && types.includes("Stalled")).toBe(false);
  if (ready?.status === "True") expect(types).not.toContain("Reconciling");
  if (ready?.status === "True") expect(types).not.toContain("Stalled");
  if (ready?.status === "False")
    expect(types.includes("Reconciling") || types.includes("Stalled")).toBe(true);
}
