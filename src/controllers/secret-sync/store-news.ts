import { parseDuration } from "../../api/duration.ts";
import { listOf, recordOf } from "../../api/loose.ts";
import { isSuspended } from "../../cluster/sync-object.ts";
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
/** Entries of SecretSyncs that are looked at in one turn of the event loop. */
const PORTION = 2_000;
/** After a look comes a rest of so many times as long: whoever changes a source without end takes a fifth of a core at most. */
const REST = 4;
/** Of one object: whoever changes a source without end mustn't keep everybody busy. */
const AT_ONCE = 3;
const EACH_MS = 10_000;

interface News {
  /** The provider objects of one client. */
  readonly users: readonly string[];
  keys: Set<string> | "all";
}

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
  /** What is yet to be told, by client; of the admin's providers, and of each namespace's own: none waits for another's. */
  const shares = new Map<string, Map<string, News>>();

  async function tellAll(share: string, pending: Map<string, News>): Promise<void> {
    let restMs = TOGETHER_MS;
    while (pending.size > 0) {
      await sleep(clock, restMs);
      const told = [...pending.values()];
      pending.clear();
      const since = clock.monotonic();
      for (const news of told) await tell(news);
      restMs = Math.max(TOGETHER_MS, REST * (clock.monotonic() - since));
    }
    shares.delete(share);
  }

  async function tell({ users, keys }: News): Promise<void> {
    let work = 0;
    const concerned = new Set(users.flatMap((user) => Array.from(views.syncsByProvider.get(user))));
    for (const key of concerned) {
      const object = views.syncs.get(key);
      if (!object || isSuspended(object.spec) || isOnce(object.spec)) continue;
      work += 1 + entriesOf(object.spec);
      if (work >= PORTION) {
        await sleep(clock, 0);
        work = 0;
      }
      // Of an outline nobody knows what it reads.
      if (keys !== "all" && !object.isOutline && !reads(object.spec, keys)) continue;
      const waitMs = pace.waitMs(key);
      polling.expire(key);
      if (waitMs > 0) queue.addAfter(key, waitMs, "event");
      else queue.add(key, "event");
    }
  }

  return (users, key) => {
    const [first] = users;
    if (first === undefined) return;
    const share = shareOf(first);
    const known = shares.get(share);
    const pending = known ?? new Map<string, News>();
    const client = users.join();
    const news = pending.get(client) ?? { users, keys: new Set() };
    if (key === undefined || news.keys === "all") news.keys = "all";
    else news.keys.add(key);
    pending.set(client, news);
    if (known) return;
    shares.set(share, pending);
    void tellAll(share, pending);
  };
}

/** Providers of different owners have no client together. */
const shareOf = (user: string): string => user.split("/")[0] ?? "";

const entriesOf = (spec: unknown): number => {
  const { data, dataFrom } = recordOf(spec);
  return listOf(data).length + listOf(dataFrom).length;
};

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
