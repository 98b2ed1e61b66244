import type { StoreFeed } from "../providers/contract.ts";
import { sleep, type Clock, type Random } from "../runtime/clock.ts";
import type { Turns } from "../runtime/turns.ts";

/** Runs what a store tells of changes by itself, again and again until the signal aborts. Polling stays beside it, as the net. */
export interface StoreFeedOptions {
  readonly feed: StoreFeed;
  readonly clock: Clock;
  readonly random: Random;
  /** undefined: any key may have another value. */
  readonly onNews: (key: string | undefined) => void;
  readonly onError: (error: unknown) => void;
}

/** Pauses after one that ended, growing while it ends at once. */
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 60_000;
/** One that ran for so long was well. */
const WELL_MS = 60_000;

export async function runStoreFeed(
  { feed, clock, random, onNews, onError }: StoreFeedOptions,
  signal: AbortSignal,
): Promise<void> {
  let pauseMs = FIRST_PAUSE_MS;
  while (!signal.aborted) {
    const startedAt = clock.monotonic();
    try {
      await feed.run(onNews, signal);
    } catch (error) {
      if (!signal.aborted) onError(error);
    }
    if (clock.monotonic() - startedAt >= WELL_MS) pauseMs = FIRST_PAUSE_MS;
    await sleep(clock, pauseMs * (0.5 + random()), signal);
    pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
  }
}

/** The same, as one of its share's turns. It resolves as soon as the signal aborts, also while it waits: nothing of it is kept. */
export async function runInTurn(
  turns: Turns,
  share: string,
  options: StoreFeedOptions,
  signal: AbortSignal,
): Promise<void> {
  try {
    await turns.run(share, () => runStoreFeed(options, signal), signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
