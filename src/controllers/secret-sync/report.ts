import { isDeepStrictEqual } from "node:util";
import { FIELD_MANAGER } from "../../api/group.ts";
import type { SecretSyncStatus } from "../../api/secret-sync-status.ts";
import { ApiError, type KubeApi, type KubeObject } from "../../kube/kube-api.ts";
import { resources } from "../../kube/resources.ts";
import type { Change } from "../../plan/digest.ts";
import type { Observed } from "../../plan/observed.ts";
import { isDeletion, newlyRestarted, type Outcome } from "../../plan/report.ts";
import type { EventNote } from "./events.ts";
import type { Health } from "../health.ts";
import { projectSync, type SyncObject } from "../../cluster/sync-object.ts";
import type { Views } from "../../cluster/views.ts";

/** Step 6 of a reconcile: one status write, and only when it says something new. */
export function newStatusWriter(
  api: KubeApi,
  views: Views,
  onWrite: (kind: string) => void,
  health: Pick<Health, "failed" | "works">,
) {
  /** Keys of objects whose status couldn't be written yet. */
  const failing = new Set<string>();
  const isSettled = (key: string) => {
    if (failing.delete(key) && failing.size === 0) health.works("status");
  };
  views.syncs.listen((before, after) => {
    if (before && !after) isSettled(before.key);
  });

  return async function writeStatus(
    object: SyncObject,
    status: SecretSyncStatus,
    signal: AbortSignal,
  ): Promise<void> {
    if (isDeepStrictEqual(status, object.status)) return isSettled(object.key);
    // As it is stored: without what is undefined.
    const wanted = JSON.parse(JSON.stringify(status)) as SecretSyncStatus;
    if (isDeepStrictEqual(wanted, object.status)) return isSettled(object.key);
    const { name, namespace = "", uid = "" } = object.metadata;
    // The uid keeps the write from creating an object that was just deleted.
    const applied = { metadata: { name, namespace, uid }, status: wanted } as KubeObject;
    const options = { fieldManager: FIELD_MANAGER, force: true, metadataOnly: true } as const;
    let written: KubeObject;
    try {
      written = await api.apply(resources.secretSync, applied, { ...options, subresource: "status" }, signal);
    } catch (error) {
      // It was deleted meanwhile, which the watch is about to tell.
      if (error instanceof ApiError && error.status === 404) return isSettled(object.key);
      failing.add(object.key);
      health.failed("status", error, "status not written", { secretsync: object.key });
      throw error;
    }
    failing.clear();
    health.works("status");
    onWrite("SecretSync");
    // The answer is as of our write, so it may hold an edit that the watch hasn't brought yet. When that is an edit of
    // the spec, which the answer doesn't have, the watch must bring it all.
    if (written.metadata.generation !== object.metadata.generation) return;
    const now = projectSync({ ...written, spec: object.spec, status: wanted } as KubeObject);
    views.syncs.set(object.tooLarge === undefined ? now : { ...now, tooLarge: object.tooLarge }, "own");
  };
}

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
