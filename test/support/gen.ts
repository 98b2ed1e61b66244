import { secretSyncSpec } from "../../src/api/secret-sync.ts";
import { parseSpec } from "../../src/api/parse.ts";
import type { KubeObject } from "../../src/kube/kube-api.ts";
import { newDigestKey, type DigestKey } from "../../src/plan/digest.ts";
import { projectSecret, type LiveTarget } from "../../src/plan/live-target.ts";
import type { Observed } from "../../src/plan/observed.ts";
import { plan, type Plan } from "../../src/plan/plan.ts";
import type { Outcome } from "../../src/plan/report.ts";
import type { SecretStep, Step } from "../../src/plan/step.ts";
import { sourcesOf, type FetchedValues } from "../../src/plan/sources.ts";
import type { ReadResult } from "../../src/providers/contract.ts";
import { SecretValue } from "../../src/providers/secret-value.ts";

/** Builders of what tests of the core need. */
export const digestKey: DigestKey = newDigestKey(Buffer.alloc(32, 7));
export const otherDigestKey: DigestKey = newDigestKey(Buffer.alloc(32, 8));

export const CANARY = "canary-4f1d0e";

export function specOf(spec: Record<string, unknown> = {}) {
  const parsed = parseSpec(secretSyncSpec, {
    providerRef: { name: "aws" },
    data: [{ secretKey: "password", remoteRef: { key: "prod/db" } }],
    ...spec,
  });
  if (!parsed.ok) throw new Error(parsed.problems.join("; "));
  return parsed.value;
}

export function observed(parts: Partial<Observed> = {}, spec: Record<string, unknown> = {}): Observed {
  const parsed = parts.spec ?? specOf(spec);
  return {
    metadata: {
      name: "orders",
      namespace: "shop",
      uid: "uid-1",
      generation: 1,
      creationTimestamp: "2026-01-02T00:00:00Z",
    },
    spec: parsed,
    sources: sourcesOf(parsed),
    status: {},
    target: undefined,
    targetRefused: false,
    otherManagers: [],
    driftSince: undefined,
    targetUnseen: false,
    winner: undefined,
    abandoned: undefined,
    digestKey,
    verify: false,
    leastRefreshMs: 0,
    now: "2026-05-01T00:00:00.000Z",
    ...parts,
  };
}

export const value = (text: string): SecretValue => SecretValue.fromText(text);

export const found = (text: string, versionId = "v1"): ReadResult => ({
  kind: "found",
  value: value(text),
  versionId,
  versionStages: ["AWSCURRENT"],
});

export const missing: ReadResult = { kind: "missing" };

export const failing = (
  reason: "AccessDenied" | "ProviderUnreachable" | "RateLimited" = "AccessDenied",
): ReadResult => ({
  kind: "failed",
  failure: {
    reason,
    message: "the provider says no",
    scope: reason === "AccessDenied" ? "request" : "provider",
  },
});

/** The same answer for every source, or one for each, in the order of the spec. */
export function fetched(
  observation: Pick<Observed, "spec">,
  ...results: readonly ReadResult[]
): FetchedValues {
  return new Map(
    sourcesOf(observation.spec).map((source, index) => [
      source.id,
      results[Math.min(index, results.length - 1)] as ReadResult,
    ]),
  );
}

/** What is written into Secrets. */
export const secretSteps = ({ steps }: Pick<Plan, "steps">): readonly SecretStep[] =>
  steps.filter((step) => step.kind !== "noteConsumers" && step.kind !== "restartConsumers");

/** The Secret as the apiserver has it after a step: managedFields and all. */
export function afterApply(step: Step, before?: LiveTarget): LiveTarget {
  if (step.kind !== "applySecret") throw new Error(`not an apply: ${step.kind}`);
  return projectSecret(appliedObject(step, before));
}

export function appliedObject(step: Step & { kind: "applySecret" }, before?: LiveTarget): KubeObject {
  const fields = (names: Iterable<string>) => Object.fromEntries([...names].map((name) => [`f:${name}`, {}]));
  return {
    metadata: {
      name: step.name,
      namespace: step.namespace,
      uid: before?.uid ?? "secret-uid",
      resourceVersion: String(Number(before?.resourceVersion ?? 0) + 1),
      labels: step.labels,
      annotations: step.annotations,
      ownerReferences: step.ownerReferences,
      managedFields: [
        {
          manager: step.fieldManager,
          operation: "Apply",
          fieldsV1: {
            "f:data": fields(step.data.keys()),
            "f:metadata": {
              "f:labels": fields(Object.keys(step.labels)),
              "f:annotations": fields(Object.keys(step.annotations)),
            },
          },
        },
      ],
    },
  };
}

/** What a reconcile ends with that got these values, and whose every write succeeded. */
export function outcomeOf(now: Observed, values: FetchedValues, more: Partial<Outcome> = {}): Outcome {
  const made = more.plan ?? plan(now, values);
  return {
    plan: made,
    verdict: made.verdict,
    record: made.record,
    fetched: values,
    restarted: [],
    restartProblem: undefined,
    restartWaiting: undefined,
    ...more,
  };
}
