import type { AccessTo } from "../controllers/secret-sync/fetch.ts";
import type { Freshness } from "../controllers/secret-sync/freshness.ts";
import type { Lane } from "../controllers/secret-sync/lanes.ts";
import { memoryFor } from "../cluster/memory.ts";
import { newIsAsLeft, newPolling } from "../controllers/secret-sync/polling.ts";
import type { Views } from "../cluster/views.ts";
import { PollingFeed } from "../feeds/polling.ts";
import { ApiError } from "../kube/kube-api.ts";
import type { WorkQueue } from "../runtime/work-queue.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Parts } from "./parts.ts";

/** Of what views may hold, beside it. Objects for which there is no room are looked at each time. */
const SHARE_OF_POLLING = 1 / 4;

/** Objects in step, and who tells them that there is news. */
export function wirePolling(
  { options, clock, log, memoryBytes }: Parts,
  {
    views,
    metrics,
    freshness,
    accessTo,
    queue,
    isUnwatched,
  }: {
    readonly views: Views;
    readonly metrics: Metrics;
    readonly freshness: Freshness;
    readonly accessTo: AccessTo;
    readonly queue: WorkQueue<Lane>;
    /** The view of the namespace's Secrets can't be relied on. */
    readonly isUnwatched: (namespace: string) => boolean;
  },
) {
  const feed = new PollingFeed({
    clock,
    open: async ({ provider, share }, signal) => {
      try {
        const opened = await accessTo(provider, share, signal);
        return opened.ok ? opened.access.client : undefined;
      } catch (error) {
        // The apiserver is busy or away; whoever asked looks for itself, and waits as it must.
        if (error instanceof ApiError) return undefined;
        throw error;
      }
    },
    isAsLeft: newIsAsLeft(views, isUnwatched),
    onNews: (key) => queue.add(key, "periodic"),
    onPolled: ({ group, members, due, seconds }) => {
      metrics.polledObjects.inc({ result: "unchanged" }, Math.max(0, members - due));
      metrics.polledObjects.inc({ result: "due" }, due);
      metrics.pollSeconds.observe(seconds);
      log.debug({ provider: group, members, due, seconds }, "polled");
    },
    onFailed: ({ group, members, late, error }) => {
      if (late)
        log.warn({ provider: group, members }, "a poll took too long; its objects look for themselves");
      else log.error({ provider: group, members, err: error }, "a poll failed");
    },
    mostBytes: memoryFor(memoryBytes) * SHARE_OF_POLLING,
  });
  const polling = newPolling({
    feed,
    freshness,
    views,
    clock,
    leastRefreshMs: options["min-refresh-interval"],
  });
  return { feed, polling };
}
