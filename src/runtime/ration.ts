/**
 * Bytes that may be held at once, by all together and by one share, such as a namespace. Who wants more waits until others
 * have given theirs back, shares taking turns.
 */
export class Ration {
  readonly #most: number;
  readonly #mostOfAShare: number;
  readonly #held = new Map<string, number>();
  /** In the order in which shares are served. */
  readonly #waiting = new Map<string, Waiting[]>();
  #total = 0;

  constructor(options: { readonly most: number; readonly mostOfAShare: number }) {
    this.#most = options.most;
    this.#mostOfAShare = options.mostOfAShare;
  }

  /** Resolves with what gives them back. More than one share may have at all counts as that much. */
  async acquire(share: string, bytes: number, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    const wanted = Math.min(bytes, this.#mostOfAShare);
    if (!this.#fits(share, wanted) || this.#waiting.has(share)) await this.#wait(share, wanted, signal);
    else this.#take(share, wanted);
    let isHeld = true;
    return () => {
      if (isHeld) this.#take(share, -wanted);
      isHeld = false;
      this.#serve();
    };
  }

  #wait(share: string, bytes: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const line = this.#waiting.get(share) ?? [];
      const grant = () => {
        signal.removeEventListener("abort", giveUp);
        resolve();
      };
      const waiting = { bytes, grant };
      const giveUp = () => {
        line.splice(line.indexOf(waiting), 1);
        if (line.length === 0) this.#waiting.delete(share);
        reject(signal.reason as Error);
      };
      signal.addEventListener("abort", giveUp, { once: true });
      line.push(waiting);
      this.#waiting.set(share, line);
    });
  }

  #fits(share: string, bytes: number): boolean {
    return this.#total + bytes <= this.#most && (this.#held.get(share) ?? 0) + bytes <= this.#mostOfAShare;
  }

  #take(share: string, bytes: number): void {
    this.#total += bytes;
    const held = (this.#held.get(share) ?? 0) + bytes;
    if (held > 0) this.#held.set(share, held);
    else this.#held.delete(share);
  }

  #serve(): void {
    for (const [share, line] of Array.from(this.#waiting)) {
      const [next] = line;
      if (!next || !this.#fits(share, next.bytes)) continue;
      line.shift();
      this.#waiting.delete(share);
      if (line.length > 0) this.#waiting.set(share, line);
      this.#take(share, next.bytes);
      next.grant();
    }
  }
}

interface Waiting {
  readonly bytes: number;
  readonly grant: () => void;
}
