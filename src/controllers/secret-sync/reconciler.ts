import { isFailure, reasonsWith, type Failure, type Reason } from "../../api/reasons.ts";
import { workloadKinds, type SecretSyncSpec } from "../../api/secret-sync.ts";
import type { SecretSyncStatus } from "../../api/secret-sync-status.ts";
import { ApiError } from "../../kube/kube-api.ts";
import { merges, type Observed } from "../../plan/observed.ts";
import { isStalled, refreshMs, type Verdict } from "../../plan/plan.ts";
import { newlyRestarted, report, reportUnplanned, type Outcome } from "../../plan/report.ts";
import { nextRefreshMs } from "../../plan/schedule.ts";
import { newestChange, refreshGroup, versionsOf } from "../../plan/sources.ts";
import { triggerOf, type Trigger } from "../../plan/trigger.ts";
import type { Left } from "../../feeds/member.ts";
import type { Workload } from "../../rollout/workload.ts";
import type { Clock } from "../../runtime/clock.ts";
import { SingleFile } from "../../runtime/single-file.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { freshFor, type Decide, type Decision } from "./decide.ts";
import { aboutSync, aboutWorkload, type About, type EventNote } from "./events.ts";
import { STALLED_MS, type Freshness } from "./freshness.ts";
import type { Observer } from "./observe.ts";
import { TargetExistsError, type Apply } from "./apply.ts";
import { notesOf, restartNote } from "./report.ts";
import type { Restarts } from "./restart.ts";
import type { Polling } from "./polling.ts";
import type { SyncObject } from "../../cluster/sync-object.ts";
import type { Next, Task } from "../controller.ts";
import type { Due } from "./task.ts";
import type { Views } from "../../cluster/views.ts";

/**
 * One SecretSync, from what is to what should be:
 *
 *   observe ──► need? ──► fetch ──► plan ──► apply ──► report
 *
 * It knows only the key. Running it again at any time, after any crash, ends in the same state.
 */
export interface ReconcilerOptions {
  readonly views: Views;
  readonly clock: Clock;
  readonly log: Logger;
  readonly observer: Observer;
  readonly decide: Decide;
  readonly apply: Apply;
  readonly writeStatus: (object: SyncObject, status: SecretSyncStatus, signal: AbortSignal) => Promise<void>;
  readonly recordEvent: (
    about: About,
    note: EventNote,
    before: SecretSyncStatus,
    signal: AbortSignal,
  ) => Promise<void>;
  readonly freshness: Freshness;
  readonly polling: Pick<Polling, "take" | "give" | "forget">;
  readonly onChange: (
    kind: "created" | "updated" | "repaired" | "deleted",
    sourceChangedAt: number | undefined,
  ) => void;
}

export type Reconcile = (key: string, due: Due, task: Task) => Promise<Next>;

