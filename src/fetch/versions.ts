import { refId } from "../plan/sources.ts";
import type { Failed, RemoteRef, SecretStore, VersionResult } from "../providers/contract.ts";
import type { Clock } from "../runtime/clock.ts";
import { Batcher } from "./batcher.ts";
import { failureOf, type Caller } from "./caller.ts";
import type { KeptBytes } from "./kept-bytes.ts";
import { versionIn } from "./listed.ts";
import { EVERYTHING, SHARED, type Listings } from "./listings.ts";
import type { Noted } from "./noted.ts";
import { Recent } from "./recent.ts";

/**
 * Versions of one provider's secrets, without their values: by a listing, or by a describe for each key, whichever
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
  /** How many others are about to ask; requests wait a little for them. */
  readonly coming: () => number;
  readonly kept: KeptBytes;
  /** Told what was served without a call of its own. */
  readonly onShared: () => void;
}

export interface VersionRequest {
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
    if (!this.mayList && !this.mayDescribe) return undefined;
    const answer = this.#requests.request(share, { ref, freshAfter, share });
    this.#keep(id, answer);
    return answer;
  }

  forgetAll(): void {
    this.#recent.forgetAll();
  }

  get mayList(): boolean {
    return this.#options.listings.isThere && this.#options.clock.monotonic() >= this.#noListUntil;
  }

  /** An identity that may only read values would be denied at each refresh of each key, and then read anyway. */
  get mayDescribe(): boolean {
    const { store, clock } = this.#options;
    return store.versions !== undefined && clock.monotonic() >= this.#noDescribeUntil;
  }

  #keep(id: string, answer: Promise<VersionResult>): void {
    this.#recent.set(id, answer, ({ kind }) => kind === "found");
  }

  /** By a call for that key alone, whatever a listing may tell. */
  described(request: VersionRequest): Promise<VersionResult> {
    const id = refId(request.ref);
    const shared = this.#recent.get(id, request.freshAfter);
    if (shared) return shared;
    const answer = this.#describe(request);
    this.#keep(id, answer);
    return answer;
  }

  /** This identity may not list, and will hardly be let before long. */
  isListDenied({ failure }: { readonly failure: { readonly reason: string } }): boolean {
    if (failure.reason !== "AccessDenied") return false;
    this.#noListUntil = this.#options.clock.monotonic() + DENIED_MS;
    return true;
  }

  /** All keys that want a version now: one listing, or one describe each. */
  async #answer(requests: readonly VersionRequest[]): Promise<readonly VersionResult[]> {
    const { listings, coming, store, missingAt } = this.#options;
    const describe = (request: VersionRequest) => this.#describe(request);
    const freshAfter = Math.max(...requests.map((request) => request.freshAfter));
    if (!this.mayList) return Promise.all(requests.map(describe));
    const mayDescribe = this.mayDescribe;
    const shared = listings.shared(EVERYTHING, freshAfter);
    // Those who are about to ask would pay for descriptions too.
    const wanted = requests.length + coming();
    if (!shared && mayDescribe && wanted <= listings.listCalls) return Promise.all(requests.map(describe));
    const listing = await (shared ?? listings.list(EVERYTHING, freshAfter, SHARED));
    if (listing.kind === "failed") {
      this.isListDenied(listing);
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
    if (result.kind === "found") listings.rotations.note(ref.key, result.nextRotation);
    noteMissing(id, result);
    return result;
  }
}

const notTold: Failed = {
  kind: "failed",
  failure: { reason: "ProviderRefused", scope: "request", message: "the store tells no versions" },
};
