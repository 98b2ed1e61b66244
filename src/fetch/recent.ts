import type { Clock } from "../runtime/clock.ts";

/**
 * Answers that others may share: a request that became due before the call started is served by that call, whether
 * it still runs or is done. Kept only for a moment, since answers may hold values.
 */
export class Recent<T> {
  readonly #clock: Clock;
  readonly #keepMs: number;
  readonly #answers = new Map<string, { startedAt: number; answer: Promise<T> }>();
  #purging = false;

  constructor(clock: Clock, keepMs: number) {
    this.#clock = clock;
    this.#keepMs = keepMs;
  }

  /** An answer that was asked for at `freshAfter` (monotonic) or later; undefined when a call is needed. */
  get(key: string, freshAfter: number): Promise<T> | undefined {
    const found = this.#answers.get(key);
    return found && found.startedAt >= freshAfter ? found.answer : undefined;
  }

  /** `worthSharing` false forgets the answer once those who wait for it have it. */
  set(key: string, answer: Promise<T>, worthSharing: (value: T) => boolean): void {
    const entry = { startedAt: this.#clock.monotonic(), answer };
    this.#answers.delete(key);
    this.#answers.set(key, entry);
    const forget = () => {
      if (this.#answers.get(key) === entry) this.#answers.delete(key);
    };
    answer.then((value) => (worthSharing(value) ? this.#purgeLater() : forget()), forget);
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
        this.#answers.delete(key);
      }
    });
  }
}
