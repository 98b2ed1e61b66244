import type { Clock } from "../runtime/clock.ts";

/**
 * Paces the calls to one provider: a token bucket for the rate, and a number of calls at once that falls by half
 * when the provider throttles and grows back by one with each round of successes (AIMD).
 */
export class Limiter {
  readonly #clock: Clock;
  readonly #perSecond: number;
  readonly #mostConcurrent: number;
  readonly #waiting: (() => void)[] = [];
  #tokens: number;
  #refilledAt: number;
  #running = 0;
  #window: number;
  #pausedUntil = 0;
  #timer = false;

  constructor(clock: Clock, limits: { requestsPerSecond: number; maxConcurrent: number }) {
    this.#clock = clock;
    this.#perSecond = limits.requestsPerSecond;
    this.#mostConcurrent = limits.maxConcurrent;
    this.#window = limits.maxConcurrent;
    this.#tokens = limits.requestsPerSecond;
    this.#refilledAt = clock.monotonic();
  }

  /** Calls that may run at once just now. */
  get window(): number {
    return Math.max(1, Math.floor(this.#window));
  }

  async run<T>(call: () => Promise<T>): Promise<T> {
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
      this.#serve();
    });
    try {
      return await call();
    } finally {
      this.#running--;
      this.#serve();
    }
  }

  succeeded(): void {
    this.#window = Math.min(this.#mostConcurrent, this.#window + 1 / this.#window);
  }

  /** The provider throttled: fewer calls at once, and none before it wants one. */
  throttled(waitMs: number): void {
    this.#window = Math.max(1, this.#window / 2);
    this.#pausedUntil = Math.max(this.#pausedUntil, this.#clock.monotonic() + waitMs);
  }

  #serve(): void {
    this.#refill();
    while (this.#waiting.length > 0 && this.#running < this.window) {
      const wait = this.#waitMs();
      if (wait > 0) {
        this.#wakeIn(wait);
        return;
      }
      this.#tokens--;
      this.#running++;
      this.#waiting.shift()?.();
    }
  }

  #waitMs(): number {
    const pause = this.#pausedUntil - this.#clock.monotonic();
    if (pause > 0) return pause;
    return this.#tokens >= 1 ? 0 : Math.ceil(((1 - this.#tokens) / this.#perSecond) * 1000);
  }

  #wakeIn(milliseconds: number): void {
    if (this.#timer) return;
    this.#timer = true;
    this.#clock.after(milliseconds, () => {
      this.#timer = false;
      this.#serve();
    });
  }

  #refill(): void {
    const now = this.#clock.monotonic();
    const earned = ((now - this.#refilledAt) / 1000) * this.#perSecond;
    this.#tokens = Math.min(this.#perSecond, this.#tokens + earned);
    this.#refilledAt = now;
  }
}
