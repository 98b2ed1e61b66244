/** Lets each share, such as a namespace, do so many things at once; its others wait in their order. */
export class Turns {
  readonly #atOnce: number;
  readonly #lines = new Map<string, { running: number; readonly waiting: (() => void)[] }>();

  constructor(atOnce: number) {
    this.#atOnce = atOnce;
  }

  async run<T>(share: string, work: () => Promise<T>): Promise<T> {
    const line = this.#lines.get(share) ?? { running: 0, waiting: [] };
    this.#lines.set(share, line);
    if (line.running < this.#atOnce) line.running++;
    else await new Promise<void>((resolve) => line.waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = line.waiting.shift();
      // Whoever is next takes the place over.
      if (next) next();
      else if (--line.running === 0) this.#lines.delete(share);
    }
  }
}
