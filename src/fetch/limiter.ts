import type { Clock } from "../runtime/clock.ts";
import { FairLine } from "../runtime/fair-line.ts";

/**
 * Paces the calls to one provider: a token bucket for the rate of all, and for each operation a number of calls at once
 * that falls by half when the provider throttles it and grows back by one with each round of successes (AIMD). Quotas are
 * by operation (https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html), so one that is
 * throttled holds up no other. Those who wait for the same operation take turns by share, such as by namespace.
 */
export class Limiter {
  readonly #clock: Clock;
  #perSecond: number;
  #mostConcurrent: number;
  readonly #lines = new Map<string, Line>();
  #tokens: number;
  #refilledAt: number;
  #running = 0;
  #timer: { at: number; cancel: () => void } | undefined;

  constructor(clock: Clock, limits: Limits) {
    this.#clock = clock;
    this.#perSecond = limits.requestsPerSecond;
    this.#mostConcurrent = limits.maxConcurrent;
    this.#tokens = limits.requestsPerSecond;
    this.#refilledAt = clock.monotonic();
  }

  /** From now on. */
  setLimits({ requestsPerSecond, maxConcurrent }: Limits): void {
    this.#refill();
    this.#perSecond = requestsPerSecond;
    this.#tokens = Math.min(this.#tokens, requestsPerSecond);
    for (const line of this.#lines.values()) {
      const wasFull = line.window >= this.#mostConcurrent;
      line.window = wasFull ? maxConcurrent : Math.min(line.window, maxConcurrent);
    }
    this.#mostConcurrent = maxConcurrent;
    this.#serve();
  }

  /** Calls of the operation that may run at once just now. */
  windowOf(operation: string): number {
    return Math.max(1, Math.floor(this.#line(operation).window));
  }

  async run<T>(operation: string, share: string, call: () => Promise<T>): Promise<T> {
    const line = this.#line(operation);
    await new Promise<void>((resolve) => {
      line.waiting.add(share, resolve);
      this.#serve();
    });
    try {
      return await call();
    } finally {
      this.#running--;
      line.running--;
      this.#serve();
    }
  }

  /** A turn that was waited for and then not used for a call. */
  giveBack(): void {
    this.#tokens = Math.min(this.#perSecond, this.#tokens + 1);
  }

  succeeded(operation: string): void {
    const line = this.#line(operation);
    line.window = Math.min(this.#mostConcurrent, line.window + 1 / line.window);
  }

  /** The provider throttled: fewer calls at once, and none before it wants one. */
  throttled(operation: string, waitMs: number): void {
    const line = this.#line(operation);
    line.window = Math.max(1, line.window / 2);
    line.pausedUntil = Math.max(line.pausedUntil, this.#clock.monotonic() + waitMs);
  }

  #line(operation: string): Line {
    let line = this.#lines.get(operation);
    if (!line) {
      line = { waiting: new FairLine(), running: 0, window: this.#mostConcurrent, pausedUntil: 0 };
      this.#lines.set(operation, line);
    }
    return line;
  }

  /** One call of each operation in turn, so that none can starve another. */
  #serve(): void {
    this.#refill();
    for (let served = true; served;) {
      served = false;
      for (const [operation, line] of Array.from(this.#lines)) {
        if (!this.#mayServe(operation, line)) continue;
        this.#tokens--;
        this.#running++;
        line.running++;
        this.#lines.delete(operation);
        this.#lines.set(operation, line);
        line.waiting.take()?.();
        served = true;
      }
    }
  }

  /** If only time stands in the way, it is tried again then. */
  #mayServe(operation: string, line: Line): boolean {
    if (line.waiting.size === 0 || line.running >= this.windowOf(operation)) return false;
    if (this.#running >= this.#mostConcurrent) return false;
    const now = this.#clock.monotonic();
    const at =
      this.#tokens < 1
        ? now + Math.ceil(((1 - this.#tokens) / this.#perSecond) * 1000)
        : Math.max(now, line.pausedUntil);
    if (at <= now) return true;
    this.#wakeAt(at);
    return false;
  }

  #wakeAt(at: number): void {
    if (this.#timer && this.#timer.at <= at) return;
    this.#timer?.cancel();
    const cancel = this.#clock.after(at - this.#clock.monotonic(), () => {
      this.#timer = undefined;
      this.#serve();
    });
    this.#timer = { at, cancel };
  }

  #refill(): void {
    const now = this.#clock.monotonic();
    const earned = ((now - this.#refilledAt) / 1000) * this.#perSecond;
    this.#tokens = Math.min(this.#perSecond, this.#tokens + earned);
    this.#refilledAt = now;
  }
}

export interface Limits {
  readonly requestsPerSecond: number;
  readonly maxConcurrent: number;
}

interface Line {
  readonly waiting: FairLine<() => void>;
  running: number;
  window: number;
  /** Monotonic. */
  pausedUntil: number;
}
