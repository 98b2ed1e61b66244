import { annotation } from "../api/group.ts";
import { globMatches } from "../plan/access.ts";
import { refId } from "../plan/sources.ts";
import type {
  BatchRead,
  Failed,
  ReadResult,
  RemoteRef,
  SecretStore,
  VersionResult,
} from "../providers/contract.ts";
import type { Clock } from "../runtime/clock.ts";
import { isFailed, leftOut, providerFailure } from "./batch-answer.ts";
import { Batcher } from "./batcher.ts";
import { failureOf, type Caller } from "./caller.ts";
import { Finder } from "./finder.ts";
import type { KeptBytes } from "./kept-bytes.ts";
import type { Limits } from "./limiter.ts";
import { Listings, SHARED } from "./listings.ts";
import { News, type Known } from "./news.ts";
import { Noted } from "./noted.ts";
import { Recent } from "./recent.ts";
import { Versions } from "./versions.ts";

/**
 * One provider as one identity, for everybody who uses it: each key is fetched once for all who want it, in as few
 * calls as there can be.
 *
 *   values    BatchGet (20 a call); single reads for versions, stages, and identities that may not batch
 *   versions  a sweep of the listing or a describe for each key, whichever takes fewer calls (versions.ts)
 *
 * A listing may lag behind by minutes (AWS documents up to five), so whoever polls reads values from time to time.
 */
export interface ProviderClientOptions {
  readonly store: SecretStore;
  readonly caller: Caller;
  readonly clock: Clock;
  /** How many others are about to ask; batches wait a little for them. */
  readonly coming: { readonly values: () => number; readonly versions: () => number };
  readonly kept: Kept;
  /** Told what was served without a call of its own. */
  readonly onShared: (operation: "value" | "version") => void;
  readonly onClose?: () => void;
}

/** What all clients may keep together. */
export interface Kept {
  readonly values: KeptBytes;
  /** Names, versions and listings. */
  readonly names: KeptBytes;
}

/** What was told missing is known for so long. */
const MISSING_MS = 10 * 60_000;
const KEEP_MS = 10_000;
/** Only while more are coming, so it costs a burst nothing: others are being written meanwhile. */
const LINGER_MS = 150;
const BATCH_RETRY_MS = 10 * 60_000;
/** A version that its owner doesn't share is asked for again after so long; once it is shared it is another one. */
const UNSHARED_MS = 60 * 60_000;
const ROTATIONS_MS = 60 * 60_000;

export class ProviderClient {
  readonly finder: Finder;
  readonly #options: ProviderClientOptions;
  readonly #values: Recent<ReadResult>;
  readonly #versions: Versions;
  readonly #news: News;
  readonly #listings: Listings;
  readonly #batches: Batcher<string, ReadResult>;
  /** When a key, version or stage was told missing. */
  readonly #missingAt: Noted;
  /** Keys that the store refuses: they would have it refuse the batches of others. */
  readonly #refusedAt: Noted;
  readonly #unshared: Noted;
  readonly #startedAt: number;
  #noBatchUntil = 0;
  #noRotationsUntil = 0;

