import type { Clock } from "../runtime/clock.ts";

/** Things of which it is remembered for a while when they were seen; of very many, the oldest are forgotten. */
export class Noted {
  readonly #clock: Clock;
  readonly #keepMs: number;
  readonly #most: number;
  /** Monotonic times, in their order. */
  readonly #at = new Map<string, number>();

  constructor(clock: Clock, keepMs: number, most: number) {
    this.#clock = clock;
    this.#keepMs = keepMs;
    this.#most = most;
  }

  note(id: string): void {
    const now = this.#clock.monotonic();
    this.#at.delete(id);
    this.#at.set(id, now);
    for (const [oldest, at] of this.#at) {
      if (this.#at.size <= this.#most && now - at <= this.#keepMs) break;
      this.#at.delete(oldest);
    }
  }

  forget(id: string): void {
    this.#at.delete(id);
  }

  has(id: string, withinMs = this.#keepMs): boolean {
    const at = this.#at.get(id);
    return at !== undefined && this.#clock.monotonic() - at <= withinMs;
  }
}
