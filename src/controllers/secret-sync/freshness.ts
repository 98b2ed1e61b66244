import type { Failure } from "../../api/reasons.ts";
import { EXACT_MS } from "../../feeds/polling.ts";
import { chance } from "../../plan/schedule.ts";
import type { Clock } from "../../runtime/clock.ts";

/**
 * What is remembered between reconciles, all of it dispensable: until when an object needs no look at its sources,
 * and when it last was fine. A restart of the operator only costs one look more.
 */
export interface Fresh {
  readonly uid: string;
  readonly generation: number | undefined;
  readonly requestedAt: string | undefined;
  /** Monotonic; Infinity for objects that are not refreshed. */
  readonly until: number;
}

interface Entry {
  fresh?: Fresh | undefined;
  /** Monotonic time by which the object should have been looked at again. */
  dueBy: number;
  /** Seconds since 1970. */
  lastSuccess?: number;
  /** Milliseconds since 1970. */
  nextRotation?: number | undefined;
  mustLook?: boolean;
  stalled?: Stalled & { readonly until: number };
  /** Monotonic time of the last exact look: values were read, and written to be sure. */
  exactAt?: number;
  /** Clients of the providers that it waits for to answer again. */
  waitsFor?: ReadonlySet<object> | undefined;
}

/** What these versions of the sources give can't become a Secret. */
export interface Stalled {
  readonly fingerprint: string;
  readonly failure: Failure;
}

/** How late an object may be before it counts as overdue. */
export const GRACE_MS = 60_000;
/** A stalled object is tried again so often: what a person mends may not show in the cluster. */
export const STALLED_MS = 5 * 60_000;

export class Freshness {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  readonly #epochs = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Until when the object, as it is, needs no look; undefined when it needs one now. */
  freshUntil(key: string, now: Omit<Fresh, "until">): number | undefined {
    const fresh = this.#entries.get(key)?.fresh;
    if (!fresh || fresh.uid !== now.uid) return undefined;
    if (fresh.generation !== now.generation || fresh.requestedAt !== now.requestedAt) return undefined;
    return this.#clock.monotonic() < fresh.until ? fresh.until : undefined;
  }

  /**
   * Something that the object depends on has changed, such as its provider: what was seen is no longer good, nor is what
   * somebody looks at just now.
   */
  expire(key: string): void {
    this.#epochs.set(key, this.epoch(key) + 1);
    const entry = this.#entries.get(key);
    if (!entry) return;
    const { stalled: _seenBefore, ...rest } = entry;
    this.#entries.set(key, { ...rest, fresh: undefined, mustLook: true });
  }

  /** To be asked before a look, and given with what it found. */
  epoch(key: string): number {
    return this.#epochs.get(key) ?? 0;
  }

  /** Also an object that is never refreshed. */
  mustLook(key: string): boolean {
    return this.#entries.get(key)?.mustLook ?? false;
  }

  /** Whether values must be read, although versions say that they are the same: a listing may lag. */
  mustReadExactly(key: string): boolean {
    const exactAt = this.exactAt(key);
    return exactAt === undefined || this.#clock.monotonic() - exactAt >= EXACT_MS;
  }

  /**
   * Whether what is fetched now shall be written even if nothing seems to have changed: whoever writes under our name leaves
   * no trace. Not right after a start, when everything is fetched.
   */
  mustVerify(key: string): boolean {
    return this.exactAt(key) !== undefined && this.mustReadExactly(key);
  }

  /** Monotonic; undefined before the first exact look. */
  exactAt(key: string): number | undefined {
    return this.#entries.get(key)?.exactAt;
  }

  /** Takes over what polling knew of an object that it looked after. */
  takeOver(
    key: string,
    entry: Pick<Entry, "fresh" | "dueBy" | "exactAt" | "lastSuccess" | "nextRotation">,
  ): void {
    this.#entries.set(key, { ...entry, dueBy: entry.dueBy + GRACE_MS });
  }

  succeeded(
    key: string,
    fresh: Fresh,
    { nextRotation, verified }: { nextRotation: number | undefined; verified: boolean },
    epoch: number,
  ): void {
    const isGood = epoch === this.epoch(key);
    const now = this.#clock.monotonic();
    // Those that were first seen in one burst are not read again in one.
    const first = now - chance(key) * (EXACT_MS / 2);
    this.#entries.set(key, {
      exactAt: verified ? now : (this.exactAt(key) ?? first),
      fresh: isGood ? fresh : undefined,
      mustLook: !isGood,
      nextRotation,
      dueBy: fresh.until + GRACE_MS,
      lastSuccess: this.#clock.now() / 1000,
    });
  }

  /** `waitsFor`: clients of the providers whose return ends the failure. */
  failed(key: string, retryInMs: number, waitsFor?: ReadonlySet<object>): void {
    const { lastSuccess, nextRotation, exactAt, stalled, mustLook = false } = this.#entries.get(key) ?? {};
    this.#entries.set(key, {
      mustLook,
      nextRotation,
      dueBy: this.#clock.monotonic() + retryInMs + GRACE_MS,
      waitsFor,
      ...(exactAt === undefined ? {} : { exactAt }),
      ...(stalled === undefined ? {} : { stalled }),
      ...(lastSuccess === undefined ? {} : { lastSuccess }),
    });
  }

  stalled(key: string, stalled: Stalled): void {
    const entry = this.#entries.get(key) ?? { dueBy: Infinity };
    this.#entries.set(key, {
      ...entry,
      stalled: { ...stalled, until: this.#clock.monotonic() + STALLED_MS },
    });
  }

  /** undefined once it is time to try again all the same. */
  stalledBy(key: string): Stalled | undefined {
    const { stalled } = this.#entries.get(key) ?? {};
    return stalled && this.#clock.monotonic() < stalled.until ? stalled : undefined;
  }

  forget(key: string): void {
    this.#entries.delete(key);
    this.#epochs.delete(key);
  }

  lastSuccess(key: string): number | undefined {
    return this.#entries.get(key)?.lastSuccess;
  }

  nextRotation(key: string): number | undefined {
    return this.#entries.get(key)?.nextRotation;
  }

  waitingFor(client: object): readonly string[] {
    return [...this.#entries].filter(([, { waitsFor }]) => waitsFor?.has(client)).map(([key]) => key);
  }

  /** `waiting`: keys that are due and have waited longer than GRACE_MS; of these, who was never looked at is overdue. */
  overdueCount(waiting: Iterable<string>): number {
    const now = this.#clock.monotonic();
    let count = 0;
    for (const { dueBy } of this.#entries.values()) if (now > dueBy) count++;
    for (const key of waiting) if (!this.#entries.has(key)) count++;
    return count;
  }
}
