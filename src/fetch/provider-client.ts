import { refId } from "../plan/sources.ts";
import type { Failed, ReadResult, RemoteRef, SecretReader, VersionResult } from "../providers/provider.ts";
import type { Clock } from "../runtime/clock.ts";
import { firstFailure, leftOut } from "./batch-answer.ts";
import { Batcher } from "./batcher.ts";
import { failureOf, type Caller } from "./caller.ts";
import { Finder } from "./finder.ts";
import type { KeptBytes } from "./kept-bytes.ts";
import type { Limits } from "./limiter.ts";
import { EVERYTHING, Listings, versionIn } from "./listings.ts";
import { Noted } from "./noted.ts";
import { Recent } from "./recent.ts";

/**
 * One provider as one identity, for everybody who uses it: each key is fetched once for all who want it, in as few
 * calls as there can be.
 *
 *   values    BatchGet (20 a call); single reads for versions, stages, and identities that may not batch
 *   versions  a sweep of the listing or a describe for each key, whichever takes fewer calls
 *
 * A listing may lag behind by minutes, so every key is read exactly from time to time: `versions` then declines.
 */
export interface ProviderClientOptions {
  readonly reader: SecretReader;
  readonly caller: Caller;
  readonly clock: Clock;
  /** How many others are about to ask; batches wait a little for them. */
  readonly coming: { readonly values: () => number; readonly versions: () => number };
  readonly kept: Kept;
  /** Told what was served without a call of its own. */
  readonly onShared: (operation: "value" | "version") => void;
}

/** What all clients may keep together. */
export interface Kept {
  readonly values: KeptBytes;
  /** Names, versions and listings. */
  readonly names: KeptBytes;
}

/** AWS documents up to five minutes of lag for ListSecrets; twice that keeps a missed change rare and short. */
const EXACT_READ_MS = 10 * 60_000;
const KEEP_MS = 10_000;
/** What was told missing is asked for again after this time, where no listing tells. */
const MISSING_MS = 30_000;
/** Nobody's: what everybody shares. */
const SHARED = "";
/** Only while more are coming, so it costs a burst nothing: others are being written meanwhile. */
const LINGER_MS = 150;
const BATCH_RETRY_MS = 10 * 60_000;
const ROTATIONS_MS = 60 * 60_000;

export class ProviderClient {
  readonly finder: Finder;
  readonly #options: ProviderClientOptions;
  readonly #values: Recent<ReadResult>;
  readonly #versions: Recent<VersionResult>;
  readonly #listings: Listings;
  readonly #batches: Batcher<string, ReadResult>;
  readonly #sweeps: Batcher<VersionRequest, VersionResult>;
  readonly #exactAt: Noted;
  /** When a key, version or stage was told missing. */
  readonly #missingAt: Noted;
  /** Keys that the store refuses: they would have it refuse the batches of others. */
  readonly #refusedAt: Noted;
  readonly #startedAt: number;
  #noBatchUntil = 0;
  #noSweepUntil = 0;
  #noDescribeUntil = 0;
  #noRotationsUntil = 0;

