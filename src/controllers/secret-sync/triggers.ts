import { annotation } from "../../api/group.ts";
import { sleep, type Clock } from "../../runtime/clock.ts";
import { Damper } from "./damper.ts";
import type { DriftTimes } from "../../cluster/drift.ts";
import { workloadKinds } from "../../api/secret-sync.ts";
import type { Workload } from "../../rollout/workload.ts";
import type { WorkQueue } from "../../runtime/work-queue.ts";
import type { Lane } from "./lanes.ts";
import { Pace } from "../../runtime/pace.ts";
import type { Polling } from "./polling.ts";
import { isMerging, isSuspended, targetKeyOf, type SyncObject } from "../../cluster/sync-object.ts";
import { providerKey, secretsOf, type ProviderObject, type Views } from "../../cluster/views.ts";

/** Which changes in the cluster make which SecretSyncs due. The reconcile itself never learns what it was. */
export function connectTriggers(
  views: Views,
  queue: WorkQueue<Lane>,
  polling: Pick<Polling, "forget" | "expire">,
  clock: Clock,
  leastRefreshMs: number,
  drift: DriftTimes,
): void {
  const damper = new Damper(clock);
  const requests = new Pace({
    clock,
    atOnce: REQUESTS_AT_ONCE,
    everyMs: Math.max(REQUEST_EACH_MS, leastRefreshMs),
  });
  // Somebody who edits wants to see what comes of it, whatever the refresh interval.
  const edits = new Pace({ clock, atOnce: EDITS_AT_ONCE, everyMs: EDIT_EACH_MS });
  const rewrites = new Pace({ clock, atOnce: REWRITES_AT_ONCE, everyMs: REWRITE_EACH_MS });
  const addIn = (waitMs: number, key: string, lane: Lane) => {
    if (waitMs > 0) queue.addAfter(key, waitMs, lane);
    else queue.add(key, lane);
  };
  /** What they may read, or where, has changed. */
  const lookAgain = async (keys: Iterable<string>) => {
    let looked = 0;
    for (const key of keys) {
      if (++looked % PORTION === 0) await sleep(clock, 0);
      const object = views.syncs.get(key);
      if (!object || isSuspended(object.spec)) continue;
      polling.expire(key);
      queue.add(key, "edit");
    }
  };
  const providerEdits = new Pace({ clock, atOnce: EDITS_AT_ONCE, everyMs: EDIT_EACH_MS });
  /** Provider objects that will be looked at again. */
  const waiting = new Set<string>();
  /** Whoever edits a provider without end makes many busy each time. */
  const providerChanged = (key: string) => {
    if (waiting.has(key)) return;
    const waitMs = providerEdits.waitMs(key);
    if (waitMs === 0) return void lookAgain(Array.from(views.syncsByProvider.get(key)));
    waiting.add(key);
    clock.after(waitMs, () => {
      waiting.delete(key);
      providerChanged(key);
    });
  };
  /** Whoever waited for a Secret that somebody no longer wants may write it now. */
  const wakeHeir = (item: SyncObject) => {
    const targetKey = targetKeyOf(item);
    const heir = views.claims.winner(targetKey, views.secrets.get(targetKey)?.owner);
    if (heir !== undefined && heir !== item.key) queue.add(heir, "edit");
  };

  views.syncs.listen((before, after) => {
    if (!after) {
      if (before) {
        queue.remove(before.key);
        polling.forget(before.key);
        damper.forget(before.key);
        wakeHeir(before);
      }
    } else if (!before || before.uid !== after.uid) {
      if (before) polling.forget(before.key);
      const waitMs = edits.isPaced(after.key) ? edits.waitMs(after.key) : 0;
      addIn(waitMs, after.key, after.status.conditions ? "edit" : "new");
    } else if (isDeletion(before, after)) {
      queue.add(after.key, "edit");
      wakeHeir(before);
    } else if (isEdit(before, after)) {
      addIn(edits.waitMs(after.key), after.key, "edit");
      if (!sameClaim(before, after)) wakeHeir(before);
    } else if (isRequest(before, after)) {
      addIn(requests.waitMs(after.key), after.key, "edit");
    }
  });

  for (const [store, kind] of [
    [views.providers, "SecretProvider"],
    [views.clusterProviders, "ClusterSecretProvider"],
  ] as const) {
    store.listen((before, after) => {
      const isSame = before?.uid === after?.uid && before?.metadata.generation === after?.metadata.generation;
      if (before && after && isSame) return;
      const { metadata } = (after ?? before) as ProviderObject;
      providerChanged(providerKey(kind, metadata.namespace ?? "", metadata.name));
    });
  }

  views.namespaces.listen((before, after) => {
    // One that is new to us counts: its SecretSyncs may have come before it.
    if (!after || (before && sameMap(before.labels, after.labels))) return;
    const ofIt = Array.from(views.syncs.values()).filter(({ metadata }) => metadata.namespace === after.key);
    void lookAgain(ofIt.map(({ key }) => key));
  });

  views.secrets.listen((before, after, origin) => {
    const { namespace, name } = (after ?? before) as { namespace: string; name: string };
    const targetKey = `${namespace}/${name}`;
    if (origin === "own" && after) drift.forget(targetKey);
    else if (before && !after?.isUntouched) drift.note(targetKey);
    if (origin === "own" || after?.isUntouched) return;
    const concerned = new Set(views.syncsByAbandoned.get(targetKey));
    for (const secret of [before, after])
      for (const key of views.claims.concerned(targetKey, secret?.owner)) concerned.add(key);
    for (const key of concerned) {
      const waitMs = damper.waitMs(key);
      // A deleted target is what hurts most.
      addIn(waitMs, key, waitMs > 0 || after ? "edit" : "new");
    }
  });

  for (const kind of workloadKinds) {
    views.workloads[kind].listen((before, after, origin) => {
      if (origin === "own" || !after) return;
      if (before && before.uid === after.uid && sameMap(factsOf(before), factsOf(after))) return;
      const waitMs = rewrites.waitMs(after.uid);
      for (const name of secretsOf(after)) {
        const targetKey = `${after.namespace}/${name}`;
        for (const key of views.claims.concerned(targetKey, views.secrets.get(targetKey)?.owner))
          addIn(waitMs, key, "edit");
      }
    });
  }
}

