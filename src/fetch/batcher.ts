import type { Cancel, Clock } from "../runtime/clock.ts";

/**
 * Gathers requests into batches. A batch leaves when it is full, or when nobody else is about to ask: at once while
 * `moreComing` is false, else after a short linger.
 */
export interface BatcherOptions<Request, Result> {
  readonly clock: Clock;
  readonly most: number;
  readonly lingerMs: number;
  readonly moreComing: () => boolean;
  readonly send: (requests: readonly Request[]) => Promise<readonly Result[]>;
}

export class Batcher<Request, Result> {
  readonly #options: BatcherOptions<Request, Result>;
  #pending: { request: Request; resolve: (result: Result) => void; reject: (error: unknown) => void }[] = [];
  #cancel: Cancel | undefined;

  constructor(options: BatcherOptions<Request, Result>) {
    this.#options = options;
  }

  request(request: Request): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ request, resolve, reject });
      if (this.#pending.length >= this.#options.most) this.#flush();
      // A turn of the event loop lets everyone who is already running ask.
      else this.#cancel ??= this.#options.clock.after(0, () => this.#settle());
    });
  }

  #settle(): void {
    const { clock, lingerMs, moreComing } = this.#options;
    if (moreComing()) this.#cancel = clock.after(lingerMs, () => this.#flush());
    else this.#flush();
  }

  #flush(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    const batch = this.#pending;
    this.#pending = [];
    this.#options
      .send(batch.map(({ request }) => request))
      .then((results) => batch.forEach(({ resolve }, index) => resolve(results[index] as Result)))
      .catch((error: unknown) => batch.forEach(({ reject }) => reject(error)));
  }
}
