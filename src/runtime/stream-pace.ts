import { sleep, type Clock } from "./clock.ts";

/** Events and bytes that somebody else's stream may bring in a second; twenty times as many may come at once. */
const EVENTS = 50;
const BYTES = 512 * 1024;
const AT_ONCE_MS = 20_000;

/** Slows down whoever reads a stream: what isn't taken waits at the sender, who may end it. */
export function newStreamPace(clock: Clock): (bytes: number) => Promise<void> {
  /** Monotonic time by which all so far is paid for. */
  let paidAt = 0;
  return async (bytes) => {
    const now = clock.monotonic();
    paidAt = Math.max(paidAt, now) + 1_000 / EVENTS + (1_000 * bytes) / BYTES;
    const waitMs = paidAt - now - AT_ONCE_MS;
    if (waitMs > 0) await sleep(clock, waitMs);
  };
}
