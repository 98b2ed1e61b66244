/**
 * Lets so many requests through at once, the most urgent first: Secrets before statuses before events. Without it a burst
 * would fill the connections in the order in which it came.
 */
export type Priority = 1 | 2 | 3;

/** Of so many turns one goes to the end of the order. */
const AGING = 16;

export class Turnstile {
  readonly #waiting: readonly (readonly [Priority, Set<() => void>])[] = [
    [1, new Set()],
    [2, new Set()],
    [3, new Set()],
  ];
  #free: number;
  #left = 0;

  constructor(width: number) {
    this.#free = width;
  }

  /** Resolves when the caller may pass; whoever passed must leave. Rejects when the signal aborts first. */
  enter(priority: Priority, signal: AbortSignal): Promise<void> | undefined {
    signal.throwIfAborted();
    if (this.#free > 0) {
      this.#free--;
      return undefined;
    }
    const line = this.#line(priority);
    return new Promise((resolve, reject) => {
      const pass = () => {
        signal.removeEventListener("abort", giveUp);
        resolve();
      };
      const giveUp = () => {
        line.delete(pass);
        reject(signal.reason as Error);
      };
      signal.addEventListener("abort", giveUp, { once: true });
      line.add(pass);
    });
  }

  leave(): void {
    // Now and then the least urgent, or a long burst would hold them up beyond their patience.
    const lines = ++this.#left % AGING === 0 ? this.#waiting.toReversed() : this.#waiting;
    for (const [, line] of lines) {
      for (const pass of line) {
        line.delete(pass);
        pass();
        return;
      }
    }
    this.#free++;
  }

  #line(priority: Priority): Set<() => void> {
    const found = this.#waiting.find(([of]) => of === priority);
    if (!found) throw new Error(`no line ${priority}`);
    return found[1];
  }
}
