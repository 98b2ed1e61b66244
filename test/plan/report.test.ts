import { describe, expect, it } from "@jest/globals";
import { reasons, type Reason } from "../../src/api/reasons.ts";
import { secretSyncStatus, type SecretSyncStatus } from "../../src/api/secret-sync-status.ts";
import { plan, planFailure, planUnchanged } from "../../src/plan/plan.ts";
import {
  newlyRestarted,
  report,
  reportUnplanned,
  tellsVersions,
  type Outcome,
} from "../../src/plan/report.ts";
import { MISSING_VERSION } from "../../src/plan/sources.ts";
import type { Observed } from "../../src/plan/observed.ts";
import type { ReadResult } from "../../src/providers/contract.ts";
import { expectKstatus } from "../support/kstatus.ts";
import { afterApply, failing, fetched, found, observed, outcomeOf, secretSteps } from "../support/gen.ts";

const NOW = "2026-05-01T00:00:00.000Z";
const LATER = "2026-05-01T01:00:00.000Z";

const outcome = (observation: Observed, more: Partial<Outcome> = {}): Outcome =>
  outcomeOf(observation, fetched(observation, found("one")), more);

function firstSync(): Observed {
  const before = observed();
  const made = outcome(before);
  const [step] = secretSteps(made.plan);
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
    const later = { ...now, now: LATER };
    const again = report(later, outcome(later, { plan: planUnchanged(later), fetched: undefined }));
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
    const later = { ...observation, now };
    const made = plan(later, fetched(later, failing()));
    return report(later, outcome(later, { plan: made, fetched: undefined }));
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

  it("tells when a condition turned, and not when only its words changed", () => {
    const now = firstSync();
    const at = (status: SecretSyncStatus) =>
      status.conditions?.find(({ type }) => type === "Ready")?.lastTransitionTime;
    const status = failed(now);
    expect(at(status)).toBe(LATER);
    const third = { ...now, status, now: "2026-05-01T02:00:00.000Z" };
    const other = planFailure(third, { reason: "RateLimited", message: "other words" });
    expect(at(report(third, outcome(third, { plan: other, fetched: undefined })))).toBe(LATER);
    expect(at(report(third, outcome(third, { plan: planUnchanged(third), fetched: undefined })))).toBe(
      third.now,
    );
  });

  it("is Stale only where the Secret is its own", () => {
    const now = firstSync();
    const types = (target: Observed["target"]) =>
      failed({ ...now, target }).conditions?.map(({ type }) => type) ?? [];
    expect(types(now.target)).toContain("Stale");
    expect(types(undefined)).not.toContain("Stale");
    expect(types({ ...now.target!, owner: "other" })).not.toContain("Stale");
  });

  it("is told in 4,000 characters at most", () => {
    const now = firstSync();
    const message = (length: number) => {
      const verdict = { reason: "AccessDenied", message: "x".repeat(length) } as const;
      return report(now, outcome(now, { plan: planFailure(now, verdict) })).conditions?.[0]?.message;
    };
    expect(message(4_000)).toBe("x".repeat(4_000));
    expect(message(4_001)).toBe(`${"x".repeat(4_000)}…`);
  });

  it("of one who is suspended leaves Ready as it was, or unknown", () => {
    const verdict = { reason: "Suspended", message: "m" } as const;
    const ready = (now: Observed) =>
      report(now, outcome(now, { plan: { steps: [], verdict }, fetched: undefined })).conditions?.[0];
    expect(ready(firstSync())).toMatchObject({ type: "Ready", status: "True", reason: "Suspended" });
    expect(ready(observed())).toMatchObject({ type: "Ready", status: "Unknown", reason: "Suspended" });
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

  it("that come after the status of their change are added to it", () => {
    const now = { ...firstSync(), now: LATER };
    const status = report(now, outcome(now, { plan: planUnchanged(now), restarted: ["Deployment/a"] }));
    expect(status.history).toHaveLength(1);
    expect(status.history?.[0]).toMatchObject({ time: NOW, keys: ["password"], workloads: ["Deployment/a"] });
    const then = { ...now, status };
    expect(
      newlyRestarted(then, outcome(then, { plan: planUnchanged(then), restarted: ["Deployment/a"] })),
    ).toEqual([]);
  });

  it("are told once, however often they are found to be so", () => {
    const before = firstSync();
    const first = outcome(before, { plan: planUnchanged(before), restarted: ["Deployment/a"] });
    expect(newlyRestarted(before, first)).toEqual(["Deployment/a"]);
    const now = { ...before, status: report(before, first), now: LATER };
    expect(report(now, outcome(now, { plan: planUnchanged(now), restarted: ["Deployment/a"] }))).toEqual(
      now.status,
    );
  });

  it("stay told by later refreshes, until they fail", () => {
    const before = firstSync();
    const restarted = outcome(before, { plan: planUnchanged(before), restarted: ["Deployment/a"] });
    const now = { ...before, status: report(before, restarted), now: LATER };
    const quiet = report(now, outcome(now, { plan: planUnchanged(now) }));
    expect(quiet.conditions).toEqual(now.status.conditions);
    const problem = outcome(now, { plan: planUnchanged(now), restartProblem: "Deployment/a: no" });
    const failed = report(now, problem);
    expect(failed.history?.[0]).toMatchObject({ outcome: "RestartFailed" });
    // A failure that is over isn't told any more.
    const later = { ...now, status: failed };
    const mended = report(later, outcome(later, { plan: planUnchanged(later) }));
    expect(mended.conditions?.map(({ type }) => type)).toEqual(["Ready"]);
  });

  it("of another round turn the condition anew", () => {
    const before = firstSync();
    const restarted = outcome(before, { plan: planUnchanged(before), restarted: ["Deployment/a"] });
    const now = { ...before, status: report(before, restarted), now: LATER };
    const more = { plan: planUnchanged(now), restarted: ["Deployment/a", "Deployment/b"] };
    const condition = report(now, outcome(now, more)).conditions?.find(({ type }) => type === "Restarted");
    expect(condition).toMatchObject({ lastTransitionTime: LATER });
  });

  it("of very many workloads name ten in the condition and twenty in the history", () => {
    const many = (count: number) => Array.from({ length: count }, (_, index) => `Deployment/${index}`);
    const told = (count: number) => {
      const now = firstSync();
      const restarted = outcome(now, { plan: planUnchanged(now), restarted: many(count) });
      const status = report(now, restarted);
      const message = status.conditions?.find(({ type }) => type === "Restarted")?.message;
      return { now: { ...now, status }, message, restarted };
    };
    expect(told(10).message).toBe(`restarted ${many(10).join(", ")}`);
    expect(told(11).message).toBe(`restarted ${many(10).join(", ")} and others`);
    const { now, restarted } = told(25);
    expect(now.status.history?.[0]?.workloads).toEqual(many(20));
    expect(newlyRestarted(now, restarted)).toEqual([]);
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
  const content = (version: number) =>
    JSON.stringify(Object.fromEntries(Array.from({ length: 30 }, (_, key) => [`k${key}`, `v${version}`])));
  const everyKey = { data: undefined, dataFrom: [{ extract: { key: "prod/db" } }] };
  /** The next change, as the next reconcile writes it. */
  const changed = (before: Observed, version: number) => {
    const now = { ...before, now: new Date(Date.UTC(2026, 0, version)).toISOString() };
    const values = fetched(now, found(content(version), `v${version}`));
    const made = plan(now, values);
    return { now, made, values, target: afterApply(secretSteps(made)[0]!, before.target) };
  };

  it("keeps the last ten changes and the first twenty keys", () => {
    let current = observed({}, everyKey);
    for (let version = 1; version <= 15; version++) {
      const { now, made, values, target } = changed(current, version);
      current = { ...now, target, status: report(now, outcome(now, { plan: made, fetched: values })) };
    }
    expect(current.status.history).toHaveLength(10);
    expect(current.status.history?.map(({ time }) => time.slice(8, 10))).toEqual([
      "15",
      "14",
      "13",
      "12",
      "11",
      "10",
      "09",
      "08",
      "07",
      "06",
    ]);
    expect(current.status.history?.[0]?.keys).toHaveLength(20);
  });

  it("tells a change whose status was never written, as if nothing had happened", () => {
    const { now, made, values, target } = changed(observed({}, everyKey), 1);
    const status = report(now, outcome(now, { plan: made, fetched: values }));
    const before = { ...now, target, status };
    const second = changed(before, 2);
    const undisturbed = report(
      second.now,
      outcome(second.now, { plan: second.made, fetched: second.values }),
    );
    // Killed after the Secret was written: the next look, later, finds it done, and even the provider away.
    const after = { ...before, target: second.target, now: LATER };
    const found = plan(after, second.values);
    expect(secretSteps(found)).toEqual([]);
    expect(report(after, outcome(after, { plan: found, fetched: second.values }))).toEqual(undisturbed);
    const away = plan(after, fetched(after, failing()));
    expect(report(after, outcome(after, { plan: away, fetched: undefined }))).toMatchObject({
      lastChangeTime: undisturbed.lastChangeTime,
      history: undisturbed.history!,
    });
  });

  it("tells a deletion once, also one whose status was never written", () => {
    const now = firstSync();
    const gone = { ...now, target: undefined, now: LATER };
    const verdict = { reason: "Deleted", message: "gone" } as const;
    const deleted = { plan: { steps: [], verdict }, verdict, record: undefined, fetched: undefined };
    const status = report(gone, outcome(gone, deleted));
    expect(status.secretRef).toBeUndefined();
    expect(status.lastChangeTime).toBe(LATER);
    expect(status.history?.map((entry) => entry.outcome)).toEqual(["Deleted", "Written"]);
    const next = { ...gone, status, now: "2026-05-02T00:00:00.000Z" };
    expect(report(next, outcome(next, deleted))).toEqual(status);
  });
});

describe("versions in status", () => {
  const source = (now: Observed) => now.sources[0]!.id;

  it("are those of the Secret, or the values must be read once more to tell them", () => {
    const now = firstSync();
    expect(tellsVersions(now, new Map([[source(now), "v1"]]))).toBe(true);
    expect(tellsVersions(now, new Map([[source(now), "v2"]]))).toBe(false);
    expect(tellsVersions({ ...now, status: {} }, new Map([[source(now), "v1"]]))).toBe(false);
  });

  it("are in the order of the alphabet, whatever the provider's", () => {
    const now = observed();
    const values = fetched(now, { ...found("one"), versionStages: ["b", "a"] } as ReadResult);
    expect(report(now, outcome(now, { fetched: values })).sources?.[0]?.versionStages).toEqual(["a", "b"]);
  });

  it("are none for what is missing", () => {
    const now = { ...firstSync(), status: { sources: [{ provider: "p", key: "k" }] } };
    expect(tellsVersions(now, new Map([[source(now), MISSING_VERSION]]))).toBe(true);
  });
});

describe("the status of a spec that breaks a rule", () => {
  it("is Stalled and keeps the rest", () => {
    const now = firstSync();
    const status = reportUnplanned(now.status, 2, { reason: "InvalidSpec", message: "spec.data: m" }, LATER);
    expectKstatus(status, 2);
    expect(status.secretRef).toEqual({ name: "orders" });
    expect(status.conditions?.map(({ type }) => type)).toEqual(["Ready", "Stalled"]);
  });
});
