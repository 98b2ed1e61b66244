import type { ClusterSecretSyncSpec } from "../../api/cluster-secret-sync.ts";
import { annotation, API_VERSION, FAN_OUT_FIELD_MANAGER } from "../../api/group.ts";
import type { ClusterSyncObject } from "../../cluster/cluster-sync.ts";
import { projectSync } from "../../cluster/sync-object.ts";
import type { Views } from "../../cluster/views.ts";
import { ApiError, type KubeApi, type KubeObject } from "../../kube/kube-api.ts";
import { resources } from "../../kube/resources.ts";
import type { FanOut } from "../../plan/fan-out.ts";
import type { Clock } from "../../runtime/clock.ts";
import { Pace } from "../../runtime/pace.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { MadeSyncs } from "./made.ts";

/**
 * Makes SecretSyncs, brings them back to what the template says, and deletes those that nobody wants. They belong to the
 * ClusterSecretSync by an owner reference, so the cluster's garbage collector deletes all of them with it.
 */
export interface ClusterApplierOptions {
  readonly api: KubeApi;
  readonly views: Views;
  readonly made: MadeSyncs;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onWrite: (kind: string) => void;
}

/** What each of the namespaces is to have. */
export interface Wanted {
  readonly object: ClusterSyncObject;
  readonly spec: ClusterSecretSyncSpec;
  /** Of the SecretSyncs. */
  readonly name: string;
  /** Fingerprint of the template. */
  readonly template: string;
}

export interface Ended {
  /** What the apiserver didn't take, by namespace. */
  readonly refused: ReadonlyMap<string, string>;
  /** Something is left to do after so many milliseconds; undefined for nothing. */
  readonly againInMs: number | undefined;
}

/** SecretSyncs that are written at once, and by one look. */
const AT_ONCE = 8;
const MOST_BY_A_LOOK = 200;
const MOST_REMOVED_BY_A_LOOK = 100;
/** Somebody may change one again and again, and gets an answer from time to time. */
const REPAIRS_AT_ONCE = 5;
const REPAIR_EACH_MS = 30_000;
const AGAIN_MS = 1_000;

export function newClusterApplier({ api, views, made, clock, log, onWrite }: ClusterApplierOptions) {
  const repairs = new Pace({ clock, atOnce: REPAIRS_AT_ONCE, everyMs: REPAIR_EACH_MS });
  /** Namespaces that the apiserver refused at the last look, by uid of the ClusterSecretSync. */
  const refusedBefore = new Map<string, ReadonlySet<string>>();
  views.clusterSyncs.listen((before, after) => {
    if (before && before.uid !== after?.uid) refusedBefore.delete(before.uid);
  });

  return async function carryOut(
    wanted: Wanted,
    { apply, remove }: FanOut,
    signal: AbortSignal,
  ): Promise<Ended> {
    const { object, template } = wanted;
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
      else steps.push({ namespace, write: () => stamp(wanted, namespace, uid, signal) });
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
  };

  async function stamp(
    { object, spec, name, template }: Wanted,
    namespace: string,
    uid: string | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { labels, annotations } = spec.template.metadata ?? {};
    const applied = {
      metadata: {
        name,
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
    made.note({ key: sync.key, namespace, name, uid: sync.uid, maker: object.uid, template });
  }
}

const rank = (refused: ReadonlySet<string>, { namespace }: { readonly namespace: string }): number =>
  refused.has(namespace) ? 1 : 0;

/** The apiserver's words hold no value here: a SecretSync has none. */
const refusal = ({ message }: ApiError): string => message;
