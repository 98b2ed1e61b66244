import { isDeepStrictEqual } from "node:util";
import type { ClusterSecretSyncSpec, ClusterSecretSyncStatus } from "../../api/cluster-secret-sync.ts";
import { annotation, API_VERSION, FAN_OUT_FIELD_MANAGER, FIELD_MANAGER } from "../../api/group.ts";
import { projectClusterSync, type ClusterSyncObject } from "../../cluster/cluster-sync.ts";
import { projectSync, type SyncObject } from "../../cluster/sync-object.ts";
import type { Views } from "../../cluster/views.ts";
import { listedObject } from "../../kube/collection.ts";
import { ApiError, type KubeApi, type KubeObject } from "../../kube/kube-api.ts";
import { resources } from "../../kube/resources.ts";
import { fingerprint } from "../../plan/digest.ts";
import {
  contains,
  nameOf,
  planFanOut,
  reportFanOut,
  reportInvalidFanOut,
  type ExistingSync,
  type FanOut,
} from "../../plan/fan-out.ts";
import type { Clock } from "../../runtime/clock.ts";
import { Pace } from "../../runtime/pace.ts";
import type { Taken } from "../../runtime/work-queue.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Next, Task } from "../controller.ts";
import type { Lane } from "./lanes.ts";

/**
 * One ClusterSecretSync, from what is to what should be:
 *
 *   observe namespaces and SecretSyncs ──► planFanOut ──► apply and delete ──► report
 *
 * What it makes belongs to it by an owner reference, so the cluster's garbage collector deletes all of it with it.
 */
export interface ClusterReconcilerOptions {
  readonly api: KubeApi;
  readonly views: Views;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onWrite: (kind: string) => void;
}

/** SecretSyncs that are written at once, and by one look. */
const AT_ONCE = 8;
const MOST_BY_A_LOOK = 200;
const MOST_REMOVED_BY_A_LOOK = 100;
/** Somebody may change one again and again, and gets an answer from time to time. */
const REPAIRS_AT_ONCE = 5;
const REPAIR_EACH_MS = 30_000;
const AGAIN_MS = 1_000;
/** Until then the watch should have shown what was made. */
const SHOWN_MS = 10_000;

/** A SecretSync that was made, and that the watch hasn't shown yet. */
interface Made {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly maker: string;
  readonly template: string;
  /** Monotonic. */
  readonly until: number;
}

interface Ended {
  /** What the apiserver didn't take, by namespace. */
  readonly refused: ReadonlyMap<string, string>;
  /** Something is left to do after so many milliseconds; undefined for nothing. */
  readonly againInMs: number | undefined;
}