  constructor(options: ProviderClientOptions) {
    this.#options = options;
    const { clock, coming, store, kept } = options;
    this.#startedAt = clock.monotonic();
    this.#missingAt = new Noted(clock, MISSING_MS, kept.names);
    this.#refusedAt = new Noted(clock, BATCH_RETRY_MS, kept.names);
    this.#unshared = new Noted(clock, UNSHARED_MS, kept.names);
    this.#values = new Recent({
      clock,
      keepMs: KEEP_MS,
      kept: kept.values,
      weightOf: (result) => (result.kind === "found" ? result.value.held + 256 : 256),
    });
    this.#listings = new Listings({ ...options, kept: kept.names });
    this.#versions = new Versions({
      ...options,
      listings: this.#listings,
      missingAt: this.#missingAt,
      noteMissing: (id, result) => this.#noteMissing(id, result),
      coming: coming.versions,
      kept: kept.names,
      onShared: () => options.onShared("version"),
    });
    this.#news = new News({
      ...options,
      listings: this.#listings,
      versions: this.#versions,
      value: (ref, freshAfter, share) => this.value(ref, freshAfter, share),
    });
    this.finder = new Finder({
      listings: this.#listings,
      currentStage: store.currentStage,
      largest: store.largest,
      value: (key, freshAfter, share) => this.value({ key }, freshAfter, share),
      clock,
      unshared: this.#unshared,
    });
    this.#batches = new Batcher({
      clock,
      moreComing: () => coming.values() > 0,
      lingerMs: LINGER_MS,
      most: store.batch?.most ?? 1,
      send: (take) => this.#readMany(store.batch as BatchRead, take),
      sendOne: (key, share) => this.#readOne({ key }, share),
    });
  }

  get place(): string {
    return this.#options.store.place;
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
      return shared.then((result) => forShare(result, share));
    }
    const isAlone = !this.#isCurrent(ref) || !this.#mayBatch() || this.#refusedAt.has(id);
    const answer = isAlone ? this.#readOne(ref, share) : this.#batches.request(share, ref.key);
    this.#values.set(id, answer, ({ kind }) => kind === "found");
    return answer.then((result) => {
      this.#noteMissing(id, result);
      if (result.kind === "failed" && result.failure.reason === "ProviderRefused") this.#refusedAt.note(id);
      return forShare(result, share);
    });
  }

  /** The version as of `freshAfter` or later; undefined when this identity may read values only. */
  version(ref: RemoteRef, freshAfter: number, share: string): Promise<VersionResult> | undefined {
    return this.#versions.version(ref, freshAfter, share);
  }

  /** Which of these are no longer as known, as of `freshAfter` or later, or can't be told. It rejects when the signal aborts. */
  news<K extends Known>(known: readonly K[], freshAfter: number, signal: AbortSignal): Promise<readonly K[]> {
    return this.#news.news(known, freshAfter, signal);
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
      void this.#listings.sweep(now, () => undefined);
    }
    return this.#listings.rotations.ask(key);
  }

  /** Ends its connections, once nothing is under way any more. */
  close(): void {
    this.#options.onClose?.();
    for (const cache of [this.#values, this.#versions, this.#listings]) cache.forgetAll();
    for (const notes of [this.#missingAt, this.#refusedAt, this.#unshared]) notes.forgetAll();
    this.#options.caller.whenIdle(() => this.#options.store.close());
  }

  #noteMissing(id: string, { kind }: { readonly kind: string }): void {
    if (kind === "missing") this.#missingAt.note(id);
    else if (kind === "found") this.#missingAt.forget(id);
  }

  #isCurrent({ version, versionStage }: RemoteRef): boolean {
    return (
      version === undefined &&
      (versionStage === undefined || versionStage === this.#options.store.currentStage)
    );
  }

  #mayBatch(): boolean {
    return this.#options.store.batch !== undefined && this.#options.clock.monotonic() >= this.#noBatchUntil;
  }

  #readOne(ref: RemoteRef, share: string): Promise<ReadResult> {
    const { caller, store } = this.#options;
    const question = () => refId(ref);
    return caller.call(
      { operation: "read", question, share },
      (signal) => store.read(ref, signal),
      failureOf,
    );
  }

  /** `take`: to be asked when the call goes out. */
  async #readMany(batch: BatchRead, take: () => readonly string[]): Promise<readonly ReadResult[]> {
    const { caller, clock } = this.#options;
    const answer = await caller.call(
      { operation: "readBatch", question: () => take().join(), share: SHARED },
      (signal) => batch.read(take(), signal),
      (results) => (isFailed(results) ? results.failure : providerFailure(results)),
    );
    const keys = take();
    if (!isFailed(answer)) return keys.map((key) => answer.get(key) ?? leftOut);
    const { reason, scope } = answer.failure;
    if (scope !== "batch") return keys.map(() => answer);
    // Anything but a missing permission is about one of the keys: the next batch may do, and so may half of this one.
    if (reason !== "AccessDenied") return this.#readHalves(batch, keys);
    this.#noBatchUntil = clock.monotonic() + BATCH_RETRY_MS;
    return Promise.all(keys.map((key) => this.#readOne({ key }, SHARED)));
  }

  async #readHalves(batch: BatchRead, keys: readonly string[]): Promise<readonly ReadResult[]> {
    const middle = Math.ceil(keys.length / 2);
    const halves = [keys.slice(0, middle), keys.slice(middle)].filter((half) => half.length > 0);
    const read = async (half: readonly string[]): Promise<readonly ReadResult[]> => {
      const [only] = half;
      return half.length === 1 && only !== undefined
        ? [await this.#readOne({ key: only }, SHARED)]
        : this.#readMany(batch, () => half);
    };
    return (await Promise.all(halves.map(read))).flat();
  }
}

/** What its owner doesn't let go to who asks is not for them, whoever has read it. */
function forShare(result: ReadResult, share: string): ReadResult {
  if (result.kind !== "found" || !result.sharedWith) return result;
  return result.sharedWith.some((glob) => globMatches(glob, "", share)) ? result : notShared;
}

const notShared: Failed = {
  kind: "failed",
  failure: {
    reason: "KeyNotAllowed",
    scope: "request",
    message: `its owner doesn't share it with this namespace; the annotation ${annotation.sharedWith} on it names who may have it`,
  },
};
