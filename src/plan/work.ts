/**
 * What the core may spend on one SecretSync, counted as it goes and without a clock. A unit is a byte that is read or
 * written, or a step of a pattern's program: some 2 to 20 ns.
 */

/** Of all that a SecretSync may cause: well below a second. */
export const MOST_WORK = 40_000_000;
/** After so much others get a turn: some 10 ms. */
const WORK_OF_A_TURN = 500_000;
/** What can't be interrupted may take so much. */
export const MOST_AT_ONCE = 1_000_000;

export class Work {
  #left: number;
  #leftOfTurn = WORK_OF_A_TURN;

  constructor(most = MOST_WORK) {
    this.#left = most;
  }

  spend(units: number): void {
    this.#left -= units;
    this.#leftOfTurn -= units;
  }

  get isSpent(): boolean {
    return this.#left < 0;
  }

  /** Whether it is time to let others have a turn; asked by whoever can, and then does. */
  isTimeToPause(): boolean {
    if (this.#leftOfTurn > 0) return false;
    this.#leftOfTurn = WORK_OF_A_TURN;
    return true;
  }
}

/** What is done in steps: each `yield` is a moment at which others may have a turn. */
export type Steps<T> = Generator<void, T, void>;

/** For callers who need no pauses. */
export function runToEnd<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}
