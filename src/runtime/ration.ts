import { firstOf, waitInLine } from "./line.ts";

/**
 * Bytes that are held while work goes on, each share's counted apart. Who holds nothing never waits for others: a share
 * that holds much waits for its own, and when all together hold too much, the largest work of whichever share holds
 * most is shed. So slow or huge work of one share, however much of it there is, delays and fails no other.
 */
export class Ration {
  readonly #most: number;
  readonly #mostOfAShare: number;
  readonly #shares = new Map<string, Share>();
  #total = 0;

  /** `mostOfAShare`: of a share that holds more, nothing new begins. */
  constructor(options: { readonly most: number; readonly mostOfAShare: number }) {
    this.#most = options.most;
    this.#mostOfAShare = options.mostOfAShare;
  }

  /** Resolves when the share's next work may begin. `onShed`: must let go of everything that the work holds. */
  async begin(share: string, onShed: () => void, signal: AbortSignal): Promise<Portion> {
    signal.throwIfAborted();
    const known = this.#shares.get(share) ?? { bytes: 0, portions: new Set(), waiting: new Set() };
    this.#shares.set(share, known);
    if (known.bytes > this.#mostOfAShare || known.waiting.size > 0) await waitInLine(known.waiting, signal);
    const portion = new Portion(
      (bytes) => this.#count(known, bytes),
      () => this.#end(share, known, portion),
      onShed,
    );
    known.portions.add(portion);
    return portion;
  }

  #count(share: Share, bytes: number): void {
    share.bytes += bytes;
    this.#total += bytes;
    while (this.#total > this.#most) {
      const heaviest = largest([...this.#shares.values()]);
      largest([...heaviest.portions]).shed();
    }
    this.#serve(share);
  }

  #end(name: string, share: Share, portion: Portion): void {
    share.portions.delete(portion);
    share.bytes -= portion.bytes;
    this.#total -= portion.bytes;
    this.#serve(share);
    if (share.portions.size === 0 && share.waiting.size === 0) this.#shares.delete(name);
  }

  /** The next one only, whenever some of the work came or ended: who begins holds nothing yet. */
  #serve(share: Share): void {
    if (share.bytes <= this.#mostOfAShare) firstOf(share.waiting)?.();
  }
}

/** What one piece of work holds. */
export class Portion {
  readonly #count: (bytes: number) => void;
  readonly #onEnd: () => void;
  readonly #onShed: () => void;
  #bytes = 0;
  #isOver = false;

  constructor(count: (bytes: number) => void, onEnd: () => void, onShed: () => void) {
    this.#count = count;
    this.#onEnd = onEnd;
    this.#onShed = onShed;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** The work holds so many bytes more. */
  add(bytes: number): void {
    if (this.#isOver) return;
    this.#bytes += bytes;
    this.#count(bytes);
  }

  /** Gives all of them back. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#onEnd();
  }

  shed(): void {
    if (this.#isOver) return;
    this.#onShed();
    this.end();
  }
}

interface Share {
  bytes: number;
  readonly portions: Set<Portion>;
  readonly waiting: Set<() => void>;
}

const largest = <T extends { readonly bytes: number }>(all: readonly T[]): T =>
  all.reduce((a, b) => (a.bytes >= b.bytes ? a : b));
