import { MISSING_VERSION, refId } from "../plan/sources.ts";
import type {
  Failed,
  ListedSecret,
  ReadResult,
  RemoteRef,
  SecretStore,
  VersionResult,
} from "../providers/contract.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import { Batcher } from "./batcher.ts";
import { failureOf, type Caller } from "./caller.ts";
import type { KeptBytes } from "./kept-bytes.ts";
import { EVERYTHING, SHARED, versionIn, versionOf, type Listings } from "./listings.ts";
import type { Noted } from "./noted.ts";
import { Recent } from "./recent.ts";

/**
 * Versions of one provider's secrets, without their values: by a sweep of the listing, or by a describe for each key, whichever
 * takes fewer calls.
 */
export interface VersionsOptions {
  readonly store: SecretStore;
  readonly caller: Caller;
  readonly clock: Clock;
  readonly listings: Listings;
  /** When a key, version or stage was told missing. */
  readonly missingAt: Noted;
  readonly noteMissing: (id: string, result: { readonly kind: string }) => void;
  readonly value: (ref: RemoteRef, freshAfter: number, share: string) => Promise<ReadResult>;
  /** How many others are about to ask; requests wait a little for them. */
  readonly coming: () => number;
  readonly kept: KeptBytes;
  /** Told what was served without a call of its own. */
  readonly onShared: () => void;
}

/** What somebody knows of a secret, and wants to be told when it is no longer so. */
export interface Known {
  readonly ref: RemoteRef;
  /** MISSING_VERSION: it wasn't there. */
  readonly version: string;
  /** Who asks. */
  readonly share: string;
}

interface VersionRequest {
  readonly ref: RemoteRef;
  readonly freshAfter: number;
  readonly share: string;
}

interface NewsRequest {
  readonly known: readonly Known[];
  readonly freshAfter: number;
  /** How many of these a listing hasn't shown yet. */
  left: number;
  readonly answer: (listed: Listed | undefined) => Promise<void>;
}

/** What a listing tells of what is known; of the rest it tells that it is still so. */
type Listed = { readonly news: ReadonlySet<Known>; readonly unsure: ReadonlySet<Known> } | "failed";

const KEEP_MS = 10_000;
/** Polls of one moment come within that time. */
const TOGETHER_MS = 20;
/** Keys that are gone through in one turn of the event loop. */
const PORTION = 2_000;
/** Keys that one poll asks for at a time, since answers may be values. */
const ASKED_AT_ONCE = 100;
const never = new AbortController().signal;
/** What was told missing is asked for again after this time, where no listing tells. */
const MISSING_MS = 30_000;
/** Only while more are coming, so it costs a burst nothing: others are being written meanwhile. */
const LINGER_MS = 150;
/** A call that an identity may not make is tried again after this time. */
const DENIED_MS = 10 * 60_000;

export class Versions {
  readonly #options: VersionsOptions;
  readonly #recent: Recent<VersionResult>;
  readonly #requests: Batcher<VersionRequest, VersionResult>;
  readonly #waiting: NewsRequest[] = [];
  #noListUntil = 0;
  #noDescribeUntil = 0;
  #hasDescribed = false;

