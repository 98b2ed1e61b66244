import { MISSING_VERSION, refId } from "../plan/sources.ts";
import type { ListedSecret, RemoteRef, SecretReader, VersionResult } from "../providers/provider.ts";
import type { Clock } from "../runtime/clock.ts";
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
  readonly reader: SecretReader;
  readonly caller: Caller;
  readonly clock: Clock;
  readonly listings: Listings;
  /** When a key, version or stage was told missing. */
  readonly missingAt: Noted;
  readonly noteMissing: (id: string, result: { readonly kind: string }) => void;
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

const KEEP_MS = 10_000;
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
  #noListUntil = 0;
  #noDescribeUntil = 0;

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
   * Which of these are no longer as known, as of `freshAfter` or later, or can't be told. Of many, the listing is looked at page
   * by page, and nothing of it is kept but what is new.
   */
  async news<K extends Known>(known: readonly K[], freshAfter: number): Promise<readonly K[]> {
    // An exact version never changes.
    const open = known.filter(({ ref }) => ref.version === undefined);
    const isMany = open.length > this.#options.listings.sweepCalls || !this.#mayDescribe;
    const listed = isMany && this.#mayList ? await this.#newsOfListing(open, freshAfter) : undefined;
    if (listed) return listed;
    const told = await Promise.all(
      open.map(async (one) => {
        const result = await this.version(one.ref, freshAfter, one.share);
        return isNews(one, result) ? one : undefined;
      }),
    );
    return told.filter((one) => one !== undefined);
  }

  forgetAll(): void {
    this.#recent.forgetAll();
  }

  get #mayList(): boolean {
    return this.#options.clock.monotonic() >= this.#noListUntil;
  }

  /** An identity that may only read values would be denied at each refresh of each key, and then read anyway. */
  get #mayDescribe(): boolean {
    return this.#options.clock.monotonic() >= this.#noDescribeUntil;
  }

  #keep(id: string, answer: Promise<VersionResult>): void {
    this.#recent.set(id, answer, ({ kind }) => kind === "found");
  }

  /** undefined: this identity may not list. */
  async #newsOfListing<K extends Known>(
    known: readonly K[],
    freshAfter: number,
  ): Promise<readonly K[] | undefined> {
    const { listings, reader } = this.#options;
    const { currentStage } = reader;
    const byName = Map.groupBy(known, ({ ref }) => ref.key);
    const news: K[] = [];
    const unsure: K[] = [];
    const look = (name: string, secret: ListedSecret) => {
      const about = byName.get(name);
      byName.delete(name);
      for (const one of about ?? []) {
        const versionId = versionOf(secret, one.ref.versionStage ?? currentStage);
        if (versionId === undefined) unsure.push(one);
        else if (versionId !== one.version) {
          // Whoever is told asks next, and needs no call then.
          this.#keep(
            refId(one.ref),
            Promise.resolve(versionIn(new Map([[one.ref.key, secret]]), one.ref, currentStage) as never),
          );
          news.push(one);
        }
      }
    };
    const swept = await listings.sweep(freshAfter, (secret) => {
      look(secret.name, secret);
      for (const alias of secret.aliases) look(alias, secret);
    });
    if (swept.kind === "failed") return this.#isListDenied(swept) ? undefined : known;
    for (const unlisted of byName.values())
      for (const one of unlisted) if (!swept.whole || one.version !== MISSING_VERSION) unsure.push(one);
    const told = await Promise.all(
      unsure.map(async (one) => isNews(one, await this.#describe({ ...one, freshAfter }))),
    );
    return [...news, ...unsure.filter((_one, index) => told[index])];
  }

  /** This identity may not list, and will hardly be let before long. */
  #isListDenied({ failure }: { readonly failure: { readonly reason: string } }): boolean {
    if (failure.reason !== "AccessDenied") return false;
    this.#noListUntil = this.#options.clock.monotonic() + DENIED_MS;
    return true;
  }

  /** All keys that want a version now: one listing, or one describe each. */
  async #answer(requests: readonly VersionRequest[]): Promise<readonly VersionResult[]> {
    const { listings, coming, reader, missingAt } = this.#options;
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
    const { currentStage } = reader;
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
    const { caller, reader, listings, missingAt, noteMissing, clock } = this.#options;
    const id = refId(ref);
    if (missingAt.has(id, MISSING_MS)) return { kind: "missing" };
    const result = await caller.call(
      { operation: "describe", question: () => `describe ${id}`, share },
      (signal) => reader.describe(ref, signal),
      failureOf,
    );
    if (result.kind === "failed" && result.failure.reason === "AccessDenied")
      this.#noDescribeUntil = clock.monotonic() + DENIED_MS;
    if (result.kind === "found") listings.noteRotation(ref.key, result.nextRotation);
    noteMissing(id, result);
    return result;
  }
}

/** Also what can't be told: whoever knows it must look. */
function isNews({ version }: Known, result: VersionResult | undefined): boolean {
  if (result === undefined || result.kind === "failed") return true;
  return (result.kind === "missing" ? MISSING_VERSION : result.versionId) !== version;
}
