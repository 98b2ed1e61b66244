import type { Clock } from "../runtime/clock.ts";
import { Pace } from "../runtime/pace.ts";
import type { Limits } from "./limiter.ts";

/** A share opens so many clients at once, then one each so often: to open one takes work. */
const OPENED_AT_ONCE = 96;
const OPENED_EACH_MS = 250;

/** What the pool needs of a client. */
export interface Pooled {
  setLimits(limits: Limits): void;
  close(): void;
}

interface Entry<C> {
  readonly share: string;
  readonly client: C;
  /** Limits by the provider object that asks for them. */
  readonly users: Map<string, Limits>;
}

/**
 * One client for each identity, so that limits, sharing and connections are by identity too. A client lives as long as some
 * provider object uses it; the lowest limits of these hold.
 */
export class ClientPool<C extends Pooled> {
  /** Beyond, whichever was used longest ago makes room. */
  readonly mostOfAShare = 64;
  readonly #opening: Pace;
  readonly #entries = new Map<string, Entry<C>>();
  /** Identity by provider object. */
  readonly #identities = new Map<string, string>();

  constructor(clock: Clock) {
    this.#opening = new Pace({ clock, atOnce: OPENED_AT_ONCE, everyMs: OPENED_EACH_MS });
  }

  get size(): number {
    return this.#entries.size;
  }

  /**
   * `identity` must differ whenever share, endpoint or credentials do; `user` names the provider object, `share` whose it
   * is: empty for the admin's. undefined: it opens too many. Throws what connect throws.
   */
  get(
    { identity, user, share, limits }: { identity: string; user: string; share: string; limits: Limits },
    connect: (limits: Limits) => C,
  ): C | undefined {
    if (this.#identities.get(user) !== identity) this.release(user);
    let entry = this.#entries.get(identity);
    // Those that were used last are at the end.
    this.#entries.delete(identity);
    if (entry) this.#entries.set(identity, entry);
    else {
      if (share !== "") {
        if (this.#opening.waitMs(share) > 0) return undefined;
        this.#makeRoom(share);
      }
      entry = { share, client: connect(limits), users: new Map() };
      this.#entries.set(identity, entry);
    }
    if (entry.users.get(user) !== limits) {
      entry.users.set(user, limits);
      this.#identities.set(user, identity);
      this.#setLimits(entry);
    }
    return entry.client;
  }

  /** Provider objects that use it; none once it is closed. */
  usersOf(identity: string): readonly string[] {
    return [...(this.#entries.get(identity)?.users.keys() ?? [])];
  }

  /** The provider object is gone, or signs in differently. */
  release(user: string): void {
    const identity = this.#identities.get(user);
    const entry = identity === undefined ? undefined : this.#entries.get(identity);
    this.#identities.delete(user);
    if (!entry?.users.delete(user) || identity === undefined) return;
    if (entry.users.size > 0) this.#setLimits(entry);
    else this.#close(identity, entry);
  }

  /** Clients take memory, and a tenant may have any number of provider objects. */
  #makeRoom(share: string): void {
    const ours = [...this.#entries].filter(([, entry]) => entry.share === share);
    for (const [identity, entry] of ours.slice(0, Math.max(0, ours.length + 1 - this.mostOfAShare)))
      this.#close(identity, entry);
  }

  #close(identity: string, entry: Entry<C>): void {
    this.#forget(identity, entry);
    entry.client.close();
  }

  #forget(identity: string, entry: Entry<C>): void {
    if (this.#entries.get(identity) !== entry) return;
    this.#entries.delete(identity);
    for (const user of entry.users.keys()) this.#identities.delete(user);
  }

  #setLimits({ client, users }: Entry<C>): void {
    const lowest = (member: keyof Limits) => Math.min(...[...users.values()].map((limits) => limits[member]));
    const limits = {
      requestsPerSecond: lowest("requestsPerSecond"),
      maxConcurrent: lowest("maxConcurrent"),
    };
    client.setLimits(limits);
  }
}
