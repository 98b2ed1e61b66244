import type {
  Failed,
  ListedSecret,
  ListFilter,
  ListingRead,
  ListResult,
  SecretStore,
} from "../providers/contract.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import { failureOf, type Caller } from "./caller.ts";
import type { Keeping, KeptBytes } from "./kept-bytes.ts";
import { weightOfListed, withTags } from "./listed.ts";
import { Recent } from "./recent.ts";
import { Rotations } from "./rotations.ts";
import { Turns } from "../runtime/turns.ts";

/** Listings of a provider, each whole, so that everybody with the same filter may share it. */

export type Listing =
  | {
      readonly kind: "listing";
      readonly byName: ReadonlyMap<string, ListedSecret>;
      /** False: there are more secrets than a listing goes through. */
      readonly whole: boolean;
      /** About. */
      readonly bytes: number;
    }
  | Failed;

/** The filter of a sweep: the version of every secret that there is. */
export const EVERYTHING: ListFilter = {};
/** Nobody's: what everybody shares. */
export const SHARED = "";
/** Of 100 secrets at AWS. Of a listing that is kept. */
const MOST_PAGES = 500;
/** An account may have 500,000 secrets in a region (Secrets Manager quotas). */
const MOST_PAGES_OF_A_SWEEP = 5_000;
/** A refresh of ten thousand objects takes about that long; who comes to it late, since it was still worked on, shares it too. */
const KEEP_MS = 20_000;
/** Bytes of one listing, about. */
const MOST_BYTES = 40 * 1024 * 1024;
/** Of one share, under way at once: each is many calls, and memory. */
const AT_ONCE = 2;
/** Secrets of a kept listing that are gone through in one turn of the event loop. */
const PORTION = 2_000;

/** What came of going through everything. `whole`: false when there is more than that goes through, or nobody wants the rest. */
interface Swept {
  readonly kind: "swept";
  readonly whole: boolean;
}

/** A listing under way. */
interface Growing {
  bytes: number;
  isGivenUp: boolean;
}

export class Listings implements Keeping {
  readonly rotations: Rotations;
  readonly #listing: ListingRead | undefined;
  readonly #caller: Caller;
  readonly #recent: Recent<Listing>;
  readonly #kept: KeptBytes;
  readonly #clock: Clock;
  readonly #turns = new Turns(AT_ONCE);
  readonly #growing = new Set<Growing>();
  #sweepCalls = 1;
  /** A listing of everything. */
  #isTooLarge = false;
  #noSweepUntil = 0;
  #rotationsAt: number | undefined;

