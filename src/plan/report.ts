import type { Condition } from "../api/fields.ts";
import type { HistoryEntry, SecretSyncStatus, SourceStatus } from "../api/secret-sync-status.ts";
import { condition } from "./condition.ts";
import type { Change, ContentRecord } from "./digest.ts";
import { isStalled, type Plan, type Verdict } from "./plan.ts";
import { targetName, type Observed } from "./observed.ts";
import {
  describeSource,
  MISSING_VERSION,
  providerName,
  type FetchedValues,
  type SourceVersions,
} from "./sources.ts";
import { requestOf, triggerOf } from "./trigger.ts";

/** From what happened to the status. Conditions follow kstatus: Ready always, the others only while they hold. */

export interface Outcome {
  readonly plan: Plan;
  /** Overrides the plan's verdict when a write failed. */
  readonly verdict: Verdict;
  /** The record of what the Secret holds now. */
  readonly record: ContentRecord | undefined;
  readonly fetched: FetchedValues | undefined;
  /** Kind/name of the workloads that were restarted for the record's change: now, or before a crash. */
  readonly restarted: readonly string[];
  /** Those that could not be, and why. */
  readonly restartProblem: string | undefined;
  /** Those whose pods stay until somebody acts, and for what they wait. */
  readonly restartWaiting: string | undefined;
}

const HISTORY = 10;
const WORKLOADS_IN_HISTORY = 20;
const SOURCES_IN_STATUS = 32;

export function report(observed: Observed, outcome: Outcome): SecretSyncStatus {
  const { metadata, status: before, now } = observed;
  const { verdict, record } = outcome;
  const deleted = isDeletion(before, verdict);
  return {
    observedGeneration: metadata.generation,
    conditions: [...conditions(observed, outcome)],
    ...(deleted ? {} : keep("secretRef", record ? { name: targetName(observed) } : before.secretRef)),
    ...keep("lastChangeTime", deleted ? now : (record?.change?.at ?? before.lastChangeTime)),
    // A failed try isn't handled yet.
    ...keep(
      "lastHandledReconcileAt",
      succeeded(verdict) ? requestOf(metadata) : before.lastHandledReconcileAt,
    ),
    provider: providersOf(observed),
    ...keep(
      "sources",
      outcome.fetched && succeeded(verdict) ? sourceList(observed, outcome.fetched) : before.sources,
    ),
    ...keep("history", history(observed, outcome)),
  };
}

/** Whether status is yet to tell that the Secret was deleted as deletionPolicy says. */
export const isDeletion = (before: SecretSyncStatus, { reason }: Verdict): boolean =>
  reason === "Deleted" && before.secretRef !== undefined;

/** Whether status tells the last change of the Secret; not so after a crash before it was written. */
export const tellsChange = ({ status }: Observed, record: ContentRecord | undefined): boolean =>
  record?.change === undefined || record.change.at === status.lastChangeTime;

/** Whether status tells which versions the Secret holds. */
export function tellsVersions({ sources, status }: Observed, versions: SourceVersions): boolean {
  return sources.slice(0, SOURCES_IN_STATUS).every((source, index) => {
    const version = versions.get(source.id);
    if (typeof version !== "string") return true;
    return (status.sources?.[index]?.versionId ?? MISSING_VERSION) === version;
  });
}

/** For what fails before anything can be planned, such as a spec that doesn't parse. */
export function reportUnplanned(
  before: SecretSyncStatus,
  generation: number | undefined,
  verdict: Verdict,
  now: string,
): SecretSyncStatus {
  return {
    ...before,
    observedGeneration: generation,
    conditions: [
      condition(before, generation, now, "Ready", "False", verdict),
      condition(
        before,
        generation,
        now,
        isStalled(verdict.reason) ? "Stalled" : "Reconciling",
        "True",
        verdict,
      ),
    ],
  };
}

const succeeded = ({ reason }: Verdict): boolean => reason === "Synced" || reason === "Deleted";

