import { annotation } from "../api/group.ts";
import type { SecretSyncSpec } from "../api/secret-sync.ts";
import type { LiveTarget } from "../plan/live-target.ts";
import { refreshMs } from "../plan/plan.ts";
import { nextRefreshMs } from "../plan/schedule.ts";
import { contentFingerprint, refreshGroup, sourcesOf } from "../plan/sources.ts";
import { requestOf } from "../plan/trigger.ts";
import type { Clock } from "../runtime/clock.ts";
import type { newFetcher } from "./fetch.ts";
import type { Freshness } from "./freshness.ts";
import type { Next } from "./reconciler.ts";
import { targetKeyOf, type SyncObject } from "./sync-object.ts";
import { waitForProvider, type Due, type Task } from "./task.ts";
import type { Views } from "./views.ts";

/**
 * Most refreshes find nothing new, and then only the question costs anything. A full look that ended in step, with nothing left to
 * write, to restart or to tell, leaves a mark: the object, and the version of its Secret. As long as both are the same, and the
 * versions of the sources too, another full look would end as that one did. Workloads, providers and whatever else matters make
 * an object due by themselves when they change.
 */
export interface QuietRefresh {
  /** `target`: the Secret with which the object is in step; undefined: from now on it needs a full look. */
  mark(object: SyncObject, target: LiveTarget | undefined): void;
  /** When to come back; undefined when the object isn't known to be in step, or there is something new. */
  refresh(object: SyncObject, spec: SecretSyncSpec, due: Due, task: Task): Promise<Next | undefined>;
}

export function newQuietRefresh(options: {
  readonly views: Views;
  readonly freshness: Freshness;
  readonly fetcher: Pick<ReturnType<typeof newFetcher>, "versions">;
  readonly clock: Clock;
  readonly leastRefreshMs: number;
}): QuietRefresh {
  const { views, freshness, fetcher, clock, leastRefreshMs } = options;
  /** The resource version of the Secret, for as long as the object is held by somebody else: marks keep nothing alive. */
  const inStepWith = new WeakMap<SyncObject, string>();

  /** The Secret, if the object is still in step with it. */
  const quietTarget = (object: SyncObject): LiveTarget | undefined => {
    const target = views.secrets.get(targetKeyOf(object));
    return target && inStepWith.get(object) === target.resourceVersion ? target : undefined;
  };

  return {
    mark(object, target) {
      if (target) inStepWith.set(object, target.resourceVersion);
      else inStepWith.delete(object);
    },

    async refresh(object, spec, due, task) {
      const { key, metadata } = object;
      const target = quietTarget(object);
      const interval = refreshMs({ spec, leastRefreshMs });
      if (!target || interval === undefined) return undefined;
      if (freshness.mustLook(key) || freshness.mustVerify(key)) return undefined;
      const epoch = freshness.epoch(key);
      const sources = sourcesOf(spec);
      const versions = await waitForProvider(clock, task, (signal) =>
        fetcher.versions(sources, metadata.namespace ?? "", due.freshAfter, signal),
      );
      if (!versions.ok || versions.value?.size !== sources.length) return undefined;
      if (target.records[annotation.digests]?.version !== contentFingerprint(spec, versions.value))
        return undefined;
      // Somebody may have changed something meanwhile.
      if (views.syncs.get(key) !== object || quietTarget(object) !== target) return undefined;
      const at = clock.monotonic() + nextRefreshMs(clock.now(), interval, refreshGroup(sources));
      const { nextRotation } = versions;
      const fresh = {
        uid: object.uid,
        generation: metadata.generation,
        requestedAt: requestOf(metadata),
        until: at,
      };
      freshness.succeeded(key, fresh, { nextRotation, verified: false }, epoch);
      return { kind: "at", at, result: "success" };
    },
  };
}