  constructor(options: {
    readonly store: SecretStore;
    readonly caller: Caller;
    readonly clock: Clock;
    readonly kept: KeptBytes;
  }) {
    const { store, caller, clock, kept } = options;
    this.rotations = new Rotations(kept);
    this.#kept = kept;
    this.#listing = store.listing;
    this.#caller = caller;
    this.#clock = clock;
    this.#recent = new Recent({
      clock,
      keepMs: KEEP_MS,
      kept,
      weightOf: (listing) => (listing.kind === "listing" ? listing.bytes : 256),
    });
  }

  /** Whether the store lists what it has. */
  get isThere(): boolean {
    return this.#listing !== undefined;
  }

  /** Calls that a sweep takes, as far as is known. Infinity: there is none that is whole. */
  get sweepCalls(): number {
    return this.#sweepCalls;
  }

  /** Calls that a listing of everything takes, of which all is kept. Infinity: it takes too much memory. */
  get listCalls(): number {
    return this.#isTooLarge ? Infinity : this.#sweepCalls;
  }

  /** A sweep has failed after many calls a short while ago; the next one would hardly come further. */
  get isSweepInVain(): boolean {
    return this.#clock.monotonic() < this.#noSweepUntil;
  }

  /** Monotonic time of the listing that tells rotations; undefined before the first. */
  get rotationsAt(): number | undefined {
    return this.#rotationsAt;
  }

  /** The listing as of `freshAfter` (monotonic) or later, if somebody asked for it already. */
  shared(filter: ListFilter, freshAfter: number): Promise<Listing> | undefined {
    return this.#recent.get(JSON.stringify(filter), freshAfter);
  }

  /** `share`: who asks. */
  list(filter: ListFilter, freshAfter: number, share: string): Promise<Listing> {
    const shared = this.shared(filter, freshAfter);
    if (shared) return shared;
    const answer = this.#turns.run(share, () => this.#listAll(filter, share));
    this.#recent.set(JSON.stringify(filter), answer, ({ kind }) => kind === "listing");
    return answer;
  }

  /** Called while a listing takes too much memory: it is given up, and of several the largest. */
  forgetOldest(): void {
    const [first, ...others] = this.#growing;
    if (!first) return;
    const largest = others.reduce((a, b) => (a.bytes >= b.bytes ? a : b), first);
    this.#giveUp(largest);
  }

  forgetAll(): void {
    this.#recent.forgetAll();
    this.rotations.forgetAll();
  }

  #giveUp(growing: Growing): void {
    growing.isGivenUp = true;
    this.#growing.delete(growing);
    this.#kept.add(this, -growing.bytes);
  }

  async #listAll(filter: ListFilter, share: string): Promise<Listing> {
    const growing: Growing = { bytes: 0, isGivenUp: false };
    this.#growing.add(growing);
    try {
      return await this.#listPages(filter, share, growing);
    } finally {
      if (!growing.isGivenUp) this.#giveUp(growing);
    }
  }

  /**
   * Goes through everything that there is, as of `freshAfter` or later, and keeps nothing of it. A failure may come after a part.
   * `isWanted`: false ends it.
   */
  async sweep(
    freshAfter: number,
    onSecret: (secret: ListedSecret) => void,
    isWanted: () => boolean = () => true,
  ): Promise<Swept | Failed> {
    const shared = await this.shared(EVERYTHING, freshAfter);
    if (shared?.kind === "listing" && shared.whole) {
      let seen = 0;
      for (const [name, secret] of shared.byName) {
        if (++seen % PORTION === 0) await sleep(this.#clock, 0);
        if (name === secret.name) onSecret(secret);
      }
      return { kind: "swept", whole: true };
    }
    return this.#turns.run(SHARED, async () => {
      const startedAt = this.#clock.monotonic();
      let calls = 0;
      const swept = await this.#pages(
        { filter: EVERYTHING, share: SHARED, mostPages: MOST_PAGES_OF_A_SWEEP },
        (secrets) => {
          calls++;
          for (const secret of secrets) onSecret(secret);
          return isWanted();
        },
      );
      if (swept.kind === "failed" || !swept.whole) this.#sweepCalls = Math.max(this.#sweepCalls, calls);
      if (swept.kind === "failed" && calls > 0) this.#noSweepUntil = 2 * this.#clock.monotonic() - startedAt;
      if (swept.kind === "swept" && !swept.whole && isWanted()) this.#sweepCalls = Infinity;
      return swept;
    });
  }

  async #listPages(filter: ListFilter, share: string, growing: Growing): Promise<Listing> {
    const byName = new Map<string, ListedSecret>();
    const wanted = Object.keys(filter.tags ?? {});
    const end = await this.#pages({ filter, share, mostPages: MOST_PAGES }, (secrets) => {
      let bytes = 0;
      for (const listed of secrets) {
        const secret = withTags(listed, wanted);
        bytes += weightOfListed(secret);
        for (const name of [secret.name, ...secret.aliases]) byName.set(name, secret);
      }
      growing.bytes += bytes;
      this.#kept.add(this, bytes);
      return !growing.isGivenUp && growing.bytes <= MOST_BYTES;
    });
    if (end.kind === "failed") return end;
    const isTooLarge = growing.isGivenUp || growing.bytes > MOST_BYTES;
    if (Object.keys(filter).length === 0) this.#isTooLarge = isTooLarge || !end.whole;
    if (isTooLarge) return { kind: "listing", byName: new Map(), whole: false, bytes: 0 };
    return { kind: "listing", byName, whole: end.whole, bytes: growing.bytes };
  }

  /** `take`: false ends it. Of everything, it is noted how many calls that takes, and what is rotated when. */
  async #pages(
    { filter, share, mostPages }: { filter: ListFilter; share: string; mostPages: number },
    take: (secrets: readonly ListedSecret[]) => boolean,
  ): Promise<Swept | Failed> {
    const listing = this.#listing;
    if (!listing) return noListing;
    const startedAt = this.#clock.monotonic();
    const isEverything = Object.keys(filter).length === 0;
    let next: string | undefined;
    let calls = 0;
    do {
      const token = next;
      const page: ListResult = await this.#caller.call(
        { operation: "list", question: () => `list ${JSON.stringify(filter)}`, share },
        (signal) => listing.page(filter, token, signal),
        failureOf,
      );
      if (page.kind === "failed") return page;
      if (isEverything)
        for (const { name, aliases, nextRotation } of page.secrets)
          for (const each of [name, ...aliases]) this.rotations.noteIfAsked(each, nextRotation);
      calls++;
      next = page.next;
      if (!take(page.secrets) && next) return { kind: "swept", whole: false };
      if (next !== undefined && next === token) return endless;
    } while (next && calls < mostPages);
    const whole = !next;
    if (isEverything) {
      if (whole) this.#sweepCalls = calls;
      this.#rotationsAt = startedAt;
    }
    return { kind: "swept", whole };
  }
}

const endless: Failed = {
  kind: "failed",
  failure: {
    reason: "ProviderRefused",
    scope: "provider",
    message: "the store's list has no end: it names the same page as the next one again and again",
  },
};

const noListing: Failed = {
  kind: "failed",
  failure: {
    reason: "InvalidSpec",
    scope: "request",
    message:
      "this store can't list what it has, so nothing can be found in it; name the keys by extract or data",
  },
};
