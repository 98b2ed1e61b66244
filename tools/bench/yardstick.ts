/**
 * How fast the machine is: the time of a piece of work that is always the same, twice a second. A shared machine may lose
 * half of its speed for a minute, and every figure of that minute with it.
 */
export class Yardstick {
  readonly #samples: { readonly at: number; readonly speed: number }[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor() {
    for (let warmUp = 0; warmUp < 100; warmUp++) work();
    this.#timer = setInterval(() => {
      // The shortest of some: the others were interrupted.
      const times = Array.from({ length: 5 }, work);
      this.#samples.push({ at: performance.now(), speed: 1 / Math.min(...times) });
    }, 500);
  }

  /**
   * Mean between two times of performance.now(), as a share of the machine's speed in the best tenth of all samples;
   * undefined where there is no sample.
   */
  speed(from: number, to: number): number | undefined {
    const speeds = this.#samples.map(({ speed }) => speed).sort((a, b) => a - b);
    const best = speeds[Math.floor(speeds.length * 0.9)] ?? NaN;
    const between = this.#samples.filter(({ at }) => at >= from && at <= to);
    if (between.length === 0) return undefined;
    return between.reduce((sum, { speed }) => sum + speed, 0) / between.length / best;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

const document = JSON.stringify(
  Array.from({ length: 500 }, (_, id) => ({ id, name: "x".repeat(20), tags: [1, 2, 3] })),
);

/** In milliseconds, about one. */
function work(): number {
  const since = performance.now();
  for (let round = 0; round < 6; round++) JSON.parse(document);
  return performance.now() - since;
}
