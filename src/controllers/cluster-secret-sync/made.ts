import type { Clock } from "../../runtime/clock.ts";

/** A SecretSync that was made, and that the watch hasn't shown yet. */
export interface Made {
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** Uid of its ClusterSecretSync. */
  readonly maker: string;
  readonly template: string;
}

/** Until then the watch should have shown what was made. */
const SHOWN_MS = 10_000;

/** What was made and nobody has shown yet; else it would be made again. */
export class MadeSyncs {
  readonly #clock: Clock;
  /** By key; `until` is monotonic. */
  readonly #made = new Map<string, Made & { readonly until: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  note(made: Made): void {
    this.#made.set(made.key, { ...made, until: this.#clock.monotonic() + SHOWN_MS });
  }

  /** Those of a maker beside the ones that are shown, which are noted no longer. */
  *unseen(maker: string, shown: { has(key: string): boolean }): Iterable<Made> {
    for (const [key, each] of this.#made) {
      if (shown.has(key) || each.until <= this.#clock.monotonic()) this.#made.delete(key);
      else if (each.maker === maker) yield each;
    }
  }

  /** Monotonic time by which the watch should have shown the first one; undefined: nothing of the maker is waited for. */
  awaitedUntil(maker: string): number | undefined {
    const times = [...this.#made.values()].flatMap((each) => (each.maker === maker ? [each.until] : []));
    return times.length > 0 ? Math.min(...times) : undefined;
  }
}