export function newClusterReconciler({ api, views, clock, log, onWrite }: ClusterReconcilerOptions) {
  const repairs = new Pace({ clock, atOnce: REPAIRS_AT_ONCE, everyMs: REPAIR_EACH_MS });
  /** Of SecretSyncs, the version that was found to be as the template says; by the template's version. */
  const verified = new WeakMap<SyncObject, string>();
  /** By namespace/name. */
  const made = new Map<string, Made>();
  /** Namespaces that the apiserver refused at the last look, by uid of the ClusterSecretSync. */
  const refusedBefore = new Map<string, ReadonlySet<string>>();
  views.clusterSyncs.listen((before, after) => {
    if (before && before.uid !== after?.uid) refusedBefore.delete(before.uid);
  });

  return async function reconcile({ key }: Taken<Lane>, { limit }: Task): Promise<Next> {
    const object = views.clusterSyncs.get(key);
    if (!object || object.metadata.deletionTimestamp !== undefined) return { kind: "gone" };
    const { generation } = object.metadata;
    const at = new Date(clock.now()).toISOString();
    if (!object.spec.ok) {
      const status = reportInvalidFanOut(object.status, generation, object.spec.problems, at);
      await writeStatus(object, status, limit.signal);
      return { kind: "rest", result: "stalled" };
    }
    const spec = object.spec.value;
    const template = fingerprint(object.template, spec.template.metadata ?? {});
    const plan = planFanOut({
      name: key,
      spec,
      namespaces: openNamespaces(views),
      existing: await existing(object, spec, template, limit.signal),
    });
    const { refused, againInMs } = await carryOut(object, spec, template, plan, limit.signal);
    await writeStatus(object, reportFanOut(object.status, generation, plan, refused, at), limit.signal);
    if (refused.size > 0) return { kind: "backoff", atLeastMs: againInMs ?? 0 };
    if (againInMs !== undefined) return { kind: "at", at: clock.monotonic() + againInMs, result: "retry" };
    const waiting = [...made.values()].filter(({ maker }) => maker === object.uid);
    if (waiting.length > 0)
      return { kind: "at", at: Math.min(...waiting.map(({ until }) => until)), result: "success" };
    return { kind: "rest", result: "success" };
  };

  async function existing(
    { uid, key }: ClusterSyncObject,
    spec: ClusterSecretSyncSpec,
    template: string,
    signal: AbortSignal,
  ): Promise<readonly ExistingSync[]> {
    const name = nameOf({ name: key, spec });
    const found = new Map<string, SyncObject>();
    for (const each of views.syncsByMaker.get(uid)) {
      const sync = views.syncs.get(each);
      if (sync) found.set(each, sync);
    }
    for (const namespace of views.namespaces.values()) {
      const sync = views.syncs.get(`${namespace.key}/${name}`);
      if (sync) found.set(sync.key, sync);
    }
    const all = [...unseen(uid, found)].map((each) => ({
      ...each,
      isOurs: true,
      isAnothers: false,
      isAsWanted: each.template === template,
      ready: undefined,
    })) as ExistingSync[];
    for (const sync of found.values()) {
      if (sync.metadata.deletionTimestamp !== undefined) continue;
      const isOurs = sync.maker?.uid === uid;
      const ready = sync.status.conditions?.find(({ type }) => type === "Ready");
      const isCurrent = ready?.observedGeneration === sync.metadata.generation;
      all.push({
        namespace: sync.metadata.namespace ?? "",
        name: sync.metadata.name,
        uid: sync.uid,
        isOurs,
        isAnothers: !isOurs && sync.maker !== undefined,
        isAsWanted: isOurs && (await isAsWanted(sync, template, key, signal)),
        ready: isCurrent ? ready : undefined,
      });
    }
    return all;
  }

  /** What this one has made and nobody has shown yet; else it would be made again. */
  function* unseen(maker: string, shown: ReadonlyMap<string, SyncObject>): Iterable<Made> {
    for (const [key, each] of made) {
      if (shown.has(key) || each.until <= clock.monotonic()) made.delete(key);
      else if (each.maker === maker) yield each;
    }
  }

  /** The mark tells which template was applied last; what somebody changed since shows in the spec. */
  async function isAsWanted(
    sync: SyncObject,
    template: string,
    maker: string,
    signal: AbortSignal,
  ): Promise<boolean> {
    if (sync.maker?.template !== template) return false;
    if (verified.get(sync) === template) return true;
    const { name, namespace = "" } = sync.metadata;
    const whole = sync.isOutline
      ? await listedObject<KubeObject & { spec?: unknown }>(
          api,
          resources.secretSync,
          name,
          namespace,
          signal,
        )
      : sync;
    const wanted = views.clusterSyncs.get(maker)?.template;
    if (!whole || !contains(whole.spec, wanted)) return false;
    verified.set(sync, template);
    return true;
  }

  async function carryOut(
    object: ClusterSyncObject,
    spec: ClusterSecretSyncSpec,
    template: string,
    { apply, remove }: FanOut,
    signal: AbortSignal,
  ): Promise<Ended> {
    const refused = new Map<string, string>();
    let againInMs: number | undefined;
    const later = (ms: number) => (againInMs = Math.min(ms, againInMs ?? Infinity));
    const steps: { readonly namespace: string; readonly write: () => Promise<void> }[] = [];
    const before = refusedBefore.get(object.uid);
    // Those that were refused come last, or they would keep all others from their turn.
    for (const { namespace, uid } of before
      ? apply.toSorted((a, b) => rank(before, a) - rank(before, b))
      : apply) {
      if (steps.length >= MOST_BY_A_LOOK) {
        later(0);
        break;
      }
      const waitMs = uid === undefined ? 0 : repairs.waitMs(`${object.uid} ${template} ${namespace}`);
      if (waitMs > 0) later(waitMs);
      else steps.push({ namespace, write: () => stamp(object, spec, template, namespace, uid, signal) });
    }
    // Whoever copies the owner reference makes more of these, and keeps nobody from what is missing.
    if (remove.length > MOST_REMOVED_BY_A_LOOK) later(AGAIN_MS);
    for (const { namespace, name, uid } of remove.slice(0, MOST_REMOVED_BY_A_LOOK))
      steps.push({
        namespace,
        write: () => api.delete(resources.secretSync, name, namespace, { uid }, signal),
      });
    let written = 0;
    const attempt = async ({ namespace, write }: (typeof steps)[number]) => {
      try {
        await write();
        onWrite("SecretSync");
        written++;
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        // The views are about to show what is there.
        if (error.isTransient) later((error.retryAfterSeconds ?? 0) * 1_000 || AGAIN_MS);
        else refused.set(namespace, refusal(error));
      }
    };
    let next = 0;
    const worker = async () => {
      for (let step = steps[next++]; step; step = steps[next++]) await attempt(step);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    if (refused.size > 0) refusedBefore.set(object.uid, new Set(refused.keys()));
    else refusedBefore.delete(object.uid);
    if (written > 0)
      log.info({ clustersecretsync: object.key, written, refused: refused.size }, "secretsyncs written");
    return { refused, againInMs };
  }

  async function stamp(
    object: ClusterSyncObject,
    spec: ClusterSecretSyncSpec,
    template: string,
    namespace: string,
    uid: string | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { labels, annotations } = spec.template.metadata ?? {};
    const applied = {
      metadata: {
        name: nameOf({ name: object.key, spec }),
        namespace,
        // Without a uid: only create, since a name that is taken stays its owner's.
        ...(uid === undefined ? { resourceVersion: "1" } : { uid }),
        ...(labels ? { labels } : {}),
        annotations: { ...annotations, [annotation.template]: template },
        ownerReferences: [
          {
            apiVersion: API_VERSION,
            kind: "ClusterSecretSync",
            name: object.key,
            uid: object.uid,
            controller: true,
          },
        ],
      },
      spec: object.template,
    };
    const options = { fieldManager: FAN_OUT_FIELD_MANAGER, force: true };
    const written = await api.apply<KubeObject>(resources.secretSync, applied, options, signal);
    const sync = projectSync(written);
    views.syncs.set(sync, "own");
    if (views.syncs.get(sync.key)?.uid === sync.uid) return;
    const { name, uid: madeUid = "" } = written.metadata;
    const until = clock.monotonic() + SHOWN_MS;
    made.set(sync.key, { namespace, name, uid: madeUid, maker: object.uid, template, until });
  }

  async function writeStatus(
    object: ClusterSyncObject,
    status: ClusterSecretSyncStatus,
    signal: AbortSignal,
  ): Promise<void> {
    if (isDeepStrictEqual(status, object.status)) return;
    const { name, uid = "" } = object.metadata;
    const applied = { metadata: { name, uid }, status } as KubeObject;
    const options = { fieldManager: FIELD_MANAGER, force: true, subresource: "status" } as const;
    try {
      const written = await api.apply<KubeObject>(resources.clusterSecretSync, applied, options, signal);
      onWrite("ClusterSecretSync");
      views.clusterSyncs.set(projectClusterSync(written), "own");
    } catch (error) {
      // It was deleted meanwhile, which the watch is about to tell.
      if (!(error instanceof ApiError && error.status === 404)) throw error;
    }
  }
}

const rank = (refused: ReadonlySet<string>, { namespace }: { readonly namespace: string }): number =>
  refused.has(namespace) ? 1 : 0;

function* openNamespaces({ namespaces }: Views) {
  for (const { key, labels, isEnding } of namespaces.values()) if (!isEnding) yield { name: key, labels };
}

/** The apiserver's words hold no value here: a SecretSync has none. */
const refusal = ({ message }: ApiError): string => message;
