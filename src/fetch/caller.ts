import type { Failed, ProviderFailure } from "../providers/provider.ts";
import { sleep, type Clock, type Random } from "../runtime/clock.ts";
import { Circuit } from "./circuit.ts";
import { Limiter } from "./limiter.ts";

/** Makes the call, and notes that it went out and how it ended. */
export type ObserveCall = <T>(
  operation: string,
  call: () => Promise<T>,
  resultOf: (answer: T) => "success" | "missing" | ProviderFailure["reason"],
) => Promise<T>;

export interface CallerOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: { readonly requestsPerSecond: number; readonly maxConcurrent: number };
  readonly observe: ObserveCall;
  /** The provider answers again after it did not. */
  readonly onRecovered: () => void;
}

const TRIES = 3;
const CALL_TIMEOUT_MS = 15_000;

/** Sends calls to one provider as one identity: paced, retried, and spared while the provider is down. */
export class Caller {
  readonly #options: CallerOptions;
  readonly #limiter: Limiter;
  readonly #circuit: Circuit;

  constructor(options: CallerOptions) {
    this.#options = options;
    this.#limiter = new Limiter(options.clock, options.limits);
    this.#circuit = new Circuit(options.clock, options.onRecovered);
  }

  async call<T extends { readonly kind: string } | ReadonlyMap<string, unknown>>(
    operation: string,
    send: (signal: AbortSignal) => Promise<T>,
    failureOf: (result: T) => ProviderFailure | undefined,
  ): Promise<T | Failed> {
    for (let tries = 1; ; tries++) {
      const probing = this.#circuit.isOpen;
      const refused = this.#circuit.refusal();
      if (refused) return { kind: "failed", failure: refused };
      const result = await this.#limiter.run(() => this.#send(operation, send, failureOf));
      const failure = failureOf(result);
      if (failure?.scope !== "provider") {
        this.#limiter.succeeded();
        this.#circuit.succeeded();
        return result;
      }
      const throttled = failure.reason === "RateLimited";
      const wait = failure.retryAfterMs ?? 200 * 2 ** tries * (0.5 + this.#options.random());
      if (throttled) this.#limiter.throttled(wait);
      if (probing || tries === TRIES || !worthRetry(failure)) {
        this.#circuit.failed(failure);
        return result;
      }
      if (!throttled) await sleep(this.#options.clock, wait, new AbortController().signal);
    }
  }

  async #send<T>(
    operation: string,
    send: (signal: AbortSignal) => Promise<T>,
    failureOf: (result: T) => ProviderFailure | undefined,
  ): Promise<T> {
    const { clock, observe } = this.#options;
    const limit = new AbortController();
    const cancel = clock.after(CALL_TIMEOUT_MS, () => limit.abort(new Error("the provider took too long")));
    try {
      return await observe(
        operation,
        () => send(limit.signal),
        (answer) => {
          const missing = (answer as { kind?: string }).kind === "missing";
          return failureOf(answer)?.reason ?? (missing ? "missing" : "success");
        },
      );
    } finally {
      cancel();
    }
  }
}

const worthRetry = ({ reason }: ProviderFailure): boolean =>
  reason === "RateLimited" || reason === "ProviderUnreachable";

/** Of answers to a single question. */
export const failureOf = (result: {
  readonly kind: string;
  readonly failure?: ProviderFailure;
}): ProviderFailure | undefined => result.failure;
