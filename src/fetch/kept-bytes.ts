/** What can give up a part of what it keeps, the oldest first, telling KeptBytes how much that was. */
export interface Keeping {
  forgetOldest(): void;
}

/**
 * Bytes that many caches may keep together. When it is more, whichever keeps most forgets: so a tenant with many
 * providers of its own, or one with a huge store, takes no more memory than all others leave, and pushes out nobody.
 */
export class KeptBytes {
  readonly #most: number;
  readonly #kept = new Map<Keeping, number>();
  #total = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get total(): number {
    return this.#total;
  }

  /** `bytes`, about, that the cache keeps from now on; negative when it forgets. */
  add(cache: Keeping, bytes: number): void {
    const kept = (this.#kept.get(cache) ?? 0) + bytes;
    if (kept > 0) this.#kept.set(cache, kept);
    else this.#kept.delete(cache);
    this.#total += bytes;
    if (bytes > 0) this.#shrink();
  }

  #shrink(): void {
    while (this.#total > this.#most) {
      const before = this.#total;
      [...this.#kept].reduce((a, b) => (a[1] >= b[1] ? a : b))[0].forgetOldest();
      // What isn't there yet can't be forgotten.
      if (this.#total >= before) return;
    }
  }
}
