interface Arrival {
  readonly bytes: number;
  readonly admit: () => void;
}

/** Bytes; reading and parsing so many takes some 15 ms. */
const MOST_OF_A_TURN = 1024 * 1024;

/**
 * Lets through so many bytes of answers in each turn of the event loop; the rest waits for later turns. Node reads all that
 * has arrived in one turn, which hundreds of answers at once make a long one: no timer fires meanwhile, no probe is answered
 * and no lease is renewed. Shares take turns, and within a share the oldest answer goes first, so that few are held in part.
 */
export class Intake {
  readonly #nextTurn: (callback: () => void) => void;
  /** By share, then by the number of the answer. Whichever share was served goes to the end. */
  readonly #waiting = new Map<string, Map<number, Arrival>>();
  /** Below 0 after a piece that is larger than a turn's bytes: the turns to come pay for it. */
  #left = MOST_OF_A_TURN;
  #refills = false;
  #answers = 0;

  constructor(nextTurn: (callback: () => void) => void = setImmediate) {
    this.#nextTurn = nextTurn;
  }

  /** For the pieces of one answer, each to be asked for when the one before was let in. */
  answer(share: string): (bytes: number) => Promise<void> {
    const number = this.#answers++;
    return async (bytes) => {
      if (this.#left > 0 && this.#waiting.size === 0) this.#take(bytes);
      else await new Promise<void>((admit) => this.#add(share, number, { bytes, admit }));
    };
  }

  #add(share: string, number: number, arrival: Arrival): void {
    const arrivals = this.#waiting.get(share);
    if (arrivals) arrivals.set(number, arrival);
    else this.#waiting.set(share, new Map([[number, arrival]]));
  }

  #next(): Arrival | undefined {
    for (const [share, arrivals] of this.#waiting) {
      const oldest = Math.min(...arrivals.keys());
      const arrival = arrivals.get(oldest);
      arrivals.delete(oldest);
      this.#waiting.delete(share);
      if (arrivals.size > 0) this.#waiting.set(share, arrivals);
      return arrival;
    }
    return undefined;
  }

  #take(bytes: number): void {
    this.#left -= bytes;
    this.#refillLater();
  }

  #refillLater(): void {
    if (this.#refills) return;
    this.#refills = true;
    this.#nextTurn(() => this.#refill());
  }

  #refill(): void {
    this.#refills = false;
    this.#left = Math.min(MOST_OF_A_TURN, this.#left + MOST_OF_A_TURN);
    while (this.#left > 0) {
      const next = this.#next();
      if (!next) break;
      this.#take(next.bytes);
      next.admit();
    }
    if (this.#left < MOST_OF_A_TURN) this.#refillLater();
  }
}
