/**
 * When the apiserver had a change, for looks at pods that come later: a change tells when it was made, and pods may start before
 * it is written. What is forgotten counts as written when it was made.
 */
export class WriteTimes {
  readonly #known = new Map<string, { readonly change: string; readonly at: number }>();

  /** Milliseconds since 1970; 0 where it isn't known. `at`: it was written then. */
  of(key: string, change: string, at: number | undefined): number {
    if (at !== undefined) {
      this.#known.delete(key);
      this.#known.set(key, { change, at });
      if (this.#known.size > MOST) this.#known.delete(this.#known.keys().next().value ?? "");
    }
    const known = this.#known.get(key);
    return known?.change === change ? known.at : 0;
  }
}

const MOST = 10_000;
