import type {
  Failed,
  ListedSecret,
  ListFilter,
  ListResult,
  RemoteRef,
  SecretReader,
  VersionResult,
} from "../providers/provider.ts";
import { weightOf } from "../api/loose.ts";
import type { Clock } from "../runtime/clock.ts";
import { failureOf, type Caller } from "./caller.ts";
import type { Keeping, KeptBytes } from "./kept-bytes.ts";
import { Recent } from "./recent.ts";
import { Turns } from "./turns.ts";

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
/** Of 100 secrets at AWS. Beyond, asking for each key alone is the better way. */
const MOST_PAGES = 500;
/** A refresh of ten thousand objects takes about that long; who comes to it late, since it was still worked on, shares it too. */
const KEEP_MS = 20_000;
/** Bytes of one listing, about. */
const MOST_BYTES = 40 * 1024 * 1024;
/** Of one share, under way at once: each is many calls, and memory. */
const AT_ONCE = 2;

/** A listing under way. */
interface Growing {
  bytes: number;
  isGivenUp: boolean;
}

export class Listings implements Keeping {
  readonly #reader: SecretReader;
  readonly #caller: Caller;
  readonly #recent: Recent<Listing>;
  readonly #kept: KeptBytes;
  readonly #clock: Clock;
  readonly #turns = new Turns(AT_ONCE);
  readonly #growing = new Set<Growing>();
  #sweepCalls = 1;
  /** By name, of those that are rotated by schedule. */
  #rotations = new Map<string, number>();
  #rotationsAt: number | undefined;

  constructor(options: {
    readonly reader: SecretReader;
    readonly caller: Caller;
    readonly clock: Clock;
    readonly kept: KeptBytes;
  }) {
    const { reader, caller, clock, kept } = options;
    this.#kept = kept;
    this.#reader = reader;
    this.#caller = caller;
    this.#clock = clock;
    this.#recent = new Recent({
      clock,
      keepMs: KEEP_MS,
      kept,
      weightOf: (listing) => (listing.kind === "listing" ? listing.bytes : 256),
    });
  }

  /** Calls that a listing of everything takes, as far as is known. Infinity: there is none that is whole. */
  get sweepCalls(): number {
    return this.#sweepCalls;
  }

  /** Milliseconds since 1970; undefined for what isn't rotated by schedule, or isn't known yet. */
  nextRotation(name: string): number | undefined {
    return this.#rotations.get(name);
  }

  noteRotation(name: string, next: number | undefined): void {
    if (next === undefined) this.#rotations.delete(name);
    else this.#rotations.set(name, next);
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

  async #listPages(filter: ListFilter, share: string, growing: Growing): Promise<Listing> {
    const byName = new Map<string, ListedSecret>();
    const startedAt = this.#clock.monotonic();
    const wanted = Object.keys(filter.tags ?? {});
    let next: string | undefined;
    let calls = 0;
    do {
      const token = next;
      const page: ListResult = await this.#caller.call(
        { operation: "list", question: () => `list ${JSON.stringify(filter)}`, share },
        (signal) => this.#reader.list(filter, token, signal),
        failureOf,
      );
      if (page.kind === "failed") return page;
      let bytes = 0;
      for (const listed of page.secrets) {
        const secret = withTags(listed, wanted);
        bytes += weightOfListed(secret);
        for (const name of [secret.name, ...secret.aliases]) byName.set(name, secret);
      }
      growing.bytes += bytes;
      this.#kept.add(this, bytes);
      if (growing.isGivenUp || growing.bytes > MOST_BYTES) break;
      next = page.next;
      calls++;
    } while (next && calls < MOST_PAGES);
    if (growing.isGivenUp || growing.bytes > MOST_BYTES) {
      if (wanted.length === 0 && filter.namePrefix === undefined) this.#sweepCalls = Infinity;
      return { kind: "listing", byName: new Map(), whole: false, bytes: 0 };
    }
    const whole = !next;
    if (Object.keys(filter).length === 0) {
      this.#sweepCalls = whole ? calls : Infinity;
      this.#rotationsAt = startedAt;
      this.#rotations = new Map(
        [...byName].flatMap(([name, { nextRotation }]) =>
          nextRotation === undefined ? [] : [[name, nextRotation] as const],
        ),
      );
    }
    return { kind: "listing", byName, whole, bytes: growing.bytes };
  }
}

/** Tags can be 19 KB of one secret, and only those that are filtered by are looked at. */
const withTags = (secret: ListedSecret, wanted: readonly string[]): ListedSecret => ({
  ...secret,
  tags:
    wanted.length === 0
      ? NO_TAGS
      : Object.fromEntries(
          wanted
            .filter((tag) => Object.hasOwn(secret.tags, tag))
            .map((tag) => [tag, secret.tags[tag] as string]),
        ),
});

const NO_TAGS: ListedSecret["tags"] = {};

const weightOfListed = ({ name, aliases, tags, versions }: ListedSecret): number =>
  100 + weightOf([name, aliases, tags, versions]);

/** The version that has the stage. */
export const versionOf = ({ versions }: ListedSecret, stage: string): string | undefined =>
  Object.hasOwn(versions, stage) ? versions[stage] : undefined;

/** undefined when the listing doesn't know: it lags, or the key is of another account. */
export function versionIn(
  listing: ReadonlyMap<string, ListedSecret>,
  ref: RemoteRef,
  currentStage: string,
): VersionResult | undefined {
  const secret = listing.get(ref.key);
  if (!secret) return undefined;
  const versionId = ref.version ?? versionOf(secret, ref.versionStage ?? currentStage);
  if (versionId === undefined) return undefined;
  const versionStages = Object.entries(secret.versions)
    .filter(([, id]) => id === versionId)
    .map(([stage]) => stage);
  return { kind: "found", versionId, versionStages };
}
