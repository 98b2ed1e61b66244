import { createHash, createHmac, createSecretKey, type KeyObject } from "node:crypto";
import { isSecretKey } from "../api/fields.ts";
import type { SecretValue } from "../providers/secret-value.ts";
import type { Trigger } from "./trigger.ts";

/**
 * Digests that may leave a Secret: HMAC-SHA-256 under a random key of the installation, so that nobody who reads
 * annotations can test guesses. Truncated to 64 bits: they tell versions apart, they authenticate nothing.
 */
export interface DigestKey {
  /** Names the key without revealing it; digests under different keys are never compared. */
  readonly id: string;
  readonly secret: KeyObject;
  /** namespace/name of the Secret: the same value elsewhere has another digest, or digests would tell who shares it. */
  readonly scope: string;
}

export type KeyDigests = Readonly<Record<string, string>>;

/** What the operator notes on a Secret about the content that it wrote. */
export interface ContentRecord {
  /** Id of the digest key. */
  readonly key: string;
  /** Fingerprint of spec and source versions behind the content. */
  readonly version: string;
  /** Fingerprint of the fields that our field manager owned right after the write. */
  readonly owned: string;
  /** Digest of each value by key name; only "*", for all together, when there are very many keys. */
  readonly digests: KeyDigests;
  /** Keyed digests of key and remote name, of keys that finds gave: so that a name can be known again, and no other. */
  readonly found: readonly string[];
  /** Fingerprints of the entries of the spec that gave something (seen.ts); undefined in a record of an earlier version. */
  readonly seen?: readonly string[] | undefined;
  /** The last change of the content. It is written with the content, so no crash can lose what status shall tell. */
  readonly change: Change | undefined;
}

export interface Change {
  readonly kind: "created" | "updated" | "repaired";
  /** RFC 3339. */
  readonly at: string;
  readonly trigger: Trigger;
  /** Names of the keys that changed, the first 20. */
  readonly keys: readonly string[];
  /** Of these, the keys that are gone. */
  readonly removed?: readonly string[];
  /** Pods may have been started with something else meanwhile, although the content is the same again. */
  readonly doubt?: Doubt;
}

export interface Doubt {
  /** There was no such Secret; else it held what somebody else had written. */
  readonly absent: boolean;
  /** RFC 3339: from when on; undefined where nobody knows. */
  readonly since?: string;
}

export const newDigestKey = (secret: Buffer): DigestKey => ({
  id: createHash("sha256").update("secretsync key id").update(secret).digest("hex").slice(0, 8),
  secret: createSecretKey(secret),
  scope: "",
});

/** Annotations hold 256 KiB in all; above so many keys one digest stands for all. */
export const MOST_SINGLE_DIGESTS = 256;
export const MOST_KEYS_IN_CHANGE = 20;
export const ALL_KEYS = "*";
/** What a change names instead of the keys when there is one digest for all. */
export const MANY_KEYS = "(many)";

export function digestContent(digestKey: DigestKey, data: ReadonlyMap<string, SecretValue>): KeyDigests {
  const entries = [...data].sort(([a], [b]) => (a < b ? -1 : 1));
  if (entries.length > MOST_SINGLE_DIGESTS) return { [ALL_KEYS]: digestOf(digestKey, entries) };
  return Object.fromEntries(entries.map((entry) => [entry[0], digestOf(digestKey, [entry])]));
}

/**
 * One digest over some of a Secret's keys, or all of them. Keys that it doesn't have count as absent. What goes in are keyed
 * digests, so a plain hash tells no more, and it can be had without the key.
 */
export function digestOfKeys(digests: KeyDigests, keys: readonly string[] | "all"): string {
  const all = digests[ALL_KEYS];
  if (all !== undefined) return all;
  const names = keys === "all" ? Object.keys(digests) : keys;
  return fingerprint(
    [...names]
      .sort()
      .map((name) => [name, (Object.hasOwn(digests, name) ? digests[name] : undefined) ?? "absent"]),
  );
}

/** That the key came from the remote secret of that name. So long that nobody hits one by trying many. */
export const originDigest = ({ secret, scope }: DigestKey, key: string, name: string): string =>
  createHmac("sha256", secret)
    .update(JSON.stringify(["origin", scope, key, name]))
    .digest("hex")
    .slice(0, ORIGIN_LENGTH);

