import { describe, expect, it } from "@jest/globals";
import type { SecretSyncStatus } from "../../../src/api/secret-sync-status.ts";
import { aboutSync, newEventRecorder } from "../../../src/controllers/secret-sync/events.ts";
import { newSyncStatusWriter, notesOf } from "../../../src/controllers/secret-sync/report.ts";
import { projectSync } from "../../../src/cluster/sync-object.ts";
import { newViews } from "../../../src/cluster/views.ts";
import { ApiError, type KubeApi, type KubeObject } from "../../../src/kube/kube-api.ts";
import { planUnchanged } from "../../../src/plan/plan.ts";
import { report, type Outcome } from "../../../src/plan/report.ts";
import type { Observed } from "../../../src/plan/observed.ts";
import { afterApply, failing, fetched, found, observed, outcomeOf, secretSteps } from "../../support/gen.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const LATER = "2026-05-01T01:00:00.000Z";

/** What a reconcile ends with, and what is told of it. */
function reconciled(now: Observed, result = found("one"), more: Partial<Outcome> = {}) {
  const values = fetched(now, result);
  const outcome = outcomeOf(now, values, more);
  const status = report(now, outcome);
  const [step] = secretSteps(outcome.plan);
  const target = step?.kind === "applySecret" ? afterApply(step, now.target) : now.target;
  const told = notesOf(now, outcome, status).map(
    ({ type, reason, message }) => `${type} ${reason}: ${message}`,
  );
  return { told, next: { ...now, status, target, now: LATER } };
}

describe("a status", () => {
  const write = async (status: number) => {
    const failures: string[] = [];
    const views = newViews({ mostBytes: 1e9, onError: () => undefined, onLeftAlone: () => undefined });
    const api = { apply: () => Promise.reject(new ApiError(status, "", "no")) } as unknown as KubeApi;
    const writeStatus = newSyncStatusWriter(api, views, () => undefined, {
      failed: (part: string) => void failures.push(part),
      works: () => undefined,
    });
    const object = projectSync({ metadata: { name: "a", namespace: "shop", uid: "u" } });
    const written = writeStatus(object, { provider: "aws" }, new AbortController().signal);
    return written.then(
      () => ({ ended: "well", failures }),
      () => ({ ended: "badly", failures }),
    );
  };

  it("of an object that was deleted meanwhile is nobody's failure; any other refusal is one", async () => {
    expect(await write(404)).toEqual({ ended: "well", failures: [] });
    expect(await write(403)).toEqual({ ended: "badly", failures: ["status"] });
  });
});

describe("readiness for want of a right to write statuses", () => {
  it("comes back when a write works, and when nothing is left to write: told by others, or gone", async () => {
    const told: string[] = [];
    const views = newViews({ mostBytes: 1e9, onError: () => undefined, onLeftAlone: () => undefined });
    let refused = true;
    const api = {
      apply: (_type: unknown, object: KubeObject) =>
        refused ? Promise.reject(new ApiError(403, "", "no")) : Promise.resolve(object),
    } as unknown as KubeApi;
    const writeStatus = newSyncStatusWriter(api, views, () => undefined, {
      failed: () => void told.push("failed"),
      works: () => void told.push("works"),
    });
    const object = (name: string, provider?: string) =>
      projectSync({
        metadata: { name, namespace: "shop", uid: name, resourceVersion: "1" },
        status: provider === undefined ? undefined : { provider },
      } as KubeObject);
    const write = (of: ReturnType<typeof object>) =>
      writeStatus(of, { provider: "aws" }, new AbortController().signal).catch(() => undefined);
    for (const name of ["a", "b"]) views.syncs.set(object(name));
    await write(object("a"));
    await write(object("b"));
    // Another object that needs no write tells nothing of the right.
    await write(object("c", "aws"));
    await write(object("a", "aws"));
    expect(told).toEqual(["failed", "failed"]);
    views.syncs.delete("shop/b", "b");
    expect(told).toEqual(["failed", "failed", "works"]);
    await write(object("a"));
    refused = false;
    await write(object("a"));
    expect(told.slice(3)).toEqual(["failed", "works"]);
  });
});

