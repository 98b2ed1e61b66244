import type { Clock } from "../../runtime/clock.ts";
import type { Taken } from "../../runtime/work-queue.ts";
import type { Task } from "../controller.ts";
import type { Lane } from "./lanes.ts";

/** How closely an object's sources are looked at. */
export interface Due {
  /** Monotonic: what was observed since then is fresh enough. */
  readonly freshAfter: number;
  /**
   * ifDue: something else made the object due, so its sources need no look before their time. versions: their time has come,
   * give or take a moment. exact: somebody asked, and neither a listing that lags nor an earlier failure is an answer.
   */
  readonly look: "ifDue" | "versions" | "exact";
}

/** Timers of one moment fire over some milliseconds; a sweep that the first of them started serves the others too. */
const PERIODIC_SLACK_MS = 100;

export function dueOf({ lane, dueSince }: Pick<Taken<Lane>, "lane" | "dueSince">): Due {
  return lane === "periodic"
    ? { look: "versions", freshAfter: dueSince - PERIODIC_SLACK_MS }
    : { look: "ifDue", freshAfter: dueSince };
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
