import type { ProviderFailure } from "../providers/contract.ts";
import type { Clock } from "../runtime/clock.ts";

/**
 * Spares a provider that is down: after failures of several questions with no success between, only one call a second
 * goes out to see whether it is back. While that call is under way the others wait for its outcome; in between they get
 * the last failure at once. One question that always fails doesn't open it: others may be answered.
 */
export class Circuit {
  readonly #clock: Clock;
  readonly #onRecovered: () => void;
  /** What failed since the last success. */
  readonly #failing = new Set<string>();
  #open:
    { failure: ProviderFailure; probeAt: number; probe: PromiseWithResolvers<void> | undefined } | undefined;

  constructor(clock: Clock, onRecovered: () => void) {
    this.#clock = clock;
    this.#onRecovered = onRecovered;
  }

  /** Whether a call may go out; whoever gets "probe" must tell how it ended. */
  async admit(): Promise<"call" | "probe" | ProviderFailure> {
    while (this.#open) {
      const { failure, probeAt, probe } = this.#open;
      if (probe) await probe.promise;
      else if (this.#clock.monotonic() < probeAt) return failure;
      else {
        this.#open.probe = Promise.withResolvers();
        return "probe";
      }
    }
    return "call";
  }

  /** `question`: what was asked. `concernsAll`: it is certain that any other would fail, too. */
  failed(question: string, failure: ProviderFailure, concernsAll: boolean): void {
    this.#failing.add(question);
    const probe = this.#open?.probe;
    if (this.#open || concernsAll || this.#failing.size >= FAILURES_TO_OPEN) {
      const wait = Math.max(PROBE_MS, failure.retryAfterMs ?? 0);
      this.#open = { failure, probeAt: this.#clock.monotonic() + wait, probe: undefined };
      this.#failing.clear();
    }
    probe?.resolve();
  }

  succeeded(): void {
    this.#failing.clear();
    if (!this.#open) return;
    const { probe } = this.#open;
    this.#open = undefined;
    probe?.resolve();
    this.#onRecovered();
  }
}

const FAILURES_TO_OPEN = 3;
const PROBE_MS = 1_000;
