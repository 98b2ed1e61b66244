import { firstOf, waitInLine } from "./line.ts";

/** Lets each share, such as a namespace, do so many things at once; its others wait in their order. */
export class Turns {
  readonly #atOnce: number;
  readonly #lines = new Map<string, { running: number; readonly waiting: Set<() => void> }>();

  constructor(atOnce: number) {
    this.#atOnce = atOnce;
  }

  /** Rejects when the signal aborts before its turn has come: who waits in vain would be kept with all that it holds. */
  async run<T>(share: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    const line = this.#lines.get(share) ?? { running: 0, waiting: new Set() };
    this.#lines.set(share, line);
    if (line.running < this.#atOnce) line.running++;
    else await waitInLine(line.waiting, signal);
    try {
      return await work();
    } finally {
      const next = firstOf(line.waiting);
      // Whoever is next takes the place over.
      if (next) next();
      else if (--line.running === 0) this.#lines.delete(share);
    }
  }
}
