import type {
  Failed,
  ListedSecret,
  ListFilter,
  ListResult,
  RemoteRef,
  SecretReader,
  VersionResult,
} from "../providers/provider.ts";
import type { Clock } from "../runtime/clock.ts";
import { failureOf, type Caller } from "./caller.ts";
import { Recent } from "./recent.ts";

/** Listings of a provider, each whole, so that everybody with the same filter may share it. */

export type Listing =
  | {
      readonly kind: "listing";
      readonly byName: ReadonlyMap<string, ListedSecret>;
      /** False: there are more secrets than a listing goes through. */
      readonly whole: boolean;
    }
  | Failed;

/** The filter of a sweep: the version of every secret that there is. */
export const EVERYTHING: ListFilter = {};
/** Of 100 secrets at AWS. Beyond, asking for each key alone is the better way. */
const MOST_PAGES = 500;
const KEEP_MS = 10_000;
/** Names in all listings that are kept: some 300 bytes each. */
const MOST_LISTED = 150_000;

export class Listings {
  readonly #reader: SecretReader;
  readonly #caller: Caller;
  readonly #recent: Recent<Listing>;
  readonly #clock: Clock;
  #sweepCalls = 1;
  /** By name, of those that are rotated by schedule. */
  #rotations = new Map<string, number>();
  #rotationsAt: number | undefined;

  constructor({ reader, caller, clock }: { reader: SecretReader; caller: Caller; clock: Clock }) {
    this.#reader = reader;
    this.#caller = caller;
    this.#clock = clock;
    this.#recent = new Recent({
      clock,
      keepMs: KEEP_MS,
      most: MOST_LISTED,
      weightOf: (listing) => (listing.kind === "listing" ? listing.byName.size : 1),
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
    const answer = this.#listAll(filter, share);
    this.#recent.set(JSON.stringify(filter), answer, ({ kind }) => kind === "listing");
    return answer;
  }

  async #listAll(filter: ListFilter, share: string): Promise<Listing> {
    const byName = new Map<string, ListedSecret>();
    const startedAt = this.#clock.monotonic();
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
      for (const secret of page.secrets)
        for (const name of [secret.name, ...secret.aliases]) byName.set(name, secret);
      next = page.next;
      calls++;
    } while (next && calls < MOST_PAGES);
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
    return { kind: "listing", byName, whole };
  }
}

/** undefined when the listing doesn't know: it lags, or the key is of another account. */
export function versionIn(
  listing: ReadonlyMap<string, ListedSecret>,
  ref: RemoteRef,
  currentStage: string,
): VersionResult | undefined {
  const secret = listing.get(ref.key);
  if (!secret) return undefined;
  const versionId = ref.version ?? secret.versions.get(ref.versionStage ?? currentStage);
  if (versionId === undefined) return undefined;
  const versionStages = [...secret.versions].filter(([, id]) => id === versionId).map(([stage]) => stage);
  return { kind: "found", versionId, versionStages };
}
