import type { SecretSyncStatus } from "../../api/secret-sync-status.ts";
import { projectSync, type SyncObject } from "../../cluster/sync-object.ts";
import type { Views } from "../../cluster/views.ts";
import type { KubeApi, KubeObject } from "../../kube/kube-api.ts";
import { resources } from "../../kube/resources.ts";
import type { Change } from "../../plan/digest.ts";
import { targetName, type Observed } from "../../plan/observed.ts";
import { isDeletion, newlyRestarted, type Outcome } from "../../plan/report.ts";
import type { Health } from "../health.ts";
import { newStatusWriter } from "../status-writer.ts";
import type { EventNote } from "./events.ts";

/** Step 5 of a reconcile. */
export const newSyncStatusWriter = (
  api: KubeApi,
  views: Views,
  onWrite: (kind: string) => void,
  health: Pick<Health, "failed" | "works">,
) =>
  newStatusWriter<SyncObject>({
    api,
    type: resources.secretSync,
    store: views.syncs,
    after(object, written, status) {
      const now = projectSync({ ...written, spec: object.spec, status } as KubeObject);
      return object.tooLarge === undefined ? now : { ...now, tooLarge: object.tooLarge };
    },
    part: "status",
    onWrite,
    health,
  });

/** Events for what status newly tells: failures once, rotations, repairs and restarts. A first sync is no news. */
export function notesOf(observed: Observed, outcome: Outcome, after: SecretSyncStatus): readonly EventNote[] {
  const { verdict, record, restartProblem, restartWaiting } = outcome;
  const before = observed.status;
  const notes: EventNote[] = [];
  const ready = (status: SecretSyncStatus) => status.conditions?.find(({ type }) => type === "Ready");
  const failed = ready(after)?.status === "False";
  if (failed && (ready(before)?.reason !== verdict.reason || ready(before)?.message !== verdict.message)) {
    notes.push({ type: "Warning", reason: verdict.reason, message: verdict.message });
  }
  if (isDeletion(before, verdict))
    notes.push({ type: "Normal", reason: "Deleted", message: verdict.message });
  else if (record?.change && after.lastChangeTime !== before.lastChangeTime) {
    const message = toldChange(record.change);
    if (message !== undefined) notes.push({ type: "Normal", reason: "Synced", message });
  }
  const restarted = newlyRestarted(observed, outcome);
  if (restarted.length > 0)
    notes.push({ type: "Normal", reason: "Restarted", message: `restarted ${restarted.join(", ")}` });
  const told = before.conditions?.find(({ type, status }) => type === "Restarted" && status === "False");
  for (const [reason, message] of [
    ["RestartFailed", restartProblem],
    ["RestartWaiting", restartProblem ? undefined : restartWaiting],
  ] as const)
    if (message !== undefined && told?.message !== message) notes.push({ type: "Warning", reason, message });
  return notes;
}

/** For who looks at a workload and wonders why it was restarted. */
export function restartNote({ metadata, spec }: Observed, change: Change | undefined): EventNote {
  const secret = targetName({ metadata, spec });
  const keys = change?.keys ?? [];
  const what =
    keys.length > 0 ? `${keys.join(", ")} of Secret ${secret} changed` : `Secret ${secret} was restored`;
  return {
    type: "Normal",
    reason: "Restarted",
    message: `restarted, since ${what} (SecretSync ${metadata.name})`,
  };
}

function toldChange({ kind, keys, removed = [], doubt }: Change): string | undefined {
  switch (kind) {
    case "created":
      return undefined;
    case "updated": {
      const changed = keys.filter((key) => !removed.includes(key));
      return [
        ...(changed.length > 0 ? [`changed ${changed.join(", ")}`] : []),
        ...(removed.length > 0 ? [`removed ${removed.join(", ")}`] : []),
      ].join("; ");
    }
    case "repaired":
      return doubt && !doubt.absent && doubt.since === undefined
        ? "restored the Secret, which somebody had changed; since when isn't known, so look whether pods that were started meanwhile must restart"
        : "restored the Secret, which somebody had changed or deleted";
  }
}
