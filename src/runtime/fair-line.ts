/**
 * A line in which shares take turns, such as namespaces: first come, first served within each. So whoever has a thousand in
 * it doesn't hold up who has one.
 */
export class FairLine<T> {
  /** In the order in which they are served; whoever was served goes to the end. */
  readonly #shares = new Map<string, Set<T>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(share: string, item: T): void {
    const items = this.#shares.get(share);
    if (items?.has(item)) return;
    if (items) items.add(item);
    else this.#shares.set(share, new Set([item]));
    this.#size++;
  }

  delete(share: string, item: T): void {
    const items = this.#shares.get(share);
    if (!items?.delete(item)) return;
    this.#size--;
    if (items.size === 0) this.#shares.delete(share);
  }

  take(): T | undefined {
    for (const [share, items] of this.#shares) {
      for (const item of items) {
        this.delete(share, item);
        if (this.#shares.delete(share)) this.#shares.set(share, items);
        return item;
      }
    }
    return undefined;
  }

  /** Of each share the item that has waited longest. */
  *first(): Iterable<T> {
    for (const items of this.#shares.values()) {
      for (const item of items) {
        yield item;
        break;
      }
    }
  }

  *[Symbol.iterator](): Iterator<T> {
    for (const items of this.#shares.values()) yield* items;
  }
}
