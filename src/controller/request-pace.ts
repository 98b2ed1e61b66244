import type { Clock } from "../runtime/clock.ts";

/**
 * Requests to refresh one object are handled at once, some of them; who goes on asking gets an answer each `everyMs`, or an
 * annotation would go around any refresh interval, at the admin's cost.
 */
export class RequestPace {
  readonly #clock: Clock;
  readonly #everyMs: number;
  /** Monotonic time by which all requests so far are paid for. */
  readonly #paidAt = new Map<string, number>();

  constructor(clock: Clock, leastRefreshMs: number) {
    this.#clock = clock;
    this.#everyMs = Math.max(EVERY_MS, leastRefreshMs);
  }

  /** Milliseconds that the object's next request shall wait. */
  waitMs(key: string): number {
    const now = this.#clock.monotonic();
    const paidAt = Math.max(this.#paidAt.get(key) ?? 0, now);
    const waitMs = Math.max(0, paidAt - now - (AT_ONCE - 1) * this.#everyMs);
    // A request that waits answers those that come meanwhile.
    if (waitMs === 0) this.#paidAt.set(key, paidAt + this.#everyMs);
    return waitMs;
  }

  forget(key: string): void {
    this.#paidAt.delete(key);
  }
}

const AT_ONCE = 5;
const EVERY_MS = 10_000;