  constructor(options: ProviderClientOptions) {
    this.#options = options;
    const { clock, coming, reader, kept } = options;
    this.#startedAt = clock.monotonic();
    this.#exactAt = new Noted(clock, EXACT_READ_MS, kept.names);
    this.#missingAt = new Noted(clock, EXACT_READ_MS, kept.names);
    this.#refusedAt = new Noted(clock, BATCH_RETRY_MS, kept.names);
    this.#values = new Recent({
      clock,
      keepMs: KEEP_MS,
      kept: kept.values,
      weightOf: (result) => (result.kind === "found" ? result.value.length + 256 : 256),
    });
    this.#versions = new Recent({ clock, keepMs: KEEP_MS, kept: kept.names, weightOf: () => 256 });
    this.#listings = new Listings({ ...options, kept: kept.names });
    this.finder = new Finder({
      listings: this.#listings,
      currentStage: reader.currentStage,
      value: (key, freshAfter, share) => this.value({ key }, freshAfter, share),
      clock,
    });
    this.#batches = new Batcher({
      clock,
      moreComing: () => coming.values() > 0,
      lingerMs: LINGER_MS,
      most: reader.batchSize,
      send: (take) => this.#readMany(take),
      sendOne: (key, share) => this.#readOne({ key }, share),
    });
    this.#sweeps = new Batcher({
      clock,
      moreComing: () => coming.versions() > 0,
      lingerMs: LINGER_MS,
      most: 100_000,
      send: (take) => this.#sweep(take()),
    });
  }

  get place(): string {
    return this.#options.reader.place;
  }

  /** From now on. */
  setLimits(limits: Limits): void {
    this.#options.caller.setLimits(limits);
  }

  /** The value as of `freshAfter` (monotonic) or later. `share`: who asks. */
  value(ref: RemoteRef, freshAfter: number, share: string): Promise<ReadResult> {
    const id = refId(ref);
    const shared = this.#values.get(id, freshAfter);
    if (shared) {
      this.#options.onShared("value");
      return shared;
    }
    const isAlone = !this.#isCurrent(ref) || !this.#mayBatch() || this.#refusedAt.has(id);
    const answer = isAlone ? this.#readOne(ref, share) : this.#batches.request(share, ref.key);
    this.#values.set(id, answer, ({ kind }) => kind === "found");
    return answer.then((result) => {
      if (result.kind !== "failed") this.#exactAt.note(id);
      this.#noteMissing(id, result);
      if (result.kind === "failed" && result.failure.reason === "ProviderRefused") this.#refusedAt.note(id);
      return result;
    });
  }

  /** The version as of `freshAfter` or later; undefined when it is time for an exact read. */
  version(ref: RemoteRef, freshAfter: number, share: string): Promise<VersionResult> | undefined {
    const id = refId(ref);
    if (!this.#exactAt.has(id)) return undefined;
    // An exact version never changes.
    if (ref.version !== undefined) {
      return Promise.resolve(
        this.#missingAt.has(id)
          ? { kind: "missing" }
          : { kind: "found", versionId: ref.version, versionStages: [] },
      );
    }
    const shared = this.#versions.get(id, freshAfter);
    if (shared) {
      this.#options.onShared("version");
      return shared;
    }
    if (!this.#mayAskVersions()) return undefined;
    const answer = this.#sweeps.request(share, { ref, freshAfter, share });
    this.#versions.set(id, answer, ({ kind }) => kind === "found");
    return answer;
  }

  /**
   * Milliseconds since 1970 by when the provider wants to have rotated the secret, as far as listings tell. Where no
   * sweep comes by, as with long intervals, one is made from time to time.
   */
  nextRotation(key: string): number | undefined {
    const now = this.#options.clock.monotonic();
    if (
      now - (this.#listings.rotationsAt ?? this.#startedAt) > ROTATIONS_MS &&
      now >= this.#noRotationsUntil
    ) {
      this.#noRotationsUntil = now + ROTATIONS_MS;
      void this.#listings.list(EVERYTHING, now, SHARED);
    }
    return this.#listings.nextRotation(key);
  }

  /** Ends its connections, once nothing is under way any more. */
  close(): void {
    for (const cache of [this.#values, this.#versions, this.#listings]) cache.forgetAll();
    for (const notes of [this.#exactAt, this.#missingAt, this.#refusedAt]) notes.forgetAll();
    this.#options.caller.whenIdle(() => this.#options.reader.close());
  }

  #noteMissing(id: string, { kind }: { readonly kind: string }): void {
    if (kind === "missing") this.#missingAt.note(id);
    else if (kind === "found") this.#missingAt.forget(id);
  }

  #isCurrent({ version, versionStage }: RemoteRef): boolean {
    return (
      version === undefined &&
      (versionStage === undefined || versionStage === this.#options.reader.currentStage)
    );
  }

  #mayBatch(): boolean {
    return this.#options.reader.batchSize > 1 && this.#options.clock.monotonic() >= this.#noBatchUntil;
  }

  /** An identity that may only read values would be denied at each refresh of each key, and then read anyway. */
  #mayAskVersions(): boolean {
    const now = this.#options.clock.monotonic();
    return now >= this.#noSweepUntil || now >= this.#noDescribeUntil;
  }

  #readOne(ref: RemoteRef, share: string): Promise<ReadResult> {
    const { caller, reader } = this.#options;
    const question = () => refId(ref);
    return caller.call(
      { operation: "read", question, share },
      (signal) => reader.read(ref, signal),
      failureOf,
    );
  }

  /** `take`: to be asked when the call goes out. */
  async #readMany(take: () => readonly string[]): Promise<readonly ReadResult[]> {
    const { caller, reader, clock } = this.#options;
    const answer = await caller.call(
      { operation: "readBatch", question: () => take().join(), share: SHARED },
      (signal) => reader.readBatch(take(), signal),
      (results) => firstFailure(results, "provider") ?? firstFailure(results, "batch"),
    );
    const keys = take();
    if (!(answer instanceof Map)) return keys.map(() => answer as Failed);
    const results = answer as ReadonlyMap<string, ReadResult>;
    const refused = firstFailure(results, "batch");
    if (refused) {
      // Anything but a missing permission is about one of the keys: the next batch may do, and so may half of this one.
      if (refused.reason !== "AccessDenied") return this.#readHalves(keys);
      this.#noBatchUntil = clock.monotonic() + BATCH_RETRY_MS;
      return Promise.all(keys.map((key) => this.#readOne({ key }, SHARED)));
    }
    return keys.map((key) => results.get(key) ?? leftOut);
  }

  async #readHalves(keys: readonly string[]): Promise<readonly ReadResult[]> {
    const middle = Math.ceil(keys.length / 2);
    const halves = [keys.slice(0, middle), keys.slice(middle)].filter((half) => half.length > 0);
    const read = async (half: readonly string[]): Promise<readonly ReadResult[]> => {
      const [only] = half;
      return half.length === 1 && only !== undefined
        ? [await this.#readOne({ key: only }, SHARED)]
        : this.#readMany(() => half);
    };
    return (await Promise.all(halves.map(read))).flat();
  }

  /** All keys that want a version now: one listing, or one describe each. */
  async #sweep(requests: readonly VersionRequest[]): Promise<readonly VersionResult[]> {
    const describe = (request: VersionRequest) => this.#describe(request);
    const freshAfter = Math.max(...requests.map((request) => request.freshAfter));
    const now = this.#options.clock.monotonic();
    if (now < this.#noSweepUntil) return Promise.all(requests.map(describe));
    const mayDescribe = now >= this.#noDescribeUntil;
    const shared = this.#listings.shared(EVERYTHING, freshAfter);
    // Those who are about to ask would pay for descriptions too.
    const wanted = requests.length + this.#options.coming.versions();
    if (!shared && mayDescribe && wanted <= this.#listings.sweepCalls)
      return Promise.all(requests.map(describe));
    const listing = await (shared ?? this.#listings.list(EVERYTHING, freshAfter, SHARED));
    if (listing.kind === "failed") {
      // This identity may not list, and will hardly be let before long.
      if (listing.failure.reason === "AccessDenied")
        this.#noSweepUntil = this.#options.clock.monotonic() + BATCH_RETRY_MS;
      if (!mayDescribe) return requests.map(() => listing);
      return Promise.all(requests.map(describe));
    }
    const { currentStage } = this.#options.reader;
    return Promise.all(
      requests.map(async (request): Promise<VersionResult> => {
        const listed = versionIn(listing.byName, request.ref, currentStage);
        if (listed) return listed;
        // It was told missing, and the listing doesn't show it either.
        if (listing.whole && this.#missingAt.has(refId(request.ref))) return { kind: "missing" };
        return describe(request);
      }),
    );
  }

  async #describe({ ref, share }: VersionRequest): Promise<VersionResult> {
    const { caller, reader } = this.#options;
    const id = refId(ref);
    if (this.#missingAt.has(id, MISSING_MS)) return { kind: "missing" };
    const result = await caller.call(
      { operation: "describe", question: () => `describe ${id}`, share },
      (signal) => reader.describe(ref, signal),
      failureOf,
    );
    if (result.kind === "failed" && result.failure.reason === "AccessDenied")
      this.#noDescribeUntil = this.#options.clock.monotonic() + BATCH_RETRY_MS;
    if (result.kind === "found") this.#listings.noteRotation(ref.key, result.nextRotation);
    this.#noteMissing(id, result);
    return result;
  }
}

interface VersionRequest {
  readonly ref: RemoteRef;
  readonly freshAfter: number;
  readonly share: string;
}