/** A version for content that has none of its own; nobody can test guesses with it. */
export const markOf = ({ secret }: DigestKey, content: Uint8Array): string =>
  createHmac("sha256", secret).update("mark:").update(content).digest().toString("hex", 0, 8);

const ORIGIN_LENGTH = 16;

/** A plain hash, for things that are not secret: names and version ids. */
export const fingerprint = (...parts: readonly unknown[]): string =>
  createHash("sha256").update(JSON.stringify(parts)).digest().toString("hex", 0, 8);

/** Lengths go in too, so that no two contents give the same bytes. */
function digestOf(
  { secret, scope }: DigestKey,
  entries: readonly (readonly [name: string, value: SecretValue])[],
): string {
  const digest = createHmac("sha256", secret).update(`${scope.length}:${scope}:`);
  for (const [name, value] of entries) {
    const bytes = value.reveal();
    digest.update(`${name.length}:${name}:${bytes.length}:`).update(bytes);
  }
  return digest.digest().toString("hex", 0, 8);
}

/** The operator's admission policy reads the digests in it: "digests":{"KEY":"DIGEST",…}. */
export const formatRecord = ({ key, version, owned, digests, found, seen, change }: ContentRecord): string =>
  JSON.stringify({
    key,
    version,
    owned,
    digests,
    ...(found.length > 0 ? { found: [...found].sort().join("") } : {}),
    ...(seen ? { seen: [...seen].sort().join("") } : {}),
    change,
  });

const kinds: readonly unknown[] = ["created", "updated", "repaired"] satisfies Change["kind"][];
const triggers: readonly unknown[] = ["Created", "Spec", "Request", "Refresh", "Drift"] satisfies Trigger[];

/** Whoever may write the Secret may write anything there, and a status that quotes it must stay valid. */
function isChange(value: unknown): value is Change {
  const change = (value ?? {}) as { readonly [F in keyof Change]?: unknown };
  const { kind, at, trigger, keys, removed = [], doubt } = change;
  return (
    kinds.includes(kind) &&
    isTime(at) &&
    triggers.includes(trigger) &&
    areKeys(keys) &&
    areKeys(removed) &&
    (doubt === undefined || isDoubt(doubt))
  );
}

const isTime = (value: unknown): value is string =>
  typeof value === "string" &&
  /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(value) &&
  !Number.isNaN(Date.parse(value));

const areKeys = (value: unknown): boolean =>
  Array.isArray(value) &&
  value.length <= MOST_KEYS_IN_CHANGE &&
  value.every((key) => typeof key === "string" && (isSecretKey(key) || key === MANY_KEYS));

function isDoubt(value: unknown): value is Doubt {
  const { absent, since } = (value ?? {}) as { readonly [F in keyof Doubt]?: unknown };
  return typeof absent === "boolean" && (since === undefined || isTime(since));
}

/** Origins beside such digests: a record must stay one that can be read. Those that count most come first. */
export const mostFound = (digests: KeyDigests): number => (Object.hasOwn(digests, ALL_KEYS) ? 11_000 : 4_000);

/** A longer text is none that formatRecord wrote. */
const LONGEST_RECORD = 192 * 1024;

/** undefined for anything that formatRecord didn't write. */
export function parseRecord(text: string | undefined): ContentRecord | undefined {
  if (text === undefined || text.length > LONGEST_RECORD) return undefined;
  try {
    const record = JSON.parse(text) as { readonly [F in keyof ContentRecord]?: unknown } | null;
    const { key, version, owned, digests, found = "", seen, change } = record ?? {};
    if (!isWord(key) || !isWord(version) || !isWord(owned) || !areDigests(digests)) return undefined;
    if (typeof found !== "string" || (seen !== undefined && typeof seen !== "string")) return undefined;
    return {
      key,
      version,
      owned,
      digests,
      found: wordsOf(found),
      seen: seen === undefined ? undefined : wordsOf(seen),
      change: isChange(change) ? change : undefined,
    };
  } catch {
    return undefined;
  }
}

const wordsOf = (text: string): readonly string[] => text.match(/[0-9a-f]{16}/g) ?? [];

const isWord = (value: unknown): value is string =>
  typeof value === "string" && /^[-0-9a-zA-Z]{0,64}$/.test(value);

function areDigests(value: unknown): value is KeyDigests {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const entries = Object.entries(value);
  return (
    entries.length <= MOST_SINGLE_DIGESTS &&
    entries.every(([key, digest]) => (key === ALL_KEYS || isSecretKey(key)) && isWord(digest))
  );
}