describe("events", () => {
  it("tell which keys are gone, and once what waits, and for whom", () => {
    const { next } = reconciled(observed());
    const removed = {
      ...next.target!.records["secretsync.dev/digests"]!.change!,
      keys: ["a", "b"],
      removed: ["b"],
    };
    const outcome = outcomeOf(next, fetched(next, found("one")), {
      restartWaiting: "Deployment/a keeps its pods",
    });
    const record = { ...outcome.record!, change: { ...removed, kind: "updated" as const, at: LATER } };
    const told = (now: Observed) => {
      const status = report(now, { ...outcome, record });
      return {
        status,
        notes: notesOf(now, { ...outcome, record }, status).map(
          ({ reason, message }) => `${reason}: ${message}`,
        ),
      };
    };
    const first = told(next);
    expect(first.notes).toEqual([
      "Synced: changed a; removed b",
      "RestartWaiting: Deployment/a keeps its pods",
    ]);
    expect(first.status.conditions).toContainEqual(
      expect.objectContaining({ type: "Restarted", status: "False", reason: "RestartWaiting" }),
    );
    expect(first.status.history?.[0]?.outcome).toBe("RestartWaiting");
    expect(told({ ...next, status: first.status }).notes).toEqual([]);
  });

  it("tell no first sync and no unchanged refresh", () => {
    const first = reconciled(observed());
    expect(first.told).toEqual([]);
    expect(reconciled(first.next).told).toEqual([]);
  });

  it("tell a rotation with the keys, and a restart once", () => {
    const { next } = reconciled(observed());
    const rotated = reconciled(next, found("two", "v2"), { restarted: ["Deployment/a"] });
    expect(rotated.told).toEqual([
      "Normal Synced: changed password",
      "Normal Restarted: restarted Deployment/a",
    ]);
    expect(reconciled(rotated.next, found("two", "v2"), { restarted: ["Deployment/a"] }).told).toEqual([]);
  });

  it("tell a rotation whose status was never written, later", () => {
    const { next } = reconciled(observed());
    const { target } = reconciled(next, found("two", "v2")).next;
    const crashed = { ...next, target };
    expect(reconciled(crashed, found("two", "v2")).told).toEqual(["Normal Synced: changed password"]);
  });

  it("tell a repair", () => {
    const { next } = reconciled(observed());
    const drifted = { ...next, target: { ...next.target!, owned: { secretsync: "other" } } };
    expect(reconciled({ ...drifted, driftSince: "2026-04-30T00:00:00.000Z" }).told).toEqual([
      "Normal Synced: restored the Secret, which somebody had changed or deleted",
    ]);
    expect(reconciled(drifted).told).toEqual([
      expect.stringMatching(
        /^Normal Synced: restored the Secret, which somebody had changed; since when isn't known/,
      ),
    ]);
  });

  it("tell a failure once, and again when it is another one", () => {
    const { next } = reconciled(observed());
    const failed = reconciled(next, failing());
    expect(failed.told).toHaveLength(1);
    expect(failed.told[0]).toMatch(/^Warning AccessDenied: /);
    expect(reconciled(failed.next, failing()).told).toEqual([]);
    expect(reconciled(failed.next, failing("RateLimited")).told[0]).toMatch(/^Warning RateLimited: /);
  });

  it("tell a restart that failed once", () => {
    const { next } = reconciled(observed());
    const failed = reconciled(next, found("two", "v2"), { restartProblem: "Deployment/a: no" });
    expect(failed.told).toEqual([
      "Normal Synced: changed password",
      "Warning RestartFailed: Deployment/a: no",
    ]);
    expect(reconciled(failed.next, found("two", "v2"), { restartProblem: "Deployment/a: no" }).told).toEqual(
      [],
    );
  });

  it("tell a deletion once", () => {
    const { next } = reconciled(observed());
    const gone = { ...next, target: undefined };
    const verdict = { reason: "Deleted", message: "gone" } as const;
    const outcome: Outcome = {
      plan: planUnchanged(gone),
      verdict,
      record: undefined,
      fetched: undefined,
      restarted: [],
      restartProblem: undefined,
      restartWaiting: undefined,
    };
    const status = report(gone, outcome);
    expect(notesOf(gone, outcome, status)).toEqual([{ type: "Normal", reason: "Deleted", message: "gone" }]);
    const then = { ...gone, status };
    expect(notesOf(then, outcome, report(then, outcome))).toEqual([]);
  });
});

describe("an event", () => {
  const note = { type: "Normal", reason: "Synced", message: "changed password" } as const;
  const about = aboutSync({ name: "n".repeat(253), namespace: "ns", uid: "u" });
  function recorder(fail?: Error) {
    const created: KubeObject[] = [];
    const problems: unknown[] = [];
    const api = {
      create: (_type: unknown, object: KubeObject) => {
        created.push(object);
        return fail ? Promise.reject(fail) : Promise.resolve(object);
      },
    } as unknown as KubeApi;
    const record = newEventRecorder({
      api,
      clock: new FakeClock(),
      onError: (error) => problems.push(error),
      onWrite: () => undefined,
    });
    const { signal } = new AbortController();
    return {
      created,
      problems,
      record: (before: SecretSyncStatus = {}) => record(about, note, before, signal),
    };
  }

  it("has a name that follows from what it tells and from the status before, and is never too long", async () => {
    const { created, record } = recorder();
    await record();
    await record();
    await record({ lastChangeTime: LATER });
    const names = created.map(({ metadata }) => metadata.name);
    expect(names[0]).toBe(names[1]);
    expect(names[2]).not.toBe(names[0]);
    expect(names[0]!.length).toBeLessThanOrEqual(253);
  });

  it("that was told before a crash is no error, and none that fails stops anything", async () => {
    const told = recorder(new ApiError(409, "AlreadyExists", "exists"));
    await told.record();
    expect(told.problems).toEqual([]);
    const failed = recorder(new ApiError(403, "Forbidden", "no"));
    await failed.record();
    expect(failed.problems).toHaveLength(1);
  });
});
