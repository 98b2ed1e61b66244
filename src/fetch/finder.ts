import { compilePattern } from "../api/regular-expression.ts";
import type { FindCriteria, FindResult, FoundSecret } from "../plan/sources.ts";
import { quoted } from "../plan/text.ts";
import { MOST_WORK, Work } from "../plan/work.ts";
import type { Failed, ListedSecret, ListFilter, ReadResult } from "../providers/contract.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import { versionOf } from "./listed.ts";
import type { Listings } from "./listings.ts";
import type { Noted } from "./noted.ts";

/** Secrets by what they look like instead of by key: a listing, and what of it the user asked for. */
export interface FinderOptions {
  readonly listings: Listings;
  readonly currentStage: string;
  /** Bytes of a value at most. */
  readonly largest: number;
  /** The value as of `freshAfter` (monotonic) or later. */
  readonly value: (key: string, freshAfter: number, share: string) => Promise<ReadResult>;
  readonly clock: Clock;
  /** Versions that their owner doesn't share with who asked. */
  readonly unshared: Noted;
}

/** What somebody looks for, and may see. */
export interface FindRequest {
  readonly criteria: FindCriteria;
  readonly mayRead: (key: string) => boolean;
  /** Monotonic. */
  readonly freshAfter: number;
  /** Who asks. */
  readonly share: string;
}

export interface ValuesRequest extends FindRequest {
  /** Told of the bytes of each value as it comes; false: the answer isn't wanted any more. */
  readonly hold: (bytes: number) => boolean;
}

/** A Secret of so many secrets is nobody's; and each must be read. */
const MOST_MATCHES = 1_000;
/** Values are read in portions of so many at most, and of about so many bytes, so that too much is noticed before all of it is there. */
const PORTION = 100;
const BYTES_OF_A_PORTION = 7 * 1024 * 1024;
/** As much as a Secret can hold. */
const MOST_BYTES = 1024 * 1024;
/**
 * Units of Work for a find: what a usual pattern may take at most for each of 50,000 usual names. Nearly all names are told
 * apart by far less, so this takes well below a second, with turns for others.
 */
const MOST_WORK_OF_A_FIND = 3 * MOST_WORK;
/** Units of Work for one name beside its pattern: access rules and tags. */
const WORK_OF_A_NAME = 200;

export class Finder {
  readonly #options: FinderOptions;

  constructor(options: FinderOptions) {
    this.#options = options;
  }

  /** Versions of all secrets that match, by name; without those that their owner is known not to share. */
  async findVersions(request: FindRequest): Promise<Failed | ReadonlyMap<string, string>> {
    const matched = await this.#match(request);
    if (matched.kind === "failed") return matched;
    const isShared = ([name, version]: readonly [string, string]) =>
      !this.#options.unshared.has(idOf(request.share, name, version));
    return new Map([...matched.versions].filter(isShared));
  }

  /** All secrets that match, with their values; undefined once they aren't wanted any more. */
  async find(request: ValuesRequest): Promise<FindResult | undefined> {
    const matched = await this.#match(request);
    if (matched.kind === "failed") return matched;
    const names = [...matched.versions.keys()];
    const forbidden = [...matched.forbidden];
    const secrets = new Map<string, FoundSecret>();
    let bytes = 0;
    const count = Math.max(1, Math.min(PORTION, Math.floor(BYTES_OF_A_PORTION / this.#options.largest)));
    for (let from = 0; from < names.length; from += count) {
      const portion = names.slice(from, from + count);
      const { freshAfter, share, hold } = request;
      const results = await Promise.all(portion.map((name) => this.#options.value(name, freshAfter, share)));
      for (const [index, result] of results.entries()) {
        const name = portion[index] as string;
        if (result.kind === "failed") {
          const { failure } = result;
          if (failure.reason === "KeyNotAllowed") {
            this.#options.unshared.note(idOf(share, name, matched.versions.get(name)));
            forbidden.push(name);
            continue;
          }
          return { kind: "failed", failure: { ...failure, message: `${quoted(name)}: ${failure.message}` } };
        }
        // Deleted since it was listed.
        if (result.kind === "missing") continue;
        this.#options.unshared.forget(idOf(share, name, matched.versions.get(name)));
        secrets.set(name, result);
        bytes += result.value.size;
        if (!hold(name.length + result.value.held)) return undefined;
      }
      if (bytes > MOST_BYTES) return tooLarge("what matches exceeds the 1 MiB that a Secret can hold");
    }
    return { kind: "matches", secrets, forbidden };
  }

  async #match({ criteria, mayRead, freshAfter, share }: FindRequest): Promise<Failed | Matched> {
    const { listings, currentStage, clock } = this.#options;
    const listing = await listings.list(filterOf(criteria), freshAfter, share);
    if (listing.kind === "failed") return listing;
    // What a find doesn't see it would take for deleted.
    if (!listing.whole) return tooLarge("path and tags leave more secrets than can be listed");
    const versions = new Map<string, string>();
    const forbidden: string[] = [];
    const work = new Work(MOST_WORK_OF_A_FIND);
    for (const secret of matches(listing.byName, criteria, work)) {
      // Patterns take their time; others get a turn between.
      if (work.isTimeToPause()) await sleep(clock, 0);
      if (work.isSpent) return tooLarge("the pattern takes too much work over so many names");
      if (secret === undefined) continue;
      const version = versionOf(secret, currentStage);
      if (version === undefined) continue;
      if (mayRead(secret.name)) versions.set(secret.name, version);
      else forbidden.push(secret.name);
      if (versions.size > MOST_MATCHES) return tooLarge(`more than ${MOST_MATCHES} secrets match`);
    }
    return { kind: "matched", versions, forbidden };
  }
}

const idOf = (share: string, name: string, version: string | undefined): string =>
  JSON.stringify([share, name, version]);

interface Matched {
  readonly kind: "matched";
  /** By name. */
  readonly versions: ReadonlyMap<string, string>;
  /** Names that match too, and that must show nowhere. */
  readonly forbidden: readonly string[];
}

const tooLarge = (what: string): Failed => ({
  kind: "failed",
  failure: {
    reason: "TooLarge",
    scope: "request",
    message: `${what}; narrow path, name or tags, or split the find over several SecretSyncs`,
  },
});

const filterOf = ({ path, tags }: FindCriteria): ListFilter => ({
  ...(path === undefined ? {} : { namePrefix: path }),
  ...(Object.keys(tags).length === 0 ? {} : { tags }),
});

/**
 * The provider's filters are looser than what the user asked for: prefixes, and tag keys and values apart. undefined for
 * each secret that doesn't match, so that the caller may pause anywhere.
 */
function* matches(
  listing: ReadonlyMap<string, ListedSecret>,
  { path, nameRegexp, tags }: FindCriteria,
  work: Work,
): Iterable<ListedSecret | undefined> {
  const pattern = nameRegexp === undefined ? undefined : compilePattern(nameRegexp);
  for (const [name, secret] of listing) {
    // It is listed under its other names too.
    if (name !== secret.name) continue;
    work.spend(WORK_OF_A_NAME);
    const isListed =
      (path === undefined || name.startsWith(path)) &&
      Object.entries(tags).every(([tag, value]) => secret.tags[tag] === value);
    if (isListed && pattern) work.spend(pattern.size * name.length);
    const isMatch = isListed && (nameRegexp === undefined || (pattern?.test(name) ?? false));
    yield isMatch ? secret : undefined;
  }
}
