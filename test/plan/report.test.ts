import { describe, expect, it } from "@jest/globals";
import { reasons, type Reason } from "../../src/api/reasons.ts";
import { secretSyncStatus } from "../../src/api/secret-sync-status.ts";
import { plan, planFailure, planUnchanged } from "../../src/plan/plan.ts";
import { report, reportInvalid, type Outcome } from "../../src/plan/report.ts";
import type { Observed } from "../../src/plan/observed.ts";
import { expectKstatus } from "../support/kstatus.ts";
import { afterApply, failing, fetched, found, observed } from "../support/gen.ts";

const NOW = "2026-05-01T00:00:00.000Z";
const LATER = "2026-05-01T01:00:00.000Z";

function outcome(observation: Observed, more: Partial<Outcome> = {}): Outcome {
  const values = fetched(observation, found("one"));
  const made = more.plan ?? plan(observation, values);
  return {
    plan: made,
    verdict: made.verdict,
    trigger: "Created",
    fetched: values,
    restarted: [],
    restartProblem: undefined,
    now: NOW,
    ...more,
  };
}

function firstSync(): Observed {
  const before = observed();
  const made = outcome(before);
  const [step] = made.plan.steps;
  return { ...before, status: report(before, made), target: afterApply(step!) };
}

describe("the status of a first sync", () => {
  it("says Ready, what was read and what was written", () => {
    const status = report(observed(), outcome(observed()));
    expect(status).toMatchObject({
      observedGeneration: 1,
      secretRef: { name: "orders" },
      lastChangeTime: NOW,
      provider: "aws",
      sources: [
        { provider: "SecretProvider/aws", key: "prod/db", versionId: "v1", versionStages: ["AWSCURRENT"] },
      ],
      history: [{ time: NOW, trigger: "Created", keys: ["password"], outcome: "Written" }],
    });
    expect(status.conditions).toEqual([
      {
        type: "Ready",
        status: "True",
        reason: "Synced",
        message: "Secret orders is up to date",
        lastTransitionTime: NOW,
        observedGeneration: 1,
      },
    ]);
  });

  it("is what its schema says", () => {
    expect(secretSyncStatus.safeParse(report(observed(), outcome(observed()))).error).toBeUndefined();
  });
});

describe("the status of an unchanged refresh", () => {
  it("is the same, byte by byte, however late it is", () => {
    const now = firstSync();
    const again = report(
      now,
      outcome(now, { plan: planUnchanged(now), fetched: undefined, trigger: "Refresh", now: LATER }),
    );
    expect(again).toEqual(now.status);
  });

  it("echoes a request", () => {
    const before = firstSync();
    const now = {
      ...before,
      metadata: { ...before.metadata, annotations: { "reconcile.secretsync.dev/requestedAt": "7" } },
    };
    expect(report(now, outcome(now, { plan: planUnchanged(now) })).lastHandledReconcileAt).toBe("7");
  });
});

describe("the status of a failure", () => {
  const failed = (observation: Observed, now = LATER) => {
    const made = plan(observation, fetched(observation, failing()));
    return report(
      observation,
      outcome(observation, { plan: made, fetched: undefined, trigger: "Refresh", now }),
    );
  };

  it("keeps what is known of the Secret, says so, and is stable from try to try", () => {
    const now = firstSync();
    const status = failed(now);
    expect(status.conditions?.map(({ type, status: value, reason }) => [type, value, reason])).toEqual([
      ["Ready", "False", "AccessDenied"],
      ["Reconciling", "True", "AccessDenied"],
      ["Stale", "True", "AccessDenied"],
    ]);
    expect(status.secretRef).toEqual({ name: "orders" });
    expect(status.sources).toEqual(now.status.sources);
    expect(status.history).toEqual(now.status.history);
    expect(failed({ ...now, status }, "2026-05-01T02:00:00.000Z")).toEqual(status);
  });

  it("doesn't echo a request that wasn't fulfilled", () => {
    const before = firstSync();
    const now = {
      ...before,
      metadata: { ...before.metadata, annotations: { "reconcile.secretsync.dev/requestedAt": "7" } },
    };
    expect(failed(now).lastHandledReconcileAt).toBeUndefined();
  });

  it.each(Object.keys(reasons) as Reason[])("with reason %s is what kstatus expects", (reason) => {
    const now = firstSync();
    const made =
      reason in { Synced: 1, Suspended: 1, Deleted: 1 }
        ? planUnchanged(now)
        : planFailure(now, { reason: reason as "AccessDenied", message: "m" });
    const verdict = { reason, message: "m" };
    const status = report(now, outcome(now, { plan: made, verdict, fetched: undefined }));
    expectKstatus(status, now.metadata.generation ?? 0);
    const types = status.conditions?.map(({ type }) => type) ?? [];
    expect(types.includes("Stalled")).toBe(reasons[reason].stalled);
  });
});

describe("restarts", () => {
  it("are a condition and part of the change's history", () => {
    const status = report(observed(), outcome(observed(), { restarted: ["Deployment/a"] }));
    expect(status.conditions).toContainEqual(
      expect.objectContaining({
        type: "Restarted",
        status: "True",
        reason: "Restarted",
        message: "restarted Deployment/a",
      }),
    );
    expect(status.history?.[0]).toMatchObject({ workloads: ["Deployment/a"], outcome: "Restarted" });
  });

  it("that a crash put off are added to the change before them", () => {
    const now = firstSync();
    const status = report(
      now,
      outcome(now, { plan: planUnchanged(now), restarted: ["Deployment/a"], now: LATER }),
    );
    expect(status.history).toHaveLength(1);
    expect(status.history?.[0]).toMatchObject({ time: NOW, keys: ["password"], workloads: ["Deployment/a"] });
  });

  it("that fail are a condition of their own; the Secret is Ready", () => {
    const status = report(observed(), outcome(observed(), { restartProblem: "Deployment/a: no" }));
    expect(status.conditions?.map(({ type, status: value, reason }) => [type, value, reason])).toEqual([
      ["Ready", "True", "Synced"],
      ["Restarted", "False", "RestartFailed"],
    ]);
    expectKstatus(status, 1);
  });
});

describe("history", () => {
  it("keeps the last ten changes and the first twenty keys", () => {
    let now = observed();
    for (let index = 0; index < 15; index++) {
      const keys = Array.from({ length: 30 }, (_, key) => `k${key}`);
      const made = { ...planUnchanged(now), change: { kind: "updated" as const, keys } };
      now = {
        ...now,
        status: report(now, outcome(now, { plan: made, verdict: made.verdict, now: `t${index}` })),
      };
    }
    expect(now.status.history).toHaveLength(10);
    expect(now.status.history?.[0]?.time).toBe("t14");
    expect(now.status.history?.[0]?.keys).toHaveLength(20);
  });
});

describe("the status of a spec that breaks a rule", () => {
  it("is Stalled and keeps the rest", () => {
    const now = firstSync();
    const status = reportInvalid(now.status, 2, { reason: "InvalidSpec", message: "spec.data: m" }, LATER);
    expectKstatus(status, 2);
    expect(status.secretRef).toEqual({ name: "orders" });
    expect(status.conditions?.map(({ type }) => type)).toEqual(["Ready", "Stalled"]);
  });
});
