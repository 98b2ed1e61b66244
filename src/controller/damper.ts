import type { Clock } from "../runtime/clock.ts";

/**
 * Somebody else who writes the same Secret as eagerly as we do would make a war of it. The first repairs come at once;
 * who goes on is answered later and later.
 */
export class Damper {
  readonly #clock: Clock;
  readonly #repairs = new Map<string, { count: number; at: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Milliseconds that the next repair of the object shall wait. */
  waitMs(key: string): number {
    const now = this.#clock.monotonic();
    const last = this.#repairs.get(key);
    const count = last && now - last.at < PEACE_MS ? last.count + 1 : 1;
    this.#repairs.set(key, { count, at: now });
    return count <= AT_ONCE ? 0 : Math.min(1_000 * 2 ** (count - AT_ONCE - 1), LONGEST_MS);
  }

  forget(key: string): void {
    this.#repairs.delete(key);
  }
}

const AT_ONCE = 5;
const LONGEST_MS = 60_000;
/** After so long without a change of somebody else it starts anew. */
const PEACE_MS = 5 * 60_000;
