/** Bytes that all may take together, of which a share, such as a namespace, gets half at most. */
export class Room {
  readonly #most: number;
  readonly #shares = new Map<string, number>();
  #bytes = 0;

  constructor(most: number) {
    this.#most = most;
  }

  has(share: string, bytes: number): boolean {
    return this.#bytes + bytes <= this.#most && (this.#shares.get(share) ?? 0) + bytes <= this.#most / 2;
  }

  /** Negative: they are free again. */
  take(share: string, bytes: number): void {
    this.#bytes += bytes;
    const taken = (this.#shares.get(share) ?? 0) + bytes;
    if (taken > 0) this.#shares.set(share, taken);
    else this.#shares.delete(share);
  }
}
