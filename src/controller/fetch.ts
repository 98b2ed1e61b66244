import type { Failure } from "../api/reasons.ts";
import type { ProviderRef } from "../api/secret-sync-sources.ts";
import {
  MISSING_VERSION,
  providerName,
  type FetchedValues,
  type FindResult,
  type Source,
  type SourceVersions,
} from "../plan/sources.ts";
import type { ProviderClient } from "../fetch/provider-client.ts";
import type { ReadResult } from "../providers/provider.ts";
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

export function newFetcher(accessTo: AccessTo) {
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
      if (source.kind === "read" && !result.access.mayRead(source.ref.key)) {
        const message = `${name} doesn't let namespace ${namespace} read ${source.ref.key}; add it to the provider's spec.access`;
        return { ok: false, failure: at(source, { reason: "KeyNotAllowed", message }) };
      }
      opened.push({ source, access: result.access });
    }
    const clients = new Set(opened.map(({ access }) => access.client));
    return { ok: true, value: opened, clients, nextRotation: firstRotation(opened) };
  }

  return {
    async values(
      sources: readonly Source[],
      namespace: string,
      freshAfter: number,
      signal: AbortSignal,
    ): Promise<Fetch<FetchedValues>> {
      const opened = await open(sources, namespace, signal);
      if (!opened.ok) return opened;
      const results = await Promise.all(
        opened.value.map(async ({ source, access }): Promise<[string, ReadResult | FindResult]> => {
          const { client, mayRead } = access;
          const answer =
            source.kind === "read"
              ? client.value(source.ref, freshAfter)
              : client.finder.find(source.criteria, mayRead, freshAfter);
          return [source.id, await answer];
        }),
      );
      return { ...opened, value: new Map(results) };
    },

    /** undefined when versions can't tell, so that values are needed. */
    async versions(
      sources: readonly Source[],
      namespace: string,
      freshAfter: number,
      signal: AbortSignal,
    ): Promise<Fetch<SourceVersions | undefined>> {
      const opened = await open(sources, namespace, signal);
      if (!opened.ok) return opened;
      const results = await Promise.all(
        opened.value.map(
          async ({ source, access }) => [source.id, await versionOf(source, access, freshAfter)] as const,
        ),
      );
      const versions = new Map<string, string | ReadonlyMap<string, string>>();
      for (const [id, version] of results) {
        if (version === undefined) return { ...opened, value: undefined };
        versions.set(id, version);
      }
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

async function versionOf(source: Source, { client, mayRead }: ProviderAccess, freshAfter: number) {
  if (source.kind === "find") {
    const found = await client.finder.findVersions(source.criteria, mayRead, freshAfter);
    if (!(found instanceof Map)) return undefined;
    return found.size === 0 ? MISSING_VERSION : (found as ReadonlyMap<string, string>);
  }
  const result = await client.version(source.ref, freshAfter);
  if (result === undefined || result.kind === "failed") return undefined;
  return result.kind === "missing" ? MISSING_VERSION : result.versionId;
}

const at = (source: Source, { reason, message }: Failure): Failure => ({
  reason,
  message: `${source.field}: ${message}`,
});
