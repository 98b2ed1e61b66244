import type { Cancel, Clock } from "../runtime/clock.ts";
import { FairLine } from "../runtime/fair-line.ts";

/**
 * Gathers requests into batches. A batch leaves when it is full, or when nobody else is about to ask: at once while
 * `moreComing` is false, else after a short linger. What is in a batch is decided when its call goes out, shares taking
 * turns: so a flood of one share fills the batches only as far as nobody else wants in.
 */
export interface BatcherOptions<Request, Result> {
  readonly clock: Clock;
  readonly most: number;
  readonly lingerMs: number;
  readonly moreComing: () => boolean;
  /** Must call `take` once, when the call goes out; it gives one request at least. Results are in the order of these. */
  readonly send: (take: () => readonly Request[]) => Promise<readonly Result[]>;
  /** Asks for what would be alone in its batch; absent where that is nothing else. */
  readonly sendOne?: (request: Request, share: string) => Promise<Result>;
}

interface Waiting<Request, Result> {
  readonly request: Request;
  readonly share: string;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

export class Batcher<Request, Result> {
  readonly #options: BatcherOptions<Request, Result>;
  readonly #waiting = new FairLine<Waiting<Request, Result>>();
  /** Batches that are on their way and haven't taken their requests yet. */
  #sent = 0;
  #cancel: Cancel | undefined;

  constructor(options: BatcherOptions<Request, Result>) {
    this.#options = options;
  }

  request(share: string, request: Request): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#waiting.add(share, { request, share, resolve, reject });
      if (this.#waiting.size >= (this.#sent + 1) * this.#options.most) this.#flush();
      // A turn of the event loop lets everyone who is already running ask.
      else this.#cancel ??= this.#options.clock.after(0, () => this.#settle());
    });
  }

  #settle(): void {
    const { clock, lingerMs, moreComing } = this.#options;
    if (moreComing()) this.#cancel = clock.after(lingerMs, () => this.#flush());
    else this.#flush();
  }

  /** As many batches as all who wait need. */
  #flush(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    const { sendOne } = this.#options;
    if (sendOne && this.#sent === 0 && this.#waiting.size === 1) {
      const only = this.#waiting.take();
      if (only) sendOne(only.request, only.share).then(only.resolve, only.reject);
    }
    while (this.#sent * this.#options.most < this.#waiting.size) this.#send();
  }

  #send(): void {
    let taken: Waiting<Request, Result>[] | undefined;
    this.#sent++;
    const take = () => {
      taken ??= this.#take();
      return taken.map(({ request }) => request);
    };
    this.#options
      .send(take)
      .then((results) => taken?.forEach(({ resolve }, index) => resolve(results[index] as Result)))
      .catch((error: unknown) => {
        // A call that never went out fails those whom it would have taken.
        take();
        taken?.forEach(({ reject }) => reject(error));
      });
  }

  #take(): Waiting<Request, Result>[] {
    this.#sent--;
    const taken: Waiting<Request, Result>[] = [];
    while (taken.length < this.#options.most) {
      const next = this.#waiting.take();
      if (!next) break;
      taken.push(next);
    }
    return taken;
  }
}
