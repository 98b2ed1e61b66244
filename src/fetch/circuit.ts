import type { ProviderFailure } from "../providers/provider.ts";
import type { Clock } from "../runtime/clock.ts";

/**
 * Spares a provider that is down: after a failure that concerns all calls, only one call a second goes out to see
 * whether it is back; the others get that failure at once.
 */
export class Circuit {
  readonly #clock: Clock;
  readonly #onRecovered: () => void;
  #open: { failure: ProviderFailure; probeAt: number } | undefined;

  constructor(clock: Clock, onRecovered: () => void) {
    this.#clock = clock;
    this.#onRecovered = onRecovered;
  }

  /** The failure to answer with instead of a call; undefined when the call may go out. */
  refusal(): ProviderFailure | undefined {
    if (!this.#open) return undefined;
    const now = this.#clock.monotonic();
    if (now < this.#open.probeAt) return this.#open.failure;
    this.#open.probeAt = now + PROBE_MS;
    return undefined;
  }

  get isOpen(): boolean {
    return this.#open !== undefined;
  }

  failed(failure: ProviderFailure): void {
    const wait = Math.max(PROBE_MS, failure.retryAfterMs ?? 0);
    this.#open = { failure, probeAt: this.#clock.monotonic() + wait };
  }

  succeeded(): void {
    if (!this.#open) return;
    this.#open = undefined;
    this.#onRecovered();
  }
}

const PROBE_MS = 1_000;
