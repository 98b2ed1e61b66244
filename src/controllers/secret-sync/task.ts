import type { Clock, TimeLimit } from "../../runtime/clock.ts";

/** Why an object is reconciled. */
export interface Due {
  /** Its time has come, give or take a moment: the sources must be looked at. */
  readonly refresh: boolean;
  /** Monotonic: what was observed since then is fresh enough. */
  readonly freshAfter: number;
}

/** What a reconcile has of its worker. */
export interface Task {
  /** Ends what takes too long; paused while a provider is waited for. */
  readonly limit: Pick<TimeLimit, "signal" | "pause" | "resume">;
  /**
   * The worker takes the next key: only the status is left to write (in a burst, the Secrets of others come first), or a
   * provider takes its time.
   */
  readonly free: () => void;
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
