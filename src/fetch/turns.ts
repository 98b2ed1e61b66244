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
    else await turnIn(line.waiting, signal);
    try {
      return await work();
    } finally {
      const [next] = line.waiting;
      // Whoever is next takes the place over.
      if (next) next();
      else if (--line.running === 0) this.#lines.delete(share);
    }
  }
}

function turnIn(waiting: Set<() => void>, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const turn = () => {
      waiting.delete(turn);
      signal?.removeEventListener("abort", giveUp);
      resolve();
    };
    const giveUp = () => {
      waiting.delete(turn);
      reject(signal?.reason as Error);
    };
    signal?.addEventListener("abort", giveUp, { once: true });
    waiting.add(turn);
  });
}
