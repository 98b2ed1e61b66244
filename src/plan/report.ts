import type { Condition } from "../api/fields.ts";
import { annotation } from "../api/group.ts";
import type { HistoryEntry, SecretSyncStatus, SourceStatus } from "../api/secret-sync-status.ts";
import { isStalled, type Plan, type Verdict } from "./plan.ts";
import { targetName, type Observed } from "./observed.ts";
import { describeSource, providerName, type FetchedValues } from "./sources.ts";

/** From what happened to the status. Conditions follow kstatus: Ready always, the others only while they hold. */

export type Trigger = "Created" | "Spec" | "Request" | "Refresh" | "Drift";

export interface Outcome {
  readonly plan: Plan;
  /** Overrides the plan's verdict when a write failed. */
  readonly verdict: Verdict;
  readonly trigger: Trigger;
  readonly fetched: FetchedValues | undefined;
  /** Kind/name of workloads that were restarted, and of those that could not be. */
  readonly restarted: readonly string[];
  readonly restartProblem: string | undefined;
  /** RFC 3339. */
  readonly now: string;
}

const HISTORY = 10;
const KEYS_IN_HISTORY = 20;
const SOURCES_IN_STATUS = 32;

export function report(observed: Observed, outcome: Outcome): SecretSyncStatus {
  const { metadata, status: before } = observed;
  const { plan, verdict, now } = outcome;
  const written = verdict.reason === "Synced" && plan.change !== undefined;
  const requestedAt = metadata.annotations?.[annotation.requestedAt];
  const deleted = plan.change?.kind === "deleted" && verdict.reason === "Deleted";
  return {
    observedGeneration: metadata.generation,
    conditions: [...conditions(observed, outcome)],
    ...(deleted
      ? {}
      : keep("secretRef", observed.target || written ? { name: targetName(observed) } : before.secretRef)),
    ...keep("lastChangeTime", written || deleted ? now : before.lastChangeTime),
    // A failed try isn't handled yet.
    ...keep("lastHandledReconcileAt", succeeded(verdict) ? requestedAt : before.lastHandledReconcileAt),
    provider: providersOf(observed),
    ...keep(
      "sources",
      outcome.fetched && succeeded(verdict) ? sourceList(observed, outcome.fetched) : before.sources,
    ),
    ...keep("history", history(outcome, before)),
  };
}

/** For a spec that doesn't even parse. */
export function reportInvalid(
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
      condition(before, generation, now, "Stalled", "True", verdict),
    ],
  };
}

const succeeded = ({ reason }: Verdict): boolean => reason === "Synced" || reason === "Deleted";

function* conditions(observed: Observed, outcome: Outcome): Iterable<Condition> {
  const { metadata, status: before } = observed;
  const { verdict, now, restarted, restartProblem } = outcome;
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
        message: `Secret ${observed.target.name} keeps the content of ${before.lastChangeTime ?? "an earlier sync"}`,
      });
    }
  }

  const last = before.conditions?.find(({ type }) => type === "Restarted");
  if (restartProblem) yield make("Restarted", "False", { reason: "RestartFailed", message: restartProblem });
  else if (restarted.length > 0) {
    const names =
      restarted.length > 10 ? `${restarted.slice(0, 10).join(", ")} and others` : restarted.join(", ");
    yield {
      ...make("Restarted", "True", { reason: "Restarted", message: `restarted ${names}` }),
      lastTransitionTime: now,
    };
  } else if (last && last.status === "True") yield last;
}

function condition(
  before: SecretSyncStatus,
  generation: number | undefined,
  now: string,
  type: string,
  status: Condition["status"],
  { reason, message }: { reason: string; message: string },
): Condition {
  const same = before.conditions?.find((other) => other.type === type && other.status === status);
  return {
    type,
    status,
    reason,
    message,
    lastTransitionTime: same?.lastTransitionTime ?? now,
    ...keep("observedGeneration", generation),
  };
}

function history(outcome: Outcome, before: SecretSyncStatus): HistoryEntry[] | undefined {
  const { plan, verdict, now, restarted, restartProblem, trigger } = outcome;
  const past = before.history ?? [];
  const changed = plan.change && succeeded(verdict);
  if (!changed && restarted.length === 0) return before.history;
  const keys = (plan.change?.keys ?? []).slice(0, KEYS_IN_HISTORY);
  const [latest] = past;
  // Restarts that a crash put off belong to the change before them.
  if (!changed && latest && (latest.workloads ?? []).length === 0) {
    return [{ ...latest, workloads: [...restarted], outcome: "Restarted" }, ...past.slice(1)];
  }
  const entry: HistoryEntry = {
    time: now,
    trigger: plan.change?.kind === "repaired" ? "Drift" : trigger,
    keys: [...keys],
    ...(restarted.length > 0 ? { workloads: [...restarted] } : {}),
    outcome: outcomeWord(plan, restarted, restartProblem),
  };
  return [entry, ...past].slice(0, HISTORY);
}

function outcomeWord(plan: Plan, restarted: readonly string[], restartProblem: string | undefined): string {
  if (restartProblem) return "RestartFailed";
  if (restarted.length > 0) return "Restarted";
  if (plan.change?.kind === "deleted") return "Deleted";
  return plan.change?.kind === "repaired" ? "Repaired" : "Written";
}

function sourceList(observed: Observed, fetched: FetchedValues): SourceStatus[] {
  return observed.sources.slice(0, SOURCES_IN_STATUS).map((source) => {
    const result = fetched.get(source.id);
    const base = { provider: providerName(source.provider), key: describeSource(source) };
    if (result?.kind !== "found") return base;
    return { ...base, versionId: result.versionId, versionStages: [...result.versionStages] };
  });
}

function providersOf({ sources }: Observed): string {
  return [...new Set(sources.map(({ provider }) => provider.name))].join(", ");
}

function keep<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { [P in K]?: V };
}
