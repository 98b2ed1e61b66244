import type { Clock } from "../runtime/clock.ts";

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
  /** Waits for its provider to answer again. */
  waitsForProvider: boolean;
}

/** How late an object may be before it counts as overdue. */
const GRACE_MS = 60_000;

export class Freshness {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();

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

  /** Something that the object depends on has changed, such as its provider: what was seen is no longer good. */
  expire(key: string): void {
    const entry = this.#entries.get(key);
    if (entry) this.#entries.set(key, { ...entry, fresh: undefined, mustLook: true });
  }

  /** Also an object that is never refreshed. */
  mustLook(key: string): boolean {
    return this.#entries.get(key)?.mustLook ?? false;
  }

  succeeded(key: string, fresh: Fresh, nextRotation: number | undefined): void {
    this.#entries.set(key, {
      fresh,
      nextRotation,
      dueBy: fresh.until + GRACE_MS,
      lastSuccess: this.#clock.now() / 1000,
      waitsForProvider: false,
    });
  }

  failed(key: string, retryInMs: number, waitsForProvider: boolean): void {
    const { lastSuccess, nextRotation, mustLook = false } = this.#entries.get(key) ?? {};
    this.#entries.set(key, {
      mustLook,
      nextRotation,
      dueBy: this.#clock.monotonic() + retryInMs + GRACE_MS,
      waitsForProvider,
      ...(lastSuccess === undefined ? {} : { lastSuccess }),
    });
  }

  forget(key: string): void {
    this.#entries.delete(key);
  }

  lastSuccess(key: string): number | undefined {
    return this.#entries.get(key)?.lastSuccess;
  }

  nextRotation(key: string): number | undefined {
    return this.#entries.get(key)?.nextRotation;
  }

  waitingForProvider(): readonly string[] {
    return [...this.#entries].filter(([, entry]) => entry.waitsForProvider).map(([key]) => key);
  }

  overdueCount(): number {
    const now = this.#clock.monotonic();
    let count = 0;
    for (const { dueBy } of this.#entries.values()) if (now > dueBy) count++;
    return count;
  }
}
