/**
 * Lets so many requests through at once, the most urgent first: Secrets before statuses before events, and the
 * leader's lease before everything. Without it a burst would fill the connections in the order in which it came.
 */
export type Priority = 0 | 1 | 2 | 3;

export class Turnstile {
  readonly #waiting: [(() => void)[], (() => void)[], (() => void)[], (() => void)[]] = [[], [], [], []];
  #free: number;

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
    const next = this.#waiting.find((line) => line.length > 0)?.shift();
    if (next) next();
    else this.#free++;
  }
}
