import { parseDuration } from "../../api/duration.ts";
import { listOf, recordOf } from "../../api/loose.ts";
import type { Views } from "../../cluster/views.ts";
import { sleep, type Clock } from "../../runtime/clock.ts";
import { Pace } from "../../runtime/pace.ts";
import type { WorkQueue } from "../../runtime/work-queue.ts";
import type { Lane } from "./lanes.ts";
import type { Polling } from "./polling.ts";

/** What a store tells by itself makes due who reads it. */

/** `users`: the provider objects, as providerKey() names them; `key` undefined: any may have another value. */
export type OnStoreNews = (users: readonly string[], key: string | undefined) => void;

/** News of a moment are looked up together. */
const TOGETHER_MS = 100;
/** SecretSyncs that are looked at in one turn of the event loop. */
const PORTION = 1_000;
/** Of one object: whoever changes a source without end mustn't keep everybody busy. */
const AT_ONCE = 3;
const EACH_MS = 10_000;

export function newStoreNews({
  views,
  queue,
  polling,
  clock,
  leastRefreshMs,
}: {
  readonly views: Pick<Views, "syncs" | "syncsByProvider">;
  readonly queue: WorkQueue<Lane>;
  readonly polling: Pick<Polling, "expire">;
  readonly clock: Clock;
  readonly leastRefreshMs: number;
}): OnStoreNews {
  const pace = new Pace({ clock, atOnce: AT_ONCE, everyMs: Math.max(EACH_MS, leastRefreshMs) });
  /** Keys by provider object. */
  let news = new Map<string, Set<string> | "all">();

  async function tell(): Promise<void> {
    const told = news;
    news = new Map();
    let seen = 0;
    for (const [user, keys] of told) {
      for (const key of Array.from(views.syncsByProvider.get(user))) {
        if (++seen % PORTION === 0) await sleep(clock, 0);
        const object = views.syncs.get(key);
        // Of an outline nobody knows what it reads.
        if (
          !object ||
          isOnce(object.spec) ||
          (keys !== "all" && !object.isOutline && !reads(object.spec, keys))
        )
          continue;
        const waitMs = pace.waitMs(key);
        polling.expire(key);
        if (waitMs > 0) queue.addAfter(key, waitMs, "event");
        else queue.add(key, "event");
      }
    }
  }

  return (users, key) => {
    if (news.size === 0) clock.after(TOGETHER_MS, () => void tell());
    for (const user of users) {
      const keys = news.get(user) ?? new Set();
      if (key === undefined || keys === "all") news.set(user, "all");
      else news.set(user, keys.add(key));
    }
  };
}

/** Whether it is only synced when its spec changes. */
const isOnce = (spec: unknown): boolean => {
  const { refreshInterval } = recordOf(spec);
  return typeof refreshInterval === "string" && parseDuration(refreshInterval) === 0;
};

/** Whether a spec of any shape reads one of the keys, or whatever matches. */
function reads(spec: unknown, keys: ReadonlySet<string>): boolean {
  const { data, dataFrom } = recordOf(spec);
  const isIn = (ref: unknown) => keys.has(String(recordOf(ref)["key"]));
  return (
    listOf(data).some((entry) => isIn(recordOf(entry)["remoteRef"])) ||
    listOf(dataFrom).some((entry) => {
      const { extract, find } = recordOf(entry);
      return find !== undefined || isIn(extract);
    })
  );
}
