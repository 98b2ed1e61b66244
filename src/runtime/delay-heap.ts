/** Keys by due time, earliest first. A key may be in it several times; the owner decides which entry counts. */
export class DelayHeap {
  #entries: { key: string; at: number }[] = [];

  get size(): number {
    return this.#entries.length;
  }

  clear(): void {
    this.#entries = [];
  }

  peek(): { readonly key: string; readonly at: number } | undefined {
    return this.#entries[0];
  }

  push(key: string, at: number): void {
    const entries = this.#entries;
    const entry = { key, at };
    let index = entries.push(entry) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = entries[parent];
      if (!above || above.at <= at) break;
      entries[index] = above;
      index = parent;
    }
    entries[index] = entry;
  }

  pop(): { readonly key: string; readonly at: number } | undefined {
    const entries = this.#entries;
    const top = entries[0];
    const last = entries.pop();
    if (!top || !last || entries.length === 0) return top;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      const right = entries[child + 1];
      if (right && right.at < (entries[child]?.at ?? Infinity)) child++;
      const below = entries[child];
      if (!below || below.at >= last.at) break;
      entries[index] = below;
      index = child;
    }
    entries[index] = last;
    return top;
  }
}
