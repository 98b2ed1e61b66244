import type { Clock } from "./clock.ts";

export interface PaceOptions {
  readonly clock: Clock;
  /** So many are handled at once. */
  readonly atOnce: number;
  /** Then one each so many milliseconds. */
  readonly everyMs: number;
}

/**
 * Paces what users may do at any rate and what costs calls as the admin's identity: some of it is handled at once, and who
 * goes on gets an answer from time to time. Or requests and edits would go around any refresh interval.
 */
export class Pace {
  readonly #options: PaceOptions;
  /** Monotonic time by which all so far is paid for; who was paced last is at the end. */
  readonly #paidAt = new Map<string, number>();

  constructor(options: PaceOptions) {
    this.#options = options;
  }

  /** Milliseconds that the next one of this key shall wait; 0 counts it as handled. */
  waitMs(key: string): number {
    const { clock, atOnce, everyMs } = this.#options;
    const now = clock.monotonic();
    this.#forgetPaid(now);
    const paidAt = Math.max(this.#paidAt.get(key) ?? 0, now);
    const waitMs = Math.max(0, paidAt - now - (atOnce - 1) * everyMs);
    // One that waits answers those that come meanwhile.
    if (waitMs > 0) return waitMs;
    this.#paidAt.delete(key);
    this.#paidAt.set(key, paidAt + everyMs);
    return 0;
  }

  /** Whether something isn't paid for yet: that lasts when the object is deleted, or to make it anew would be a way around. */
  isPaced(key: string): boolean {
    return (this.#paidAt.get(key) ?? 0) > this.#options.clock.monotonic();
  }

  #forgetPaid(now: number): void {
    for (const [key, paidAt] of this.#paidAt) {
      if (paidAt > now) return;
      this.#paidAt.delete(key);
    }
  }
}