function* conditions(observed: Observed, outcome: Outcome): Iterable<Condition> {
  const { metadata, status: before, now } = observed;
  const { verdict, restarted, restartProblem, restartWaiting } = outcome;
  const make = (
    type: string,
    status: Condition["status"],
    said: Verdict | { reason: string; message: string },
  ) => condition(before, metadata.generation, now, type, status, said);
  const ready = before.conditions?.find(({ type }) => type === "Ready")?.status;

  if (verdict.reason === "Suspended") yield make("Ready", ready ?? "Unknown", verdict);
  else yield make("Ready", succeeded(verdict) ? "True" : "False", verdict);

  if (!succeeded(verdict) && verdict.reason !== "Suspended") {
    yield make(isStalled(verdict.reason) ? "Stalled" : "Reconciling", "True", verdict);
    if (observed.target?.owner === metadata.name) {
      yield make("Stale", "True", {
        reason: verdict.reason,
        message: verdict.withheld
          ? `Secret ${observed.target.name} keeps ${verdict.withheld.length} of its keys as they were`
          : `Secret ${observed.target.name} keeps the content of ${before.lastChangeTime ?? "an earlier sync"}`,
      });
    }
  }

  const last = before.conditions?.find(({ type }) => type === "Restarted");
  if (restartProblem) yield make("Restarted", "False", { reason: "RestartFailed", message: restartProblem });
  else if (restartWaiting)
    yield make("Restarted", "False", { reason: "RestartWaiting", message: restartWaiting });
  else if (restarted.length > 0) {
    const names =
      restarted.length > 10 ? `${restarted.slice(0, 10).join(", ")} and others` : restarted.join(", ");
    const said = make("Restarted", "True", { reason: "Restarted", message: `restarted ${names}` });
    // Each round of restarts is news, though the condition was True before.
    yield newlyRestarted(observed, outcome).length > 0 ? { ...said, lastTransitionTime: now } : said;
  } else if (last && last.status === "True") yield last;
}

/** Workloads that status doesn't show as restarted for this change yet. */
export function newlyRestarted({ status }: Observed, { record, restarted }: Outcome): readonly string[] {
  const [latest] = status.history ?? [];
  const told = latest?.time === record?.change?.at ? (latest?.workloads ?? []) : [];
  return told.length === WORKLOADS_IN_HISTORY ? [] : restarted.filter((name) => !told.includes(name));
}

/** The record's change is the latest entry; it gathers the restarts for it. */
function history(observed: Observed, outcome: Outcome): HistoryEntry[] | undefined {
  const { status: before, now } = observed;
  const { record, verdict, restarted, restartProblem, restartWaiting } = outcome;
  const past = before.history ?? [];
  if (isDeletion(before, verdict)) {
    const entry = { time: now, trigger: triggerOf(observed), keys: [], outcome: "Deleted" };
    return [entry, ...past].slice(0, HISTORY);
  }
  const { change } = record ?? {};
  if (!change) return before.history;
  const [latest, ...older] = past;
  const isTold = latest?.time === change.at;
  const workloads = [...new Set([...(isTold ? (latest.workloads ?? []) : []), ...restarted])];
  const entry: HistoryEntry = {
    time: change.at,
    trigger: change.trigger,
    keys: [...change.keys],
    ...(workloads.length > 0 ? { workloads: workloads.slice(0, WORKLOADS_IN_HISTORY) } : {}),
    outcome: outcomeWord(change, workloads, restartProblem, restartWaiting),
  };
  return [entry, ...(isTold ? older : past)].slice(0, HISTORY);
}

function outcomeWord(
  { kind }: Change,
  restarted: readonly string[],
  restartProblem: string | undefined,
  restartWaiting: string | undefined,
): string {
  if (restartProblem) return "RestartFailed";
  if (restartWaiting) return "RestartWaiting";
  if (restarted.length > 0) return "Restarted";
  return kind === "repaired" ? "Repaired" : "Written";
}

function sourceList(observed: Observed, fetched: FetchedValues): SourceStatus[] {
  return observed.sources.slice(0, SOURCES_IN_STATUS).map((source) => {
    const result = fetched.get(source.id);
    const base = { provider: providerName(source.provider), key: describeSource(source) };
    if (result?.kind !== "found") return base;
    return { ...base, versionId: result.versionId, versionStages: [...result.versionStages].sort() };
  });
}

function providersOf({ sources }: Observed): string {
  return [...new Set(sources.map(({ provider }) => provider.name))].join(", ");
}

function keep<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { [P in K]?: V };
}
