import type { Failure } from "../../api/reasons.ts";
import type { ProviderRef } from "../../api/secret-sync-sources.ts";
import {
  MISSING_VERSION,
  providerName,
  type FetchedValues,
  type FindResult,
  type Source,
  type SourceVersions,
} from "../../plan/sources.ts";
import { shortened } from "../../plan/text.ts";
import type { ProviderClient } from "../../fetch/provider-client.ts";
import type { ReadResult } from "../../providers/contract.ts";
import { Ration, type Portion } from "../../runtime/ration.ts";
import type { AccessResult, ProviderAccess } from "./provider-access.ts";

/** Step 2 of a reconcile: asks the providers for versions or values of all sources. */

export type Fetch<T> =
  | {
      readonly ok: true;
      readonly value: T;
      /** Who was asked. */
      readonly clients: ReadonlySet<ProviderClient>;
      /** Milliseconds since 1970 by when a provider wants to have rotated the first of the sources, if any. */
      readonly nextRotation: number | undefined;
    }
  | { readonly ok: false; readonly failure: Failure };

interface Opened {
  readonly source: Source;
  readonly access: ProviderAccess;
}

export type AccessTo = (ref: ProviderRef, namespace: string, signal: AbortSignal) => Promise<AccessResult>;

/** What no access rule lets the namespace read, told before anything is asked of the provider. */
function refusedOf(source: Source, { mayRead, mayReadAny }: ProviderAccess): string | undefined {
  if (source.kind === "find") return mayReadAny ? undefined : "anything";
  return mayRead(source.ref.key) ? undefined : shortened(source.ref.key);
}

/** Bytes of values that may be held at once, while the others of a Secret are waited for and until it is written. */
const MOST_BYTES = 48 * 1024 * 1024;
/** Beyond that, a namespace's next Secret waits for those before. */
const MOST_OF_A_NAMESPACE = 4 * 1024 * 1024;

/** What all finds of a SecretSync may match together, about what a Secret can have; each look goes through all of it. */
const MOST_FOUND = 10_000;
const MOST_BYTES_OF_NAMES = 512 * 1024;
const tooManyFound: Failure = {
  reason: "TooLarge",
  message:
    "spec.dataFrom: the finds together match more than 10,000 secrets, or 512 KiB of names; narrow them, or split them over several SecretSyncs",
};

/** `found`: the names of each find. */
function areTooMany(found: Iterable<Iterable<string>>): boolean {
  let count = 0;
  let bytes = 0;
  for (const names of found) {
    for (const name of names) {
      count++;
      bytes += name.length;
    }
  }
  return count > MOST_FOUND || bytes > MOST_BYTES_OF_NAMES;
}

const tooMuchAtOnce: Failure = {
  reason: "TooLarge",
  message:
    "the values that this namespace reads at once take too much memory; read fewer or smaller ones, or give the operator more memory",
};

/** Asks the providers of all sources of an object; what was observed since `freshAfter` (monotonic) is fresh enough. */
export interface Fetcher {
  /** `use`: what is done with the values; they may be many bytes, so they are held no longer than that. */
  values<T>(
    sources: readonly Source[],
    namespace: string,
    freshAfter: number,
    signal: AbortSignal,
    use: (fetched: Fetch<FetchedValues>) => Promise<T>,
  ): Promise<T>;
  /** undefined when versions can't tell, so that values are needed. */
  versions(
    sources: readonly Source[],
    namespace: string,
    freshAfter: number,
    signal: AbortSignal,
  ): Promise<Fetch<SourceVersions | undefined>>;
}

