import type { Clock } from "../runtime/clock.ts";

/** Since when Secrets that the operator wrote are gone or changed by somebody, as far as it saw that happen. */
export class DriftTimes {
  readonly #clock: Clock;
  /** Milliseconds since 1970, by namespace/name. */
  readonly #since = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The first time counts, until the operator writes it again. */
  note(targetKey: string): void {
    if (this.#since.has(targetKey)) return;
    this.#since.set(targetKey, this.#clock.now());
    const [oldest] = this.#since.keys();
    if (this.#since.size > MOST_KEPT && oldest !== undefined) this.#since.delete(oldest);
  }

  forget(targetKey: string): void {
    this.#since.delete(targetKey);
  }

  /** RFC 3339. */
  since(targetKey: string): string | undefined {
    const since = this.#since.get(targetKey);
    return since === undefined ? undefined : new Date(since).toISOString();
  }
}

/** Of what is forgotten only the time isn't known. */
const MOST_KEPT = 10_000;
