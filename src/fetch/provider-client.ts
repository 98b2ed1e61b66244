import { refId } from "../plan/sources.ts";
import type {
  Failed,
  ProviderFailure,
  ReadResult,
  RemoteRef,
  SecretReader,
  VersionResult,
} from "../providers/provider.ts";
import type { Clock } from "../runtime/clock.ts";
import { Batcher } from "./batcher.ts";
import { failureOf, type Caller } from "./caller.ts";
import { Finder } from "./finder.ts";
import { EVERYTHING, Listings, versionIn } from "./listings.ts";
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
  /** Told what was served without a call of its own. */
  readonly onShared: (operation: "value" | "version") => void;
}

/** AWS documents up to five minutes of lag for ListSecrets; twice that keeps a missed change rare and short. */
const EXACT_READ_MS = 10 * 60_000;
const KEEP_MS = 10_000;
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
  readonly #sweeps: Batcher<{ ref: RemoteRef; freshAfter: number }, VersionResult>;
  readonly #exactAt = new Map<string, number>();
  readonly #startedAt: number;
  #noBatchUntil = 0;
  #noSweepUntil = 0;
  #noDescribeUntil = 0;
  #noRotationsUntil = 0;

  constructor(options: ProviderClientOptions) {
    this.#options = options;
    const { clock, coming, reader } = options;
    this.#startedAt = clock.monotonic();
    this.#values = new Recent(clock, KEEP_MS);
    this.#versions = new Recent(clock, KEEP_MS);
    this.#listings = new Listings(options);
    this.finder = new Finder({
      listings: this.#listings,
      currentStage: reader.currentStage,
      value: (key, freshAfter) => this.value({ key }, freshAfter),
      clock,
    });
    this.#batches = new Batcher({
      clock,
      moreComing: () => coming.values() > 0,
      lingerMs: LINGER_MS,
      most: reader.batchSize,
      send: (keys) => this.#readMany(keys),
    });
    this.#sweeps = new Batcher({
      clock,
      moreComing: () => coming.versions() > 0,
      lingerMs: LINGER_MS,
      most: 100_000,
      send: (requests) => this.#sweep(requests),
    });
  }

  /** The value as of `freshAfter` (monotonic) or later. */
  value(ref: RemoteRef, freshAfter: number): Promise<ReadResult> {
    const id = refId(ref);
    const shared = this.#values.get(id, freshAfter);
    if (shared) {
      this.#options.onShared("value");
      return shared;
    }
    const answer =
      this.#isCurrent(ref) && this.#mayBatch() ? this.#batches.request(ref.key) : this.#readOne(ref);
    this.#values.set(id, answer, ({ kind }) => kind === "found");
    return answer.then((result) => {
      if (result.kind !== "failed") this.#noteExact(id);
      return result;
    });
  }

  /** The version as of `freshAfter` or later; undefined when it is time for an exact read. */
  version(ref: RemoteRef, freshAfter: number): Promise<VersionResult> | undefined {
    const id = refId(ref);
    const exactAt = this.#exactAt.get(id);
    if (exactAt === undefined || this.#options.clock.monotonic() - exactAt > EXACT_READ_MS) return undefined;
    // An exact version never changes.
    if (ref.version !== undefined)
      return Promise.resolve({ kind: "found", versionId: ref.version, versionStages: [] });
    const shared = this.#versions.get(id, freshAfter);
    if (shared) {
      this.#options.onShared("version");
      return shared;
    }
    if (!this.#mayAskVersions()) return undefined;
    const answer = this.#sweeps.request({ ref, freshAfter });
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
      void this.#listings.list(EVERYTHING, now);
    }
    return this.#listings.nextRotation(key);
  }

  close(): void {
    this.#options.reader.close();
  }

  /** In the order of their reads, so that what is too old to count is at the front. */
  #noteExact(id: string): void {
    const now = this.#options.clock.monotonic();
    this.#exactAt.delete(id);
    this.#exactAt.set(id, now);
    for (const [oldest, at] of this.#exactAt) {
      if (now - at <= EXACT_READ_MS) break;
      this.#exactAt.delete(oldest);
    }
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

  #readOne(ref: RemoteRef): Promise<ReadResult> {
    const { caller, reader } = this.#options;
    return caller.call("read", refId(ref), (signal) => reader.read(ref, signal), failureOf);
  }

  async #readMany(keys: readonly string[]): Promise<readonly ReadResult[]> {
    const { caller, reader, clock } = this.#options;
    const [only] = keys;
    if (keys.length === 1 && only !== undefined) return [await this.#readOne({ key: only })];
    const answer = await caller.call(
      "readBatch",
      keys.join(),
      (signal) => reader.readBatch(keys, signal),
      (results) => firstFailure(results, "provider") ?? firstFailure(results, "batch"),
    );
    if (!(answer instanceof Map)) return keys.map(() => answer as Failed);
    const results = answer as ReadonlyMap<string, ReadResult>;
    const refused = firstFailure(results, "batch");
    if (refused) {
      // Anything but a missing permission is about one of the keys, and the next batch may do.
      if (refused.reason === "AccessDenied") this.#noBatchUntil = clock.monotonic() + BATCH_RETRY_MS;
      return Promise.all(keys.map((key) => this.#readOne({ key })));
    }
    return keys.map((key) => results.get(key) ?? leftOut);
  }

  /** All keys that want a version now: one listing, or one describe each. */
  async #sweep(
    requests: readonly { ref: RemoteRef; freshAfter: number }[],
  ): Promise<readonly VersionResult[]> {
    const describe = ({ ref }: { ref: RemoteRef }) => this.#describe(ref);
    const freshAfter = Math.max(...requests.map((request) => request.freshAfter));
    const now = this.#options.clock.monotonic();
    if (now < this.#noSweepUntil) return Promise.all(requests.map(describe));
    const mayDescribe = now >= this.#noDescribeUntil;
    const shared = this.#listings.shared(EVERYTHING, freshAfter);
    // Those who are about to ask would pay for descriptions too.
    const wanted = requests.length + this.#options.coming.versions();
    if (!shared && mayDescribe && wanted <= this.#listings.sweepCalls)
      return Promise.all(requests.map(describe));
    const listing = await (shared ?? this.#listings.list(EVERYTHING, freshAfter));
    if (listing.kind === "failed") {
      // This identity may not list, and will hardly be let before long.
      if (listing.failure.reason === "AccessDenied")
        this.#noSweepUntil = this.#options.clock.monotonic() + BATCH_RETRY_MS;
      if (!mayDescribe) return requests.map(() => listing);
      return Promise.all(requests.map(describe));
    }
    return Promise.all(
      requests.map(
        async (request) =>
          versionIn(listing.byName, request.ref, this.#options.reader.currentStage) ?? describe(request),
      ),
    );
  }

  async #describe(ref: RemoteRef): Promise<VersionResult> {
    const { caller, reader } = this.#options;
    const result = await caller.call(
      "describe",
      `describe ${refId(ref)}`,
      (signal) => reader.describe(ref, signal),
      failureOf,
    );
    if (result.kind === "failed" && result.failure.reason === "AccessDenied")
      this.#noDescribeUntil = this.#options.clock.monotonic() + BATCH_RETRY_MS;
    if (result.kind === "found") this.#listings.noteRotation(ref.key, result.nextRotation);
    return result;
  }
}

/** What an answer passes over must not count as deleted. */
const leftOut: Failed = {
  kind: "failed",
  failure: {
    reason: "ProviderRefused",
    scope: "request",
    message: "the provider's answer leaves the secret out",
  },
};

function firstFailure(
  results: ReadonlyMap<string, ReadResult> | Failed,
  scope: ProviderFailure["scope"],
): ProviderFailure | undefined {
  if (!(results instanceof Map)) return (results as Failed).failure;
  for (const result of (results as ReadonlyMap<string, ReadResult>).values()) {
    if (result.kind === "failed" && result.failure.scope === scope) return result.failure;
  }
  return undefined;
}