/** Somebody who replaces the whole object drops what is noted on it, or puts an old template back. */
const factsOf = ({ consumes, requires, consumed, restartedFor, waitsFor, isRolling }: Workload) => ({
  isRolling,
  consumes,
  requires,
  consumed,
  restartedFor,
  waitsFor,
});

/** Of one workload: each may wake as many SecretSyncs as it consumes Secrets. */
const REWRITES_AT_ONCE = 10;
const REWRITE_EACH_MS = 2_000;
const REQUESTS_AT_ONCE = 5;
const REQUEST_EACH_MS = 10_000;
const EDITS_AT_ONCE = 30;
const EDIT_EACH_MS = 5_000;

/** SecretSyncs that are looked at in one turn of the event loop. */
const PORTION = 1_000;

const isEdit = (before: SyncObject, after: SyncObject): boolean =>
  before.metadata.generation !== after.metadata.generation;

const isDeletion = (before: SyncObject, after: SyncObject): boolean =>
  before.metadata.deletionTimestamp === undefined && after.metadata.deletionTimestamp !== undefined;

const isRequest = (before: SyncObject, after: SyncObject): boolean =>
  before.metadata.annotations?.[annotation.requestedAt] !==
  after.metadata.annotations?.[annotation.requestedAt];

/** Whether they want to write the same Secret in the same way. */
const sameClaim = (before: SyncObject, after: SyncObject): boolean =>
  targetKeyOf(before) === targetKeyOf(after) && isMerging(before) === isMerging(after);

const sameMap = (a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>): boolean =>
  JSON.stringify(a) === JSON.stringify(b);
