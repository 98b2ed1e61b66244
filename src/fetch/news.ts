import { MISSING_VERSION } from "../plan/sources.ts";
import type {
  ListedSecret,
  ReadResult,
  RemoteRef,
  SecretStore,
  VersionResult,
} from "../providers/contract.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import { versionOf, type Listings } from "./listings.ts";
import type { Versions } from "./versions.ts";

/** Which of many known versions are no longer those that one provider has. */
export interface NewsOptions {
  readonly store: SecretStore;
  readonly clock: Clock;
  readonly listings: Listings;
  readonly versions: Versions;
  readonly value: (ref: RemoteRef, freshAfter: number, share: string) => Promise<ReadResult>;
}

/** What somebody knows of a secret, and wants to be told when it is no longer so. */
export interface Known {
  readonly ref: RemoteRef;
  /** MISSING_VERSION: it wasn't there. */
  readonly version: string;
  /** Who asks. */
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

/** Polls of one moment come within that time. */
const TOGETHER_MS = 20;
/** Keys that are gone through in one turn of the event loop. */
const PORTION = 2_000;
/** Keys that one poll asks for at a time, since answers may be values. */
const ASKED_AT_ONCE = 100;
const never = new AbortController().signal;

export class News {
  readonly #options: NewsOptions;
  readonly #versions: Versions;
  readonly #waiting: NewsRequest[] = [];

  constructor(options: NewsOptions) {
    this.#options = options;
    this.#versions = options.versions;
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
    if (!this.#versions.mayList) return false;
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
    if (swept.kind === "failed") {
      if (this.#versions.isListDenied(swept)) return undefined;
      // What was seen is told; of the rest nobody knows.
      for (const unseen of byName.values()) for (const { one } of unseen) listed.news.add(one);
      return listed;
    }
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
      wasListed
        ? this.#versions.described({ ref, freshAfter, share })
        : this.#versions.version(ref, freshAfter, share);
    const result = await ((this.#versions.mayDescribe ? byVersion() : undefined) ?? byValue());
    const isDenied = result.kind === "failed" && result.failure.reason === "AccessDenied";
    return isOther(version, isDenied ? await byValue() : result);
  }
}

function isOther(version: string, result: VersionResult | ReadResult): boolean {
  if (result.kind === "failed") return true;
  return (result.kind === "missing" ? MISSING_VERSION : result.versionId) !== version;
}
