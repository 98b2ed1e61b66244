import type { Store, Stored } from "./store.ts";

export interface Weighed extends Stored {
  /** Bytes, about, that giving up the item's details would free; 0 for an outline. */
  readonly weight: number;
}

export interface MemoryBudgetOptions<T extends Weighed> {
  readonly store: Store<T>;
  /** Bytes of all details together. */
  readonly most: number;
  /** The item without its details, which can be read again when they are needed. */
  readonly outline: (item: T) => T;
  /** Who the item belongs to. */
  readonly shareOf: (key: string) => string;
}

/**
 * Keeps what a store holds below a number of bytes: when it is more, items of whoever holds most become outlines. So one
 * tenant's objects, however many and large, neither fill the memory nor push out those of others.
 */
export class MemoryBudget<T extends Weighed> {
  readonly #options: MemoryBudgetOptions<T>;
  readonly #shares = new Map<string, { bytes: number; readonly keys: Set<string> }>();
  #bytes = 0;

  constructor(options: MemoryBudgetOptions<T>) {
    this.#options = options;
    options.store.listen((before, after) => {
      if (before) this.#forget(before);
      if (after) this.#count(after);
      this.#keep();
    });
  }

  /** Bytes of the details that are held. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Puts the item, read again with its details, in the place of its outline. */
  restore(item: T): void {
    const before = this.#options.store.get(item.key);
    if (!before || !this.#options.store.exchange(item)) return;
    this.#forget(before);
    this.#count(item);
    this.#keep();
  }

  #count({ key, weight }: T): void {
    if (weight === 0) return;
    const name = this.#options.shareOf(key);
    const share = this.#shares.get(name) ?? { bytes: 0, keys: new Set() };
    share.bytes += weight;
    share.keys.add(key);
    this.#shares.set(name, share);
    this.#bytes += weight;
  }

  #forget({ key, weight }: T): void {
    const name = this.#options.shareOf(key);
    const share = this.#shares.get(name);
    if (weight === 0 || !share?.keys.delete(key)) return;
    share.bytes -= weight;
    this.#bytes -= weight;
    if (share.keys.size === 0) this.#shares.delete(name);
  }

  /** A tenth more than needed goes at once, so that this is rare. */
  #keep(): void {
    const { store, most, outline } = this.#options;
    if (this.#bytes <= most) return;
    while (this.#bytes > most * 0.9) {
      const heaviest = [...this.#shares.values()].reduce((a, b) => (a.bytes >= b.bytes ? a : b));
      const enough = this.#bytes - most * 0.9;
      let freed = 0;
      for (const key of heaviest.keys) {
        const item = store.get(key);
        if (item) {
          store.exchange(outline(item));
          this.#forget(item);
          freed += item.weight;
        }
        if (freed >= enough || freed >= most / 20) break;
      }
    }
  }
}
