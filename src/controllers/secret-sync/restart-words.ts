import { NoAnswerError, type ApiError } from "../../kube/kube-api.ts";
import type { Part } from "../../plan/step.ts";
import { quoted } from "../../plan/text.ts";

/** What is told of a workload that isn't restarted, in words that say what to do. */

export const toldHeld = ({ secretName }: Part, keys: readonly string[]): string =>
  `keeps its pods, as it can't start without ${keys.map(quoted).join(", ")}, which Secret ${secretName} lacks now: bring the key back, or make it optional`;

export const toldDamped = (by: string | undefined): string =>
  `${by === undefined ? "somebody" : quoted(by)} takes back what the operator writes into it, so it is written more and more rarely: leave annotations and template annotations of secretsync.dev alone`;

export const toldWaiting = {
  OnDelete:
    "has updateStrategy OnDelete, so pods of before the change stay until they are deleted: delete them",
  Partition: "has a partition, so pods below it stay as they were: lower the partition",
  Stuck:
    "was restarted, and its new pods don't become ready in time (ProgressDeadlineExceeded), so some stay as they were: see why by kubectl describe",
  Stalled:
    "was restarted ten minutes ago, and not all of its pods are new: see why by kubectl describe, and delete a pod that isn't ready, for which a StatefulSet waits",
  Paused: "is paused, so its pods stay as they are: resume it",
} as const;

export function explain(error: ApiError | NoAnswerError): string {
  if (error instanceof NoAnswerError) return "the apiserver gives no answer in time; look at its webhooks";
  if (error.status === 403) return "the operator may not patch it; check its Role";
  if (error.conflict) return "it changes all the time; trying again";
  return error.message;
}

const MOST_TOLD = 10;
/** Sorted, so that it is the same at each try. */
export function someOf(told: readonly string[]): string | undefined {
  const sorted = [...told].sort();
  if (sorted.length > MOST_TOLD) return `${sorted.slice(0, MOST_TOLD).join("; ")}; and others`;
  return sorted.length > 0 ? sorted.join("; ") : undefined;
}
