/** Time and chance are passed in, so that tests own them. Nothing else in src reads a clock or sets a timer. */

export type Cancel = () => void;

export interface Clock {
  /** Milliseconds since 1970. For what users see; it may jump. */
  now(): number;
  /** Milliseconds since some start. For intervals and leases; it never jumps. */
  monotonic(): number;
  /** Calls back once, after so many milliseconds at the earliest. */
  after(milliseconds: number, callback: () => void): Cancel;
}

/** A number in [0, 1). */
export type Random = () => number;

/** setTimeout's limit; a longer wait would fire at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(milliseconds, callback) {
    const timer = setTimeout(callback, Math.min(Math.max(0, milliseconds), LONGEST_TIMER));
    return () => clearTimeout(timer);
  },
};

/** Aborts its signal after so many milliseconds, pauses not counted. */
export class TimeLimit {
  readonly #clock: Clock;
  readonly #abort = new AbortController();
  readonly #what: string;
  #leftMs: number;
  #since = 0;
  #cancel: Cancel | undefined;

  constructor(clock: Clock, milliseconds: number, what: string) {
    this.#clock = clock;
    this.#what = what;
    this.#leftMs = milliseconds;
    this.resume();
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  pause(): void {
    if (!this.#cancel) return;
    this.#cancel();
    this.#cancel = undefined;
    this.#leftMs -= this.#clock.monotonic() - this.#since;
  }

  resume(): void {
    this.#since = this.#clock.monotonic();
    this.#cancel ??= this.#clock.after(this.#leftMs, () =>
      this.#abort.abort(new Error(`${this.#what} took too long`)),
    );
  }
}

/** Resolves after the time, or at once when the signal aborts. */
export function sleep(clock: Clock, milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const end = () => {
      cancel();
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const cancel = clock.after(milliseconds, end);
    signal?.addEventListener("abort", end);
  });
}