export function newReconciler(options: ReconcilerOptions): Reconcile {
  const {
    views,
    clock,
    log,
    observer,
    decide,
    apply,
    writeStatus,
    recordEvent,
    freshness,
    polling,
    onChange,
  } = options;

  const heavy = new SingleFile({ clock, everyMs: HEAVY_EVERY_MS });

  return async function reconcile(key: string, due: Due, task: Task): Promise<Next> {
    const known = views.syncs.get(key);
    const object = known && (await observer.whole(known, task.limit.signal));
    if (!object || object.metadata.deletionTimestamp !== undefined) {
      polling.forget(key);
      return { kind: "gone" };
    }
    const left = polling.take(key);
    const parsed = observer.parse(object);
    if (!parsed.ok) return tell(object, parsed.failure, task);

    try {
      return await bringUpToDate(object, parsed.value, conflicted(object.status), due, left, task);
    } catch (error) {
      if (error instanceof TargetExistsError)
        return await bringUpToDate(object, parsed.value, true, due, left, task);
      if (!(error instanceof ApiError) || error.unreadable === undefined) throw error;
      return tell(object, unreadable(error.unreadable), task);
    }
  };

  async function bringUpToDate(
    object: SyncObject,
    spec: SecretSyncSpec,
    askForTarget: boolean,
    due: Due,
    left: Left | undefined,
    task: Task,
  ): Promise<Next> {
    const { key } = object;
    const { signal } = task.limit;
    const observed = await observer.observe(object, spec, askForTarget, signal);
    const trigger = triggerOf(observed);
    const epoch = freshness.epoch(key);
    const decision = await decide(
      key,
      observed,
      trigger === "Request" ? { ...due, look: "exact" } : due,
      task,
    );
    const { plan: made, fetched } = decision;
    const { problem, written, restarts } = await apply(made.steps, task);
    const verdict: Verdict = problem?.failure ?? made.verdict;
    // What could not be written is not there; a clean-up that fails takes nothing from what was written.
    const record = problem?.step.kind === "applySecret" ? undefined : made.record;
    if (made.change && record) onChange(made.change.kind, newestChange(fetched));
    // By all marks the Secret was as we had left it, and it was not: somebody wrote it under our name.
    else if (written && decision.verified && made.isCheck) {
      onChange("repaired", undefined);
      log.warn({ secretsync: key }, "restored a Secret that somebody had changed under the operator's name");
    }

    const outcome: Outcome = {
      plan: made,
      verdict,
      record,
      fetched,
      restarted: restarts.restarted,
      restartProblem: restarts.problem,
      restartWaiting: restarts.waiting,
    };
    const status = report(observed, outcome);
    const notes = notesOf(observed, outcome, status);
    const restarted = newlyRestarted(observed, outcome);
    logOutcome(key, trigger, outcome, restarted);
    const next = nextOf(key, observed, verdict, restarts, decision, epoch);
    task.free();
    // One after the other: who reads them sees causes before effects.
    for (const note of notes) await recordEvent(aboutSync(object.metadata), note, object.status, signal);
    for (const workload of namedWorkloads(observed, restarted.slice(0, MOST_WORKLOADS_TOLD)))
      await recordEvent(
        aboutWorkload(workload),
        restartNote(observed, record?.change),
        object.status,
        signal,
      );
    await writeStatus(object, status, signal);
    const target = written ?? observed.target;
    const isInStep =
      verdict.reason === "Synced" &&
      verdict.withheld === undefined &&
      !merges(observed) &&
      !(restarts.problem ?? restarts.waiting) &&
      restarts.retryInMs === 0 &&
      restarts.lookInMs === undefined;
    if (!isInStep || !record || !target) return next;
    const versions = decision.versions ?? (fetched && versionsOf(fetched));
    const inStep = { spec, sources: observed.sources, versions, left, version: record.version, target };
    if (!polling.give(object, inStep)) return next;
    observer.forget(object);
    return { kind: "rest", result: "success" };
  }

  async function tell(object: SyncObject, verdict: Failure, task: Task): Promise<Next> {
    const { generation } = object.metadata;
    const { signal } = task.limit;
    const status = reportUnplanned(object.status, generation, verdict, new Date(clock.now()).toISOString());
    const before = object.status.conditions?.find(({ type }) => type === "Ready");
    const write = async () => {
      if (before?.message !== verdict.message)
        await recordEvent(aboutSync(object.metadata), { type: "Warning", ...verdict }, object.status, signal);
      await writeStatus(object, status, signal);
    };
    task.free();
    // With the status the apiserver must read and write the whole object.
    let waitMs = 0;
    const isTold = before?.message === verdict.message && before.observedGeneration === generation;
    if (object.tooLarge === undefined || isTold) await write();
    else waitMs = await heavy.run(object.key, write);
    if (waitMs > 0) return { kind: "at", at: clock.monotonic() + waitMs, result: "stalled" };
    freshness.failed(object.key, STALLED_MS);
    if (!isStalled(verdict.reason)) return { kind: "backoff", atLeastMs: 0, atMostMs: STALLED_MS };
    return { kind: "at", at: clock.monotonic() + STALLED_MS, result: "stalled" };
  }

  /** `names`: as Kind/name. */
  function namedWorkloads({ metadata }: Observed, names: readonly string[]): readonly Workload[] {
    return workloadKinds.flatMap((kind) =>
      names.flatMap((name) => {
        const found = name.startsWith(`${kind}/`)
          ? views.workloads[kind].get(`${metadata.namespace}/${name.slice(kind.length + 1)}`)
          : undefined;
        return found ? [found] : [];
      }),
    );
  }

  function nextOf(
    key: string,
    observed: Observed,
    verdict: Verdict,
    restarts: Restarts,
    { freshUntil, nextRotation, verified = false, lookSoon = false, clients }: Decision,
    epoch: number,
  ): Next {
    const { reason, retryAfterMs = 0 } = verdict;
    const now = clock.monotonic();
    if (isFailure(reason)) {
      // Workloads that run with older content don't wait for what fails.
      const forRestarts = restarts.retryInMs > 0 ? restarts.retryInMs : Infinity;
      const result = isStalled(reason) ? "stalled" : "retry";
      freshness.failed(key, STALLED_MS, waitingReasons.has(reason) ? clients : undefined);
      if (result === "retry") {
        // What fails is looked at as often as what doesn't, within reason.
        const atMostMs = Math.max(OFTEN_MS, refreshMs(observed) ?? STALLED_MS);
        return { kind: "backoff", atLeastMs: retryAfterMs, atMostMs: Math.min(atMostMs, forRestarts) };
      }
      // Of what mends it only a change of the sources, or of somebody else's Secret, doesn't wake the object.
      const often = reason === "TargetConflict" ? OFTEN_MS : 0;
      const mayChange = lookSoon || often > 0;
      const waitMs = mayChange ? Math.max(often, refreshMs(observed) ?? STALLED_MS) : STALLED_MS;
      return { kind: "at", at: now + Math.min(waitMs, STALLED_MS, forRestarts), result };
    }
    // Who wasn't looked at keeps its time: another one might be that of the refresh after next.
    const at = freshUntil ?? now + untilRefresh(observed, reason);
    if (freshUntil === undefined)
      freshness.succeeded(key, { ...freshFor(observed), until: at }, { nextRotation, verified }, epoch);
    if (restarts.problem) return { kind: "backoff", atLeastMs: restarts.retryInMs };
    if (restarts.retryInMs > 0)
      return { kind: "at", at: Math.min(at, now + restarts.retryInMs), result: "retry" };
    if (restarts.lookInMs !== undefined)
      return { kind: "at", at: Math.min(at, now + restarts.lookInMs), result: "success" };
    return at === Infinity ? { kind: "rest", result: "success" } : { kind: "at", at, result: "success" };
  }

  function untilRefresh(observed: Observed, reason: Reason): number {
    const interval = reason === "Suspended" ? undefined : refreshMs(observed);
    return interval === undefined
      ? Infinity
      : nextRefreshMs(clock.now(), interval, refreshGroup(observed.sources));
  }

  function logOutcome(
    key: string,
    trigger: Trigger,
    { plan: { change }, verdict, restartProblem, restartWaiting }: Outcome,
    restarted: readonly string[],
  ): void {
    const fields = { secretsync: key, reason: verdict.reason, trigger };
    if (isFailure(verdict.reason)) log.warn({ ...fields, detail: verdict.message }, "sync failed");
    else if (change)
      log.info(
        { ...fields, change: change.kind, keys: change.kind === "deleted" ? [] : change.keys },
        "secret written",
      );
    else log.debug(fields, "unchanged");
    if (restarted.length > 0) log.info({ secretsync: key, workloads: restarted }, "workloads restarted");
    if (restartProblem) log.warn({ secretsync: key, detail: restartProblem }, "restart failed");
    if (restartWaiting) log.warn({ secretsync: key, detail: restartWaiting }, "restart waits");
  }
}

/** As many as an entry of the history names. */
const MOST_WORKLOADS_TOLD = 20;
/** Statuses of objects that are too large are written no faster than this. */
const HEAVY_EVERY_MS = 250;
/** No failing object needs to be tried again more often. */
const OFTEN_MS = 30_000;

const unreadable = (secret: string): Failure => ({
  reason: "WriteFailed",
  message: `spec.target: the apiserver can't decrypt Secret ${secret}; restore the key that it is encrypted with, or delete it from etcd`,
});

const waitingReasons: ReadonlySet<Reason> = new Set(reasonsWith("returns"));

/** Somebody else's Secret was in the way, so look before anything is fetched. */
const conflicted = ({ conditions = [] }: SecretSyncStatus): boolean =>
  conditions.some(({ type, reason }) => type === "Ready" && reason === "TargetConflict");
