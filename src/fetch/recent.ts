import type { Clock } from "../runtime/clock.ts";
import type { Keeping, KeptBytes } from "./kept-bytes.ts";

/**
 * Answers that others may share: a request that became due before the call started is served by that call, whether
 * it still runs or is done. Kept only for a moment, since answers may hold values; and no more of them than all caches
 * together may keep, the oldest going first.
 */
export class Recent<T> implements Keeping {
  readonly #clock: Clock;
  readonly #keepMs: number;
  readonly #kept: KeptBytes;
  readonly #weightOf: (answer: T) => number;
  readonly #answers = new Map<string, { startedAt: number; weight: number; answer: Promise<T> }>();
  #purging = false;

  constructor(options: {
    readonly clock: Clock;
    readonly keepMs: number;
    readonly kept: KeptBytes;
    /** Bytes, about. */
    readonly weightOf: (answer: T) => number;
  }) {
    this.#clock = options.clock;
    this.#keepMs = options.keepMs;
    this.#kept = options.kept;
    this.#weightOf = options.weightOf;
  }

  /** An answer that was asked for at `freshAfter` (monotonic) or later; undefined when a call is needed. */
  get(key: string, freshAfter: number): Promise<T> | undefined {
    const found = this.#answers.get(key);
    return found && found.startedAt >= freshAfter ? found.answer : undefined;
  }

  /** `worthSharing` false forgets the answer once those who wait for it have it. */
  set(key: string, answer: Promise<T>, worthSharing: (value: T) => boolean): void {
    const entry = { startedAt: this.#clock.monotonic(), weight: 0, answer };
    this.#forget(key);
    this.#answers.set(key, entry);
    const isKept = () => this.#answers.get(key) === entry;
    answer.then(
      (value) => {
        if (!isKept()) return;
        if (!worthSharing(value)) return this.#forget(key);
        entry.weight = this.#weightOf(value) + key.length + 100;
        this.#purgeLater();
        this.#kept.add(this, entry.weight);
      },
      () => isKept() && this.#forget(key),
    );
  }

  forgetOldest(): void {
    for (const [key, { weight }] of this.#answers) {
      // Those that still run weigh nothing, and may be shared.
      if (weight > 0) return this.#forget(key);
    }
  }

  forgetAll(): void {
    for (const key of this.#answers.keys()) this.#forget(key);
  }

  #forget(key: string): void {
    const { weight = 0 } = this.#answers.get(key) ?? {};
    this.#answers.delete(key);
    if (weight > 0) this.#kept.add(this, -weight);
  }

  #purgeLater(): void {
    if (this.#purging) return;
    this.#purging = true;
    this.#clock.after(this.#keepMs, () => {
      this.#purging = false;
      const oldest = this.#clock.monotonic() - this.#keepMs;
      // In order of their start.
      for (const [key, { startedAt }] of this.#answers) {
        if (startedAt > oldest) return this.#purgeLater();
        this.#forget(key);
      }
    });
  }
}
