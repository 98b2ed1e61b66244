import type { DataEntry, DataFromEntry, ProviderRef } from "../api/secret-sync-sources.ts";
import type { SecretSyncSpec } from "../api/secret-sync.ts";
import type { Failed, Missing, ReadResult, RemoteRef, RemoteVersion } from "../providers/contract.ts";
import type { SecretValue } from "../providers/secret-value.ts";
import { fingerprint } from "./digest.ts";
import { printable, shortened } from "./text.ts";

/** What a spec reads, each thing once however many entries use it. */

export interface FindCriteria {
  readonly path?: string | undefined;
  readonly nameRegexp?: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
}

export type Source = { readonly id: string; readonly provider: ProviderRef; readonly field: string } & (
  | { readonly kind: "read"; readonly ref: RemoteRef }
  | { readonly kind: "find"; readonly criteria: FindCriteria }
);

/** What a find matched, by name. */
export interface FoundSecret extends RemoteVersion {
  readonly value: SecretValue;
  readonly changedAt?: number | undefined;
}
export type FindResult =
  | {
      readonly kind: "matches";
      readonly secrets: ReadonlyMap<string, FoundSecret>;
      /** Names that match too, and that the namespace may not read. They must show nowhere. */
      readonly forbidden: readonly string[];
      /** Where they were looked for, for people. */
      readonly place?: string;
    }
  | Missing
  | Failed;
export type FetchedValues = ReadonlyMap<string, ReadResult | FindResult>;

/** Version of each source: one for a read, one by name for a find, "missing" for what isn't there. */
export type SourceVersions = ReadonlyMap<string, string | ReadonlyMap<string, string>>;

export const MISSING_VERSION = "missing";

export function sourcesOf(spec: SecretSyncSpec): readonly Source[] {
  const all = [
    ...(spec.data ?? []).map((entry, index) => sourceOfData(spec, entry, index)),
    ...(spec.dataFrom ?? []).map((entry, index) => sourceOfDataFrom(spec, entry, index)),
  ];
  const byId = new Map<string, Source>();
  // Messages name the first entry that uses it.
  for (const source of all) if (!byId.has(source.id)) byId.set(source.id, source);
  return [...byId.values()];
}

export function sourceOfData(spec: SecretSyncSpec, entry: DataEntry, index: number): Source {
  const { key, version, versionStage } = entry.remoteRef;
  return read(providerOf(spec, entry), `spec.data[${index}]`, { key, version, versionStage });
}

export function sourceOfDataFrom(spec: SecretSyncSpec, entry: DataFromEntry, index: number): Source {
  const provider = providerOf(spec, entry);
  const field = `spec.dataFrom[${index}]`;
  if (entry.extract) {
    const { key, version, versionStage } = entry.extract;
    return read(provider, field, { key, version, versionStage });
  }
  const criteria: FindCriteria = {
    path: entry.find?.path,
    nameRegexp: entry.find?.name?.regexp,
    tags: entry.find?.tags ?? {},
  };
  return {
    kind: "find",
    provider,
    field,
    criteria,
    id: `${providerName(provider)} find ${JSON.stringify(criteria)}`,
  };
}

export const refId = ({ key, version, versionStage }: RemoteRef): string =>
  JSON.stringify([key, version ?? "", versionStage ?? ""]);

/** Objects that are refreshed together have the same group and interval. */
export const refreshGroup = ([first]: readonly Source[]): string =>
  first ? providerName(first.provider) : "";

export const providerName = ({ kind, name }: ProviderRef): string => `${kind}/${name}`;

/** How messages and status name a source. */
export function describeSource(source: Source): string {
  if (source.kind === "read") return shortened(source.ref.key);
  const { path, nameRegexp, tags } = source.criteria;
  const wanted = { ...(path ? { path } : {}), ...(nameRegexp ? { name: nameRegexp } : {}), ...tags };
  return `find(${shortened(printable(JSON.stringify(wanted)))})`;
}

/** Versions as far as the values tell them; undefined when a source failed. */
export function versionsOf(fetched: FetchedValues): SourceVersions | undefined {
  const versions = new Map<string, string | ReadonlyMap<string, string>>();
  for (const [id, result] of fetched) {
    if (result.kind === "failed") return undefined;
    if (result.kind === "missing") versions.set(id, MISSING_VERSION);
    else if (result.kind === "found") versions.set(id, result.versionId);
    else if (result.secrets.size === 0) versions.set(id, MISSING_VERSION);
    else versions.set(id, new Map([...result.secrets].map(([name, { versionId }]) => [name, versionId])));
  }
  return versions;
}

/** Changes when the content could change: another spec or other versions. Holds no secret. */
export function contentFingerprint(spec: SecretSyncSpec, versions: SourceVersions): string {
  const flat = [...versions]
    .map(([id, version]) => [id, typeof version === "string" ? version : sortedPairs(version)])
    .sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));
  return fingerprint(spec.data, spec.dataFrom, spec.target, flat);
}

const sortedPairs = (map: ReadonlyMap<string, string>): readonly (readonly [string, string])[] =>
  [...map].sort(([a], [b]) => (a < b ? -1 : 1));

function read(provider: ProviderRef, field: string, ref: RemoteRef): Source {
  return { kind: "read", provider, field, ref, id: `${providerName(provider)} read ${refId(ref)}` };
}

function providerOf(spec: SecretSyncSpec, entry: { providerRef?: ProviderRef | undefined }): ProviderRef {
  const provider = entry.providerRef ?? spec.providerRef;
  // The spec's own rule sees to it.
  if (!provider) throw new Error("an entry without a provider passed validation");
  return provider;
}

/** Milliseconds since 1970 of the newest version among the sources. */
export function newestChange(fetched: FetchedValues | undefined): number | undefined {
  const times = [...(fetched ?? new Map<string, never>()).values()].flatMap((result) => {
    if (result.kind === "found") return [result.changedAt];
    return result.kind === "matches" ? [...result.secrets.values()].map(({ changedAt }) => changedAt) : [];
  });
  const known = times.filter((time) => time !== undefined);
  return known.length > 0 ? Math.max(...known) : undefined;
}
