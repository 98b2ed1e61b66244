import { MISSING_VERSION } from "../plan/sources.ts";
import type {
  ListedSecret,
  ReadResult,
  RemoteRef,
  SecretStore,
  VersionResult,
} from "../providers/contract.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import { versionOf } from "./listed.ts";
import type { Listings } from "./listings.ts";
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
  readonly signal: AbortSignal;
  /** How many of these a listing hasn't shown yet. */
  left: number;
  readonly answer: (listed: Listed | undefined) => Promise<void>;
}

/** What a listing tells of what is known; of the rest it tells that it is still so. */
type Listed = { readonly news: ReadonlySet<Known>; readonly unsure: ReadonlySet<Known> } | "failed";

/** Polls of one moment come within that time of each other, and of very many the last within the other of the first. */
const TOGETHER_MS = 20;
const LONGEST_MOMENT_MS = 1_000;
/** Keys that are gone through in one turn of the event loop. */
const PORTION = 2_000;
/** Keys that one poll asks for at a time, since answers may be values. */
const ASKED_AT_ONCE = 100;

export class News {
  readonly #options: NewsOptions;
  readonly #versions: Versions;
  /** They have come within a moment. */
  #coming: NewsRequest[] = [];
  /** Monotonic times of the first and the last of them. */
  #firstAt = 0;
  #lastAt = 0;
  /** They share the next sweep. */
  #waiting = new Set<NewsRequest>();
  #isSweeping = false;

  constructor(options: NewsOptions) {
    this.#options = options;
    this.#versions = options.versions;
  }

  /**
   * Which of these are no longer as known, as of `freshAfter` or later, or can't be told. Requests of a moment share one listing,
   * looked at page by page, of which nothing is kept; each is answered when all of its own was seen. One listing goes on at a time,
   * and whoever wants one meanwhile shares the next, however many they are. What the listing doesn't tell each asks for itself, so
   * nobody waits for what others ask. When the signal aborts, it rejects, and nothing more is asked for it.
   */
  news<K extends Known>(known: readonly K[], freshAfter: number, signal: AbortSignal): Promise<readonly K[]> {
    // An exact version never changes.
    const open = known.filter(({ ref }) => ref.version === undefined);
    if (open.length === 0) return Promise.resolve([]);
    const { promise, resolve, reject } = Promise.withResolvers<readonly K[]>();
    const request: NewsRequest = {
      known: open,
      freshAfter,
      signal,
      left: open.length,
      answer: (listed) => this.#newsOf(open, { freshAfter, signal, listed }).then(resolve, reject),
    };
    const giveUp = () => {
      this.#waiting.delete(request);
      reject(signal.reason as Error);
    };
    signal.addEventListener("abort", giveUp, { once: true });
    this.#coming.push(request);
    this.#lastAt = this.#options.clock.monotonic();
    if (this.#coming.length === 1) this.#waitForOthers();
    return promise;
  }

  /** A sweep for each of them would cost as much as one for all. */
  #waitForOthers(): void {
    const { clock } = this.#options;
    this.#firstAt = clock.monotonic();
    const look = () => {
      const now = clock.monotonic();
      const isOver = now - this.#lastAt >= TOGETHER_MS || now - this.#firstAt >= LONGEST_MOMENT_MS;
      if (isOver) void this.#answerNews();
      else clock.after(TOGETHER_MS, look);
    };
    clock.after(TOGETHER_MS, look);
  }

  async #answerNews(): Promise<void> {
    const requests = this.#coming;
    this.#coming = [];
    if (!this.#shouldSweep(requests)) {
      for (const { answer } of requests) void answer(undefined);
      return;
    }
    for (const request of requests) this.#waiting.add(request);
    if (this.#isSweeping) return;
    this.#isSweeping = true;
    while (this.#waiting.size > 0) {
      const waiting = this.#waiting;
      this.#waiting = new Set();
      await this.#sweepFor(waiting);
    }
    this.#isSweeping = false;
  }

  async #sweepFor(waiting: Set<NewsRequest>): Promise<void> {
    const isInVain = this.#options.listings.isSweepInVain;
    // A store that throws has a bug: whoever asked looks for itself, and tells.
    const listed = isInVain ? "failed" : await this.#sweep(waiting).catch(() => "failed" as const);
    for (const { answer } of waiting) void answer(listed);
  }

  #shouldSweep(requests: readonly NewsRequest[]): boolean {
    if (!this.#versions.mayList) return false;
    const { sweepCalls } = this.#options.listings;
    const keys = new Set<string>();
    for (const { known } of requests) {
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
        if (++seen % PORTION === 0) await sleep(clock, 0);
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
    const isWanted = () => {
      for (const request of waiting) if (request.signal.aborted) waiting.delete(request);
      return waiting.size > 0;
    };
    const onSecret = (secret: ListedSecret) => {
      look(secret.name, secret);
      for (const alias of secret.aliases) look(alias, secret);
    };
    const swept = await listings.sweep(freshAfter, onSecret, isWanted);
    if (swept.kind === "failed" && this.#versions.isListDenied(swept)) return undefined;
    seen = 0;
    for (const unseen of byName.values())
      for (const { one } of unseen) {
        if (++seen % PORTION === 0) await sleep(clock, 0);
        // What a failed listing has shown is told; of the rest nobody knows.
        if (swept.kind === "failed") listed.news.add(one);
        else if (!swept.whole || one.version !== MISSING_VERSION) listed.unsure.add(one);
      }
    return listed;
  }

  /** What of this the listing tells, and for the rest the answers to its own questions. */
  async #newsOf<K extends Known>(
    known: readonly K[],
    { freshAfter, signal, listed }: { freshAfter: number; signal: AbortSignal; listed: Listed | undefined },
  ): Promise<readonly K[]> {
    if (listed === "failed") return known;
    const { clock } = this.#options;
    const open = listed ? known.filter((one) => listed.unsure.has(one)) : known;
    const news = listed ? known.filter((one) => listed.news.has(one)) : [];
    for (let from = 0; from < open.length; from += ASKED_AT_ONCE) {
      if (from > 0) await sleep(clock, 0, signal);
      signal.throwIfAborted();
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
