import type { Clock } from "../runtime/clock.ts";
import type { Keeping, KeptBytes } from "./kept-bytes.ts";

/** Things of which it is remembered for a while when they were seen; of very many, the oldest are forgotten. */
export class Noted implements Keeping {
  readonly #clock: Clock;
  readonly #keepMs: number;
  readonly #kept: KeptBytes;
  /** Monotonic times, in their order. */
  readonly #at = new Map<string, number>();

  constructor(clock: Clock, keepMs: number, kept: KeptBytes) {
    this.#clock = clock;
    this.#keepMs = keepMs;
    this.#kept = kept;
  }

  note(id: string): void {
    const now = this.#clock.monotonic();
    this.forget(id);
    this.#at.set(id, now);
    this.#kept.add(this, weightOf(id));
    for (const [oldest, at] of this.#at) {
      if (now - at <= this.#keepMs) break;
      this.forget(oldest);
    }
  }

  forget(id: string): void {
    if (this.#at.delete(id)) this.#kept.add(this, -weightOf(id));
  }

  forgetOldest(): void {
    const [oldest] = this.#at.keys();
    if (oldest !== undefined) this.forget(oldest);
  }

  forgetAll(): void {
    for (const id of this.#at.keys()) this.forget(id);
  }

  has(id: string, withinMs = this.#keepMs): boolean {
    const at = this.#at.get(id);
    return at !== undefined && this.#clock.monotonic() - at <= withinMs;
  }
}

const weightOf = (id: string): number => id.length + 100;
