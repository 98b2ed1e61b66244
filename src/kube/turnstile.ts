/**
 * Lets so many requests through at once, the most urgent first: Secrets before statuses before events, and the
 * leader's lease before everything. Without it a burst would fill the connections in the order in which it came.
 */
export type Priority = 0 | 1 | 2 | 3;

/** Of so many turns one goes to the end of the order. */
const AGING = 16;

export class Turnstile {
  readonly #waiting: [(() => void)[], (() => void)[], (() => void)[], (() => void)[]] = [[], [], [], []];
  #free: number;
  #left = 0;

  constructor(width: number) {
    this.#free = width;
  }

  /** Resolves when the caller may pass; whoever passed must leave. */
  enter(priority: Priority): Promise<void> | undefined {
    if (this.#free > 0) {
      this.#free--;
      return undefined;
    }
    return new Promise((resolve) => this.#waiting[priority].push(resolve));
  }

  leave(): void {
    // Now and then the least urgent, or a long burst would hold them up beyond their patience.
    const lines = ++this.#left % AGING === 0 ? this.#waiting.toReversed() : this.#waiting;
    const next = lines.find((line) => line.length > 0)?.shift();
    if (next) next();
    else this.#free++;
  }
}
