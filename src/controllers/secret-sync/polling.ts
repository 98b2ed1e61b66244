import type { SecretSyncSpec } from "../../api/secret-sync.ts";
import type { Left, Member } from "../../feeds/member.ts";
import { EXACT_MS, type PollingFeed } from "../../feeds/polling.ts";
import type { LiveTarget } from "../../plan/live-target.ts";
import { refreshMs } from "../../plan/plan.ts";
import { contentFingerprint, type Source, type SourceVersions } from "../../plan/sources.ts";
import { requestOf } from "../../plan/trigger.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Freshness } from "./freshness.ts";
import { targetKeyOf, type SyncObject } from "../../cluster/sync-object.ts";
import type { Views } from "../../cluster/views.ts";

/**
 * Where an object is looked after: by polling as long as it is in step, by itself while it isn't. What is known of it goes along:
 * the feed has it for a whole group, freshness for each object alone.
 */
export interface Polling {
  /** The object is looked at, and looks after itself until it is given back. */
  take(key: string): Left | undefined;
  /** The object is in step; false: polling can't look after it. */
  give(object: SyncObject, inStep: InStep): boolean;
  /** Something that the object depends on has changed, such as its provider. */
  expire(key: string): void;
  /** The object is gone. */
  forget(key: string): void;
  /** Seconds since 1970. */
  lastSuccess(key: string): number | undefined;
  /** Milliseconds since 1970. */
  nextRotation(key: string): number | undefined;
  /** `waiting`: keys that are due and have waited too long. */
  overdueCount(waiting: Iterable<string>): number;
}

export interface InStep {
  readonly spec: SecretSyncSpec;
  readonly sources: readonly Source[];
  /** undefined: nobody looked, since polling had just asked; then `left` has them. */
  readonly versions: SourceVersions | undefined;
  readonly left: Left | undefined;
  /** Fingerprint of the content, as the Secret's record has it. */
  readonly version: string;
  readonly target: LiveTarget;
}

export function newPolling(options: {
  readonly feed: PollingFeed;
  readonly freshness: Freshness;
  readonly views: Views;
  readonly clock: Clock;
  readonly leastRefreshMs: number;
}): Polling {
  const { feed, freshness, views, clock, leastRefreshMs } = options;

  const take = (key: string): Left | undefined => {
    const nextRotation = feed.nextRotation(key);
    const left = feed.leave(key);
    if (!left) return undefined;
    const { member, dueAt, lastSuccess } = left;
    const { uid, generation, requestedAt, exactAt, toldAt } = member;
    const fresh = { uid, generation, requestedAt, until: dueAt };
    const isExactDue = clock.monotonic() - exactAt >= EXACT_MS;
    // Who was told that there is news reads values at once.
    const known = toldAt === undefined || isExactDue ? { exactAt } : {};
    freshness.takeOver(key, { fresh, dueBy: dueAt, lastSuccess, nextRotation, ...known });
    return left;
  };

  return {
    take,

    give(object, { spec, sources, versions, left, version, target }) {
      const { key, uid, metadata } = object;
      const intervalMs = refreshMs({ spec, leastRefreshMs });
      const exactAt = freshness.exactAt(key);
      const known = versions ?? (left && versionsOf(sources, left));
      if (intervalMs === undefined || exactAt === undefined || freshness.mustLook(key)) return false;
      if (known?.size !== sources.length || contentFingerprint(spec, known) !== version) return false;
      const now = views.syncs.get(key);
      const { generation } = metadata;
      const requestedAt = requestOf(metadata);
      // Whoever changed it meanwhile has made it due.
      if (now?.uid !== uid || now.metadata.generation !== generation) return false;
      if (requestOf(now.metadata) !== requestedAt) return false;
      const targetKey = targetKeyOf(object);
      const isIn = feed.join({
        key,
        namespace: metadata.namespace ?? "",
        uid,
        generation,
        requestedAt,
        intervalMs,
        sources,
        versions: known,
        targetKey: targetKey === key ? key : targetKey,
        targetVersion: target.resourceVersion,
        exactAt,
        nextRotation: freshness.nextRotation(key),
        left: versions ? undefined : left,
      });
      if (isIn) freshness.forget(key);
      return isIn;
    },

    expire(key) {
      take(key);
      freshness.expire(key);
    },

    forget(key) {
      feed.leave(key);
      freshness.forget(key);
    },

    lastSuccess: (key) => feed.lastSuccess(key) ?? freshness.lastSuccess(key),
    nextRotation: (key) => feed.nextRotation(key) ?? freshness.nextRotation(key),
    overdueCount(waiting) {
      const own = [...waiting].filter((key) => !feed.has(key));
      return feed.overdueCount() + freshness.overdueCount(own);
    },
  };
}

/** Whether its Secret is as it was left; what the watch doesn't tell can't be known, and each look that is due anyway asks. */
export const newIsAsLeft =
  (views: Pick<Views, "secrets">, isUnwatched: (namespace: string) => boolean) =>
  ({
    namespace,
    targetKey,
    targetVersion,
  }: Pick<Member, "namespace" | "targetKey" | "targetVersion">): boolean =>
    isUnwatched(namespace) || views.secrets.get(targetKey)?.resourceVersion === targetVersion;

/** Of the same spec, sources come in the same order. */
const versionsOf = (sources: readonly Source[], { versions }: Left): SourceVersions =>
  new Map(versions.map((version, index) => [sources[index]?.id ?? "", version]));
