import type { Clock } from "../../runtime/clock.ts";
import type { Taken } from "../../runtime/work-queue.ts";
import type { Task } from "../controller.ts";
import type { Lane } from "./lanes.ts";

/** Why an object is reconciled. */
export interface Due {
  /** Its time has come, give or take a moment: the sources must be looked at. */
  readonly refresh: boolean;
  /** Monotonic: what was observed since then is fresh enough. */
  readonly freshAfter: number;
}

/** Timers of one moment fire over some milliseconds; a sweep that the first of them started serves the others too. */
const PERIODIC_SLACK_MS = 100;

export function dueOf({ lane, dueSince }: Pick<Taken<Lane>, "lane" | "dueSince">): Due {
  const refresh = lane === "periodic";
  return { refresh, freshAfter: refresh ? dueSince - PERIODIC_SLACK_MS : dueSince };
}

const PATIENCE_MS = 500;

/** Time that providers take is not the reconcile's; and a worker doesn't wait long for them, others need it. */
export async function waitForProvider<T>(
  clock: Clock,
  { limit, free }: Task,
  fetch: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const cancel = clock.after(PATIENCE_MS, free);
  limit.pause();
  try {
    return await fetch(limit.signal);
  } finally {
    limit.resume();
    cancel();
  }
}