export function newFetcher(accessTo: AccessTo): Fetcher {
  const ration = new Ration({ most: MOST_BYTES, mostOfAShare: MOST_OF_A_NAMESPACE });

  /** Who is asked for each source; the first refusal ends it, before anything is asked. */
  async function open(
    sources: readonly Source[],
    namespace: string,
    signal: AbortSignal,
  ): Promise<Fetch<readonly Opened[]>> {
    const opened: Opened[] = [];
    const known = new Map<string, AccessResult>();
    for (const source of sources) {
      const name = providerName(source.provider);
      const result = known.get(name) ?? (await accessTo(source.provider, namespace, signal));
      known.set(name, result);
      if (!result.ok) return { ok: false, failure: at(source, result.failure) };
      const what = refusedOf(source, result.access);
      if (what !== undefined) {
        const message = `${name} doesn't let namespace ${namespace} read ${what}; correct the key, or have it added to the provider's spec.access`;
        return { ok: false, failure: at(source, { reason: "KeyNotAllowed", message }) };
      }
      opened.push({ source, access: result.access });
    }
    const clients = new Set(opened.map(({ access }) => access.client));
    return { ok: true, value: opened, clients, nextRotation: firstRotation(opened) };
  }

  return {
    async values(sources, namespace, freshAfter, signal, use) {
      const opened = await open(sources, namespace, signal);
      if (!opened.ok) return use(opened);
      const results = new Map<string, ReadResult | FindResult>();
      const shed = Promise.withResolvers<"shed">();
      let isWhole = false;
      const letGo = () => {
        // Whoever uses them goes on: values that vanish meanwhile would look like such that are gone.
        if (!isWhole) results.clear();
        shed.resolve("shed");
      };
      const portion = await ration.begin(namespace, letGo, signal);
      try {
        const all = Promise.all(
          opened.value.map(async ({ source, access }) => {
            const result = await valueOf(source, access, freshAfter, namespace, portion);
            if (result && !portion.isOver) results.set(source.id, result);
          }),
        );
        if ((await Promise.race([all, shed.promise])) === "shed" || portion.isOver)
          return await use({ ok: false, failure: tooMuchAtOnce });
        isWhole = true;
        const found = [...results.values()].filter((result) => result.kind === "matches");
        if (areTooMany(found.map(({ secrets }) => secrets.keys())))
          return await use({ ok: false, failure: tooManyFound });
        return await use({ ...opened, value: results });
      } finally {
        portion.end();
      }
    },

    async versions(sources, namespace, freshAfter, signal) {
      const opened = await open(sources, namespace, signal);
      if (!opened.ok) return opened;
      const results = await Promise.all(
        opened.value.map(
          async ({ source, access }) =>
            [source.id, await versionOf(source, access, freshAfter, namespace)] as const,
        ),
      );
      const versions = new Map<string, string | ReadonlyMap<string, string>>();
      for (const [id, version] of results) {
        if (version === undefined) return { ...opened, value: undefined };
        versions.set(id, version);
      }
      const found = [...versions.values()].filter((version) => typeof version !== "string");
      if (areTooMany(found.map((names) => names.keys()))) return { ok: false, failure: tooManyFound };
      return { ...opened, value: versions };
    },
  };
}

function firstRotation(opened: readonly Opened[]): number | undefined {
  let first: number | undefined;
  for (const { source, access } of opened) {
    const next = source.kind === "read" ? access.client.nextRotation(source.ref.key) : undefined;
    if (next !== undefined && (first === undefined || next < first)) first = next;
  }
  return first;
}

/** undefined when the portion was over before all was there. */
async function valueOf(
  source: Source,
  { client, mayRead }: ProviderAccess,
  freshAfter: number,
  share: string,
  portion: Portion,
): Promise<ReadResult | FindResult | undefined> {
  const hold = (bytes: number) => {
    portion.add(bytes);
    return !portion.isOver;
  };
  if (source.kind === "find") {
    const { criteria } = source;
    const found = await client.finder.find({ criteria, mayRead, freshAfter, share, hold });
    return !found || found.kind === "failed" ? found : { ...found, place: client.place };
  }
  const result = await client.value(source.ref, freshAfter, share);
  // Whoever asks must not learn that there is something that its owner doesn't share.
  if (isUnshared(result)) return { kind: "missing", place: client.place };
  if (result.kind === "failed") return result;
  if (result.kind === "found" && !hold(result.value.held)) return undefined;
  return { ...result, place: client.place };
}

const isUnshared = (result: ReadResult): boolean =>
  result.kind === "failed" && result.failure.reason === "KeyNotAllowed";

async function versionOf(
  source: Source,
  { client, mayRead }: ProviderAccess,
  freshAfter: number,
  share: string,
) {
  if (source.kind === "find") {
    const { criteria } = source;
    const found = await client.finder.findVersions({ criteria, mayRead, freshAfter, share });
    if (!(found instanceof Map)) return undefined;
    return found.size === 0 ? MISSING_VERSION : (found as ReadonlyMap<string, string>);
  }
  const result = await client.version(source.ref, freshAfter, share);
  if (result === undefined || result.kind === "failed") return undefined;
  return result.kind === "missing" ? MISSING_VERSION : result.versionId;
}

const at = (source: Source, { reason, message }: Failure): Failure => ({
  reason,
  message: `${source.field}: ${message}`,
});
