import type { Cancel, Clock } from "./clock.ts";
import { DelayHeap } from "./delay-heap.ts";

/** So few stale entries cost nothing. */
const SPARE_ENTRIES = 8;

/** Keys that wait for a monotonic time, each once: of several times the earliest counts. One timer serves them all. */
export class DueTimes<Lane> {
  readonly #clock: Clock;
  readonly #togetherMs: number;
  readonly #onDue: (key: string, lane: Lane, at: number) => void;
  readonly #times = new Map<string, { readonly at: number; readonly lane: Lane }>();
  /** Also holds entries whose time was changed or cleared; these count no more. */
  readonly #heap = new DelayHeap();
  #timer: { readonly at: number; readonly cancel: Cancel } | undefined;

  constructor(options: {
    readonly clock: Clock;
    /** Keys whose times lie so close together become due together. */
    readonly togetherMs: number;
    /** `at`: the time that the key waited for; it may be long ago, or a moment ahead. */
    readonly onDue: (key: string, lane: Lane, at: number) => void;
  }) {
    this.#clock = options.clock;
    this.#togetherMs = options.togetherMs;
    this.#onDue = options.onDue;
  }

  set(key: string, at: number, lane: Lane): void {
    const before = this.#times.get(key);
    if (before && before.at <= at) return;
    this.#times.set(key, { at, lane });
    this.#heap.push(key, at);
    if (this.#heap.size > 2 * this.#times.size + SPARE_ENTRIES) this.#dropStale();
    this.#schedule();
  }

  delete(key: string): void {
    this.#times.delete(key);
  }

  /** The earliest time that a key waits for. */
  earliest(): number | undefined {
    for (let next = this.#heap.peek(); next; next = this.#heap.peek()) {
      if (this.#times.get(next.key)?.at === next.at) return next.at;
      this.#heap.pop();
    }
    return undefined;
  }

  /** No key becomes due any more. */
  close(): void {
    this.#timer?.cancel();
  }

  /** Else they would stay until their times. */
  #dropStale(): void {
    this.#heap.clear();
    for (const [key, { at }] of this.#times) this.#heap.push(key, at);
  }

  #schedule(): void {
    const next = this.#heap.peek();
    if (!next || (this.#timer && this.#timer.at <= next.at)) return;
    this.#timer?.cancel();
    this.#timer = {
      at: next.at,
      cancel: this.#clock.after(next.at - this.#clock.monotonic(), () => this.#release()),
    };
  }

  #release(): void {
    this.#timer = undefined;
    const until = this.#clock.monotonic() + this.#togetherMs;
    for (let next = this.#heap.peek(); next && next.at <= until; next = this.#heap.peek()) {
      this.#heap.pop();
      const due = this.#times.get(next.key);
      if (due?.at !== next.at) continue;
      this.#times.delete(next.key);
      this.#onDue(next.key, due.lane, due.at);
    }
    this.#schedule();
  }
}