  constructor(options: VersionsOptions) {
    this.#options = options;
    const { clock, kept, coming } = options;
    this.#recent = new Recent({ clock, keepMs: KEEP_MS, kept, weightOf: () => 256 });
    this.#requests = new Batcher({
      clock,
      moreComing: () => coming() > 0,
      lingerMs: LINGER_MS,
      most: 100_000,
      send: (take) => this.#answer(take()),
    });
  }

  /** The version as of `freshAfter` (monotonic) or later; undefined when the identity may read values only. */
  version(ref: RemoteRef, freshAfter: number, share: string): Promise<VersionResult> | undefined {
    const id = refId(ref);
    // An exact version never changes.
    if (ref.version !== undefined) {
      return Promise.resolve(
        this.#options.missingAt.has(id)
          ? { kind: "missing" }
          : { kind: "found", versionId: ref.version, versionStages: [] },
      );
    }
    const shared = this.#recent.get(id, freshAfter);
    if (shared) {
      this.#options.onShared();
      return shared;
    }
    if (!this.#mayList && !this.#mayDescribe) return undefined;
    const answer = this.#requests.request(share, { ref, freshAfter, share });
    this.#keep(id, answer);
    return answer;
  }

  /**
   * Which of these are no longer as known, as of `freshAfter` or later, or can't be told. Requests of a moment share one listing,
   * looked at page by page, of which nothing is kept; each is answered when all of its own was seen. What the listing doesn't tell
   * each asks for itself, so nobody waits for what others ask.
   */
  news<K extends Known>(known: readonly K[], freshAfter: number): Promise<readonly K[]> {
    // An exact version never changes.
    const open = known.filter(({ ref }) => ref.version === undefined);
    if (open.length === 0) return Promise.resolve([]);
    const { promise, resolve, reject } = Promise.withResolvers<readonly K[]>();
    this.#waiting.push({
      known: open,
      freshAfter,
      left: open.length,
      answer: (listed) => this.#newsOf(open, freshAfter, listed).then(resolve, reject),
    });
    if (this.#waiting.length === 1) this.#options.clock.after(TOGETHER_MS, () => void this.#answerNews());
    return promise;
  }

  forgetAll(): void {
    this.#recent.forgetAll();
  }

  get #mayList(): boolean {
    return this.#options.listings.isThere && this.#options.clock.monotonic() >= this.#noListUntil;
  }

  /** An identity that may only read values would be denied at each refresh of each key, and then read anyway. */
  get #mayDescribe(): boolean {
    const { store, clock } = this.#options;
    return store.versions !== undefined && clock.monotonic() >= this.#noDescribeUntil;
  }

  #keep(id: string, answer: Promise<VersionResult>): void {
    this.#recent.set(id, answer, ({ kind }) => kind === "found");
  }

  async #answerNews(): Promise<void> {
    const waiting = new Set(this.#waiting.splice(0));
    try {
      const listed = this.#shouldSweep(waiting) ? await this.#sweep(waiting) : undefined;
      for (const { answer } of waiting) void answer(listed);
    } catch {
      // A store that throws has a bug: whoever asked looks for itself, and tells.
      for (const { answer } of waiting) void answer("failed");
    }
  }

  #shouldSweep(waiting: Iterable<NewsRequest>): boolean {
    if (!this.#mayList) return false;
    const { sweepCalls } = this.#options.listings;
    const keys = new Set<string>();
    for (const { known } of waiting) {
      for (const { ref } of known) keys.add(ref.key);
      if (keys.size > sweepCalls) return true;
    }
    return false;
  }

  /** Answers who was seen in whole, and leaves the others; undefined: this identity may not list. */
  async #sweep(waiting: Set<NewsRequest>): Promise<Listed | undefined> {
    const { listings, store, clock } = this.#options;
    const freshAfter = Math.max(...[...waiting].map((request) => request.freshAfter));
    const byName = new Map<string, { readonly one: Known; readonly request: NewsRequest }[]>();
    let seen = 0;
    for (const request of waiting) {
      for (const one of request.known) {
        if (++seen % PORTION === 0) await sleep(clock, 0, never);
        const about = byName.get(one.ref.key);
        if (about) about.push({ one, request });
        else byName.set(one.ref.key, [{ one, request }]);
      }
    }
    const listed = { news: new Set<Known>(), unsure: new Set<Known>() };
    const look = (name: string, secret: ListedSecret) => {
      const about = byName.get(name);
      byName.delete(name);
      for (const { one, request } of about ?? []) {
        const version = versionOf(secret, one.ref.versionStage ?? store.currentStage);
        if (version === undefined) listed.unsure.add(one);
        else if (version !== one.version) listed.news.add(one);
        if (--request.left > 0) continue;
        waiting.delete(request);
        void request.answer(listed);
      }
    };
    const swept = await listings.sweep(freshAfter, (secret) => {
      look(secret.name, secret);
      for (const alias of secret.aliases) look(alias, secret);
    });
    if (swept.kind === "failed") return this.#isListDenied(swept) ? undefined : "failed";
    for (const unlisted of byName.values())
      for (const { one } of unlisted)
        if (!swept.whole || one.version !== MISSING_VERSION) listed.unsure.add(one);
    return listed;
  }

  /** What of this the listing tells, and for the rest the answers to its own questions. */
  async #newsOf<K extends Known>(
    known: readonly K[],
    freshAfter: number,
    listed: Listed | undefined,
  ): Promise<readonly K[]> {
    if (listed === "failed") return known;
    const { clock } = this.#options;
    const open = listed ? known.filter((one) => listed.unsure.has(one)) : known;
    const news = listed ? known.filter((one) => listed.news.has(one)) : [];
    for (let from = 0; from < open.length; from += ASKED_AT_ONCE) {
      if (from > 0) await sleep(clock, 0, never);
      const portion = open.slice(from, from + ASKED_AT_ONCE);
      const told = await Promise.all(
        portion.map((one) => this.#isNews(one, freshAfter, listed !== undefined)),
      );
      news.push(...portion.filter((_one, index) => told[index]));
    }
    return news;
  }

  /** Also what can't be told: whoever knows it must look. `wasListed`: a listing doesn't tell it. */
  async #isNews({ ref, version, share }: Known, freshAfter: number, wasListed: boolean): Promise<boolean> {
    // Where only values tell versions, one look at them is for all who know the key, and none of them is held.
    const byValue = () => this.#options.value(ref, freshAfter, share);
    const byVersion = () =>
      wasListed ? this.#described({ ref, freshAfter, share }) : this.version(ref, freshAfter, share);
    const result = await ((this.#mayDescribe ? byVersion() : undefined) ?? byValue());
    const isDenied = result.kind === "failed" && result.failure.reason === "AccessDenied";
    return isOther(version, isDenied ? await byValue() : result);
  }

  #described(request: VersionRequest): Promise<VersionResult> {
    const id = refId(request.ref);
    const shared = this.#recent.get(id, request.freshAfter);
    if (shared) return shared;
    const answer = this.#describe(request);
    this.#keep(id, answer);
    return answer;
  }

  /** This identity may not list, and will hardly be let before long. */
  #isListDenied({ failure }: { readonly failure: { readonly reason: string } }): boolean {
    if (failure.reason !== "AccessDenied") return false;
    this.#noListUntil = this.#options.clock.monotonic() + DENIED_MS;
    return true;
  }

  /** All keys that want a version now: one listing, or one describe each. */
  async #answer(requests: readonly VersionRequest[]): Promise<readonly VersionResult[]> {
    const { listings, coming, store, missingAt } = this.#options;
    const describe = (request: VersionRequest) => this.#describe(request);
    const freshAfter = Math.max(...requests.map((request) => request.freshAfter));
    if (!this.#mayList) return Promise.all(requests.map(describe));
    const mayDescribe = this.#mayDescribe;
    const shared = listings.shared(EVERYTHING, freshAfter);
    // Those who are about to ask would pay for descriptions too.
    const wanted = requests.length + coming();
    if (!shared && mayDescribe && wanted <= listings.listCalls) return Promise.all(requests.map(describe));
    const listing = await (shared ?? listings.list(EVERYTHING, freshAfter, SHARED));
    if (listing.kind === "failed") {
      this.#isListDenied(listing);
      return mayDescribe ? Promise.all(requests.map(describe)) : requests.map(() => listing);
    }
    const { currentStage } = store;
    return Promise.all(
      requests.map(async (request): Promise<VersionResult> => {
        const listed = versionIn(listing.byName, request.ref, currentStage);
        if (listed) return listed;
        // It was told missing, and the listing doesn't show it either.
        if (listing.whole && missingAt.has(refId(request.ref))) return { kind: "missing" };
        return describe(request);
      }),
    );
  }

  async #describe({ ref, share }: VersionRequest): Promise<VersionResult> {
    const { caller, store, listings, missingAt, noteMissing, clock } = this.#options;
    const id = refId(ref);
    if (missingAt.has(id, MISSING_MS)) return { kind: "missing" };
    const { versions } = store;
    if (!versions) return notTold;
    const result = await caller.call(
      { operation: "describe", question: () => `describe ${id}`, share },
      (signal) => versions.read(ref, signal),
      failureOf,
    );
    // A denial after others were told concerns that key, such as one of another account.
    if (result.kind === "failed" && result.failure.reason === "AccessDenied" && !this.#hasDescribed)
      this.#noDescribeUntil = clock.monotonic() + DENIED_MS;
    if (result.kind !== "failed") this.#hasDescribed = true;
    if (result.kind === "found") listings.noteRotation(ref.key, result.nextRotation);
    noteMissing(id, result);
    return result;
  }
}

const notTold: Failed = {
  kind: "failed",
  failure: { reason: "ProviderRefused", scope: "request", message: "the store tells no versions" },
};

function isOther(version: string, result: VersionResult | ReadResult): boolean {
  if (result.kind === "failed") return true;
  return (result.kind === "missing" ? MISSING_VERSION : result.versionId) !== version;
}
