import { compilePattern } from "../api/regular-expression.ts";
import type { FindCriteria, FindResult, FoundSecret } from "../plan/sources.ts";
import type { Failed, ListedSecret, ListFilter, ReadResult } from "../providers/provider.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import type { Listings } from "./listings.ts";

/** Secrets by what they look like instead of by key: a listing, and what of it the user asked for. */
export interface FinderOptions {
  readonly listings: Listings;
  readonly currentStage: string;
  /** The value as of `freshAfter` (monotonic) or later. */
  readonly value: (key: string, freshAfter: number) => Promise<ReadResult>;
  readonly clock: Clock;
}

const MATCHES_A_TURN = 200;

export class Finder {
  readonly #options: FinderOptions;

  constructor(options: FinderOptions) {
    this.#options = options;
  }

  /** Versions of all secrets that match, by name. */
  async findVersions(
    criteria: FindCriteria,
    mayRead: (key: string) => boolean,
    freshAfter: number,
  ): Promise<Failed | ReadonlyMap<string, string>> {
    const matched = await this.#match(criteria, mayRead, freshAfter);
    return matched.kind === "failed" ? matched : matched.versions;
  }

  /** All secrets that match, with their values. */
  async find(
    criteria: FindCriteria,
    mayRead: (key: string) => boolean,
    freshAfter: number,
  ): Promise<FindResult> {
    const matched = await this.#match(criteria, mayRead, freshAfter);
    if (matched.kind === "failed") return matched;
    const names = [...matched.versions.keys()];
    const results = await Promise.all(names.map((name) => this.#options.value(name, freshAfter)));
    const secrets = new Map<string, FoundSecret>();
    for (const [index, result] of results.entries()) {
      const name = names[index] as string;
      if (result.kind === "failed") {
        const { failure } = result;
        return {
          kind: "failed",
          failure: { ...failure, message: `${JSON.stringify(name)}: ${failure.message}` },
        };
      }
      // Deleted since it was listed.
      if (result.kind === "found") secrets.set(name, result);
    }
    return secrets.size === 0
      ? { kind: "missing" }
      : { kind: "matches", secrets, forbidden: matched.forbidden };
  }

  async #match(
    criteria: FindCriteria,
    mayRead: (key: string) => boolean,
    freshAfter: number,
  ): Promise<Failed | Matched> {
    const { listings, currentStage, clock } = this.#options;
    const listing = await listings.list(filterOf(criteria), freshAfter);
    if (listing.kind === "failed") return listing;
    if (!listing.whole) return tooMany;
    const versions = new Map<string, string>();
    let forbidden = 0;
    let seen = 0;
    for (const secret of matches(listing.byName, criteria)) {
      // Patterns take their time; others get a turn between.
      if (++seen % MATCHES_A_TURN === 0) await sleep(clock, 0, new AbortController().signal);
      if (secret === undefined) continue;
      const version = secret.versions.get(currentStage);
      if (version === undefined) continue;
      if (mayRead(secret.name)) versions.set(secret.name, version);
      else forbidden++;
    }
    // Access that was taken away must not look as if the secrets were gone.
    return versions.size === 0 && forbidden > 0 ? noneAllowed : { kind: "matched", versions, forbidden };
  }
}

interface Matched {
  readonly kind: "matched";
  /** By name. */
  readonly versions: ReadonlyMap<string, string>;
  readonly forbidden: number;
}

const noneAllowed: Failed = {
  kind: "failed",
  failure: {
    reason: "KeyNotAllowed",
    scope: "request",
    message: "this namespace may read nothing of what matches; add it to the provider's spec.access",
  },
};

/** What a find doesn't see it would take for deleted. */
const tooMany: Failed = {
  kind: "failed",
  failure: {
    reason: "TooLarge",
    scope: "request",
    message: "path and tags leave more secrets than can be listed; narrow them",
  },
};

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
): Iterable<ListedSecret | undefined> {
  const pattern = nameRegexp === undefined ? undefined : compilePattern(nameRegexp);
  for (const secret of new Set(listing.values())) {
    const isMatch =
      (path === undefined || secret.name.startsWith(path)) &&
      Object.entries(tags).every(([name, value]) => secret.tags[name] === value) &&
      (nameRegexp === undefined || (pattern?.test(secret.name) ?? false));
    yield isMatch ? secret : undefined;
  }
}
