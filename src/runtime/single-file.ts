import type { Clock } from "./clock.ts";

export interface SingleFileOptions {
  readonly clock: Clock;
  /** Between the times that are given to two who wait. */
  readonly everyMs: number;
}

/**
 * One at a time, for work that is heavy for somebody else. Who can't begin at once is given a time to come back, each another
 * one: nobody waits in here, and a thousand don't come back at once.
 */
export class SingleFile {
  readonly #options: SingleFileOptions;
  /** Monotonic times that were given, in their order. */
  readonly #at = new Map<string, number>();
  #lastAt = 0;
  #isBusy = false;

  constructor(options: SingleFileOptions) {
    this.#options = options;
  }

  /** Milliseconds until the work may be tried again; 0: it is done. */
  async run(key: string, work: () => Promise<void>): Promise<number> {
    const waitMs = this.#waitMs(key);
    if (waitMs > 0) return waitMs;
    this.#isBusy = true;
    try {
      await work();
    } finally {
      this.#isBusy = false;
    }
    return 0;
  }

  #waitMs(key: string): number {
    const { clock, everyMs } = this.#options;
    const now = clock.monotonic();
    const given = this.#at.get(key);
    if (given !== undefined && given > now) return given - now;
    // Whose time has come begins, comes back later, or never came.
    for (const [each, at] of this.#at) {
      if (at > now) break;
      this.#at.delete(each);
    }
    if (!this.#isBusy && (given !== undefined || this.#at.size === 0)) return 0;
    this.#lastAt = Math.max(now, this.#lastAt) + everyMs;
    this.#at.set(key, this.#lastAt);
    return this.#lastAt - now;
  }
}
