import type { Failed, ProviderFailure } from "../providers/contract.ts";
import { sleep, type Clock, type Random } from "../runtime/clock.ts";
import { Circuit } from "./circuit.ts";
import { Limiter, type Limits } from "./limiter.ts";

/** Makes the call, and notes that it went out and how it ended. */
export type ObserveCall = <T>(
  operation: string,
  call: () => Promise<T>,
  resultOf: (answer: T) => "success" | "missing" | ProviderFailure["reason"],
) => Promise<T>;

export interface CallerOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: Limits;
  readonly observe: ObserveCall;
  /** Makes a call wait for others than those of this provider. */
  readonly inTurn?: <T>(work: () => Promise<T>) => Promise<T>;
  /** The provider answers again after it did not. */
  readonly onRecovered: () => void;
}

export interface Call {
  readonly operation: string;
  /** Names what is asked, so that one question that always fails is known from a provider that is down. */
  readonly question: () => string;
  /** Who asks: those who wait take turns by it. Empty: for everybody. */
  readonly share: string;
}

const TRIES = 3;
const CALL_TIMEOUT_MS = 15_000;
/** Whoever took longer to fail, or wants a longer wait, isn't asked again by the same call. */
const LONGEST_WAIT_MS = 2_000;
const THROTTLED_WAIT_MS = 30_000;

/** Sends calls to one provider as one identity: paced, retried, and spared while the provider is down. */
export class Caller {
  readonly #options: CallerOptions;
  readonly #limiter: Limiter;
  readonly #circuit: Circuit;
  #underWay = 0;
  #onIdle: (() => void) | undefined;

  constructor(options: CallerOptions) {
    this.#options = options;
    this.#limiter = new Limiter(options.clock, options.limits);
    this.#circuit = new Circuit(options.clock, options.onRecovered);
  }

  /** Calls back when no call waits or runs; at once when none does. */
  whenIdle(callback: () => void): void {
    if (this.#underWay === 0) callback();
    else this.#onIdle = callback;
  }

  /** From now on. */
  setLimits(limits: Limits): void {
    this.#limiter.setLimits(limits);
  }

  async call<T extends { readonly kind: string } | ReadonlyMap<string, unknown>>(
    call: Call,
    send: (signal: AbortSignal) => Promise<T>,
    failureOf: (result: T) => ProviderFailure | undefined,
  ): Promise<T | Failed> {
    this.#underWay++;
    try {
      return await this.#call(call, send, failureOf);
    } finally {
      if (--this.#underWay === 0) this.#onIdle?.();
    }
  }

  async #call<T extends { readonly kind: string } | ReadonlyMap<string, unknown>>(
    { operation, question, share }: Call,
    send: (signal: AbortSignal) => Promise<T>,
    failureOf: (result: T) => ProviderFailure | undefined,
  ): Promise<T | Failed> {
    for (let tries = 1; ; tries++) {
      const { admission, result, tookMs } = await this.#try(operation, share, send, failureOf);
      if (result === undefined) return { kind: "failed", failure: admission as ProviderFailure };
      const failure = failureOf(result);
      if (failure?.scope !== "provider") {
        this.#limiter.succeeded(operation);
        this.#circuit.succeeded();
        return result;
      }
      const throttled = failure.reason === "RateLimited";
      const wait = failure.retryAfterMs ?? 200 * 2 ** tries * (0.5 + this.#options.random());
      if (throttled) this.#limiter.throttled(operation, wait);
      const patience = throttled ? THROTTLED_WAIT_MS : LONGEST_WAIT_MS;
      const isLast = tries === TRIES || Math.max(wait, throttled ? 0 : tookMs) > patience;
      if (admission === "probe" || isLast || !worthRetry(failure)) {
        // Who throttles is there, and only wants less of this.
        if (admission === "probe" || !throttled)
          this.#circuit.failed(question(), failure, !worthRetry(failure));
        return result;
      }
      if (!throttled) await sleep(this.#options.clock, wait);
    }
  }

  /** No result: the provider is spared. */
  #try<T>(
    operation: string,
    share: string,
    send: (signal: AbortSignal) => Promise<T>,
    failureOf: (result: T) => ProviderFailure | undefined,
  ) {
    const { inTurn = (work) => work() } = this.#options;
    const attempt = async () => {
      // Asked here, since the provider may have gone down while this call waited for its turn.
      const admission = await this.#circuit.admit();
      if (typeof admission === "object") {
        this.#limiter.giveBack();
        return { admission, result: undefined, tookMs: 0 };
      }
      const started = this.#options.clock.monotonic();
      try {
        const result = await this.#send(operation, send, failureOf);
        return { admission, result, tookMs: this.#options.clock.monotonic() - started };
      } catch (error) {
        if (admission === "probe") this.#circuit.failed(operation, unknown, true);
        throw error;
      }
    };
    return this.#limiter.run(operation, share, () => inTurn(attempt));
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

const unknown: ProviderFailure = {
  reason: "ProviderUnreachable",
  scope: "provider",
  message: "the call to the provider failed in an unexpected way; the operator's log tells more",
};

const worthRetry = ({ reason }: ProviderFailure): boolean =>
  reason === "RateLimited" || reason === "ProviderUnreachable";

/** Of answers to a single question. */
export const failureOf = (result: {
  readonly kind: string;
  readonly failure?: ProviderFailure;
}): ProviderFailure | undefined => result.failure;
