import type { ClusterSyncObject } from "../../cluster/cluster-sync.ts";
import type { SyncObject } from "../../cluster/sync-object.ts";
import type { Views } from "../../cluster/views.ts";
import { nameOf } from "../../plan/fan-out.ts";
import type { WorkQueue } from "../../runtime/work-queue.ts";
import type { Lane } from "./lanes.ts";

/** Which changes in the cluster make which ClusterSecretSyncs due. */

/** What many namespaces tell within that time is looked at once. */
const TOGETHER_MS = 200;

export function connectClusterTriggers(
  views: Pick<Views, "clusterSyncs" | "namespaces" | "syncs">,
  queue: WorkQueue<Lane>,
): void {
  /** Names by uid. */
  const names = new Map<string, string>();

  views.clusterSyncs.listen((before, after) => {
    if (before && before.uid !== after?.uid) names.delete(before.uid);
    if (!after) {
      if (before) queue.remove(before.key);
      return;
    }
    names.set(after.uid, after.key);
    const isSame = before?.uid === after.uid && before.metadata.generation === after.metadata.generation;
    if (!isSame) queue.add(after.key, "edit");
  });

  views.namespaces.listen((before, after) => {
    const isSame =
      before !== undefined &&
      after !== undefined &&
      before.isEnding === after.isEnding &&
      JSON.stringify(before.labels) === JSON.stringify(after.labels);
    if (isSame) return;
    for (const { key } of views.clusterSyncs.values()) queue.addAfter(key, TOGETHER_MS, "event");
  });

  views.syncs.listen((before, after) => {
    for (const uid of new Set([before?.maker?.uid, after?.maker?.uid])) {
      const name = uid === undefined ? undefined : names.get(uid);
      if (name !== undefined && !(before && after && tellsTheSame(before, after)))
        queue.addAfter(name, TOGETHER_MS, "event");
    }
    // Whoever waits for the name may have it now: it is gone, or no longer what another one has made.
    const isFree = before && (!after || before.uid !== after.uid || before.maker?.uid !== after.maker?.uid);
    if (isFree)
      for (const object of views.clusterSyncs.values())
        if (wantedName(object) === before.metadata.name) queue.addAfter(object.key, TOGETHER_MS, "event");
  });
}

const wantedName = ({ key, spec }: ClusterSyncObject): string | undefined =>
  spec.ok ? nameOf({ name: key, spec: spec.value }) : undefined;

const tellsTheSame = (before: SyncObject, after: SyncObject): boolean =>
  before.uid === after.uid &&
  before.metadata.generation === after.metadata.generation &&
  before.maker?.uid === after.maker?.uid &&
  before.maker?.template === after.maker?.template &&
  readyOf(before) === readyOf(after);

const readyOf = ({ status }: SyncObject): string => {
  const ready = status.conditions?.find(({ type }) => type === "Ready");
  return JSON.stringify([ready?.status, ready?.reason, ready?.message, ready?.observedGeneration]);
};
