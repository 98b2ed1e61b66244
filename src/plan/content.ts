import { isSecretKey } from "../api/fields.ts";
import type { Failure } from "../api/reasons.ts";
import type { DataEntry, DataFromEntry } from "../api/secret-sync-sources.ts";
import type { SecretSyncSpec } from "../api/secret-sync.ts";
import { SecretValue } from "../providers/secret-value.ts";
import { decode, newRewriter, selectMembers, selectValue, type PayloadProblem } from "./payload.ts";
import {
  describeSource,
  providerName,
  sourceOfData,
  sourceOfDataFrom,
  type FetchedValues,
  type Source,
} from "./sources.ts";

/** From what was fetched to the data of the Secret: whole, or a failure that says where. */

export type Content =
  | { readonly kind: "data"; readonly data: ReadonlyMap<string, SecretValue> }
  /** Every source is gone from the provider; the failure is what that is where nothing may be deleted. */
  | { readonly kind: "gone"; readonly failure: Failure }
  | { readonly kind: "failure"; readonly failure: Failure; readonly retryAfterMs?: number | undefined };

/** https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size */
export const MOST_BYTES = 1024 * 1024;

type EntryResult =
  | { readonly kind: "keys"; readonly keys: ReadonlyMap<string, SecretValue> }
  | { readonly kind: "absent"; readonly failure: Failure }
  | { readonly kind: "failure"; readonly failure: Failure; readonly retryAfterMs?: number | undefined };

export function buildContent(spec: SecretSyncSpec, fetched: FetchedValues): Content {
  const data = new Map<string, SecretValue>();
  let absent: Failure | undefined;
  const entries = [
    // Later entries win, and data wins over dataFrom.
    ...(spec.dataFrom ?? []).map((entry, index) => ({
      entry,
      result: fromDataFrom(entry, sourceOfDataFrom(spec, entry, index), fetched),
    })),
    ...(spec.data ?? []).map((entry, index) => ({
      entry,
      result: fromData(entry, sourceOfData(spec, entry, index), fetched),
    })),
  ];
  for (const { entry, result } of entries) {
    if (result.kind === "failure") return result;
    if (result.kind === "absent") {
      if (!entry.optional) absent ??= result.failure;
      continue;
    }
    for (const [key, value] of result.keys) data.set(key, value);
  }
  if (absent) {
    const { deletionPolicy } = spec.target;
    const allGone = [...fetched.values()].every(({ kind }) => kind === "missing");
    if (deletionPolicy === "Delete" && allGone) return { kind: "gone", failure: absent };
    if (deletionPolicy !== "Merge" || data.size === 0) return { kind: "failure", failure: absent };
  }
  return sizeProblem(data) ?? { kind: "data", data };
}

function fromData(entry: DataEntry, source: Source, fetched: FetchedValues): EntryResult {
  const result = fetched.get(source.id);
  const fallback = entry.default === undefined ? undefined : SecretValue.fromText(entry.default);
  const absent = (failure: Failure): EntryResult =>
    fallback ? { kind: "keys", keys: new Map([[entry.secretKey, fallback]]) } : { kind: "absent", failure };
  if (result?.kind === "failed") return failed(source, result.failure, result.failure.retryAfterMs);
  if (result?.kind !== "found") return absent(notFound(source));
  const selected = selectValue(result.value, entry.remoteRef.property);
  if (!selected.ok) {
    return selected.problem.kind === "absent"
      ? absent(
          failure(
            source,
            "PropertyNotFound",
            `${selected.problem.message}; correct the property, or set optional or default`,
          ),
        )
      : invalid(source, selected.problem);
  }
  const decoded = decode(selected.value, entry.remoteRef.decodingStrategy);
  if (!decoded.ok) return invalid(source, decoded.problem);
  return { kind: "keys", keys: new Map([[entry.secretKey, decoded.value]]) };
}

function fromDataFrom(entry: DataFromEntry, source: Source, fetched: FetchedValues): EntryResult {
  const result = fetched.get(source.id);
  if (result?.kind === "failed") return failed(source, result.failure, result.failure.retryAfterMs);
  if (result === undefined || result.kind === "missing") return { kind: "absent", failure: notFound(source) };
  let named: ReadonlyMap<string, SecretValue>;
  if (result.kind === "found") {
    const members = selectMembers(result.value, entry.extract?.property);
    if (!members.ok) {
      return members.problem.kind === "absent"
        ? { kind: "absent", failure: failure(source, "PropertyNotFound", members.problem.message) }
        : invalid(source, members.problem);
    }
    named = members.value;
    // Half-done rotations leave such things behind; it must not look as if all keys were gone.
    if (named.size === 0) {
      const where = entry.extract?.property === undefined ? "the secret" : "the property";
      const message = `${where} is an empty object; fill it, or set optional`;
      return { kind: "absent", failure: failure(source, "PropertyNotFound", message) };
    }
  } else {
    named = new Map([...result.secrets].map(([name, { value }]) => [name, value]));
  }
  const strategy = entry.extract?.decodingStrategy ?? entry.find?.decodingStrategy ?? "None";
  const rewrite = newRewriter(entry.rewrite ?? []);
  const keys = new Map<string, SecretValue>();
  for (const [name, value] of named) {
    const rewriting = rewrite(name);
    if (!rewriting.ok) return invalid(source, { message: `${quote(name)} ${rewriting.problem.message}` });
    const rewritten = rewriting.value;
    // Names of remote secrets hold slashes, which no Secret key can; names of JSON members rarely need it.
    const key = entry.find ? rewritten.replaceAll(/[^-._a-zA-Z0-9]/g, "_") : rewritten;
    if (!isSecretKey(key)) {
      return invalid(source, {
        message: `${quote(name)} gives the key ${quote(key)}, which a Secret can't hold; add a rewrite`,
      });
    }
    if (keys.has(key)) {
      return invalid(source, {
        message: `two names give the key ${quote(key)}; add a rewrite that keeps them apart`,
      });
    }
    const decoded = decode(value, strategy);
    if (!decoded.ok) return invalid(source, { message: `${quote(name)} ${decoded.problem.message}` });
    keys.set(key, decoded.value);
  }
  return { kind: "keys", keys };
}

function sizeProblem(data: ReadonlyMap<string, SecretValue>): Content | undefined {
  let bytes = 0;
  for (const value of data.values()) bytes += value.length;
  if (bytes <= MOST_BYTES) return undefined;
  return {
    kind: "failure",
    failure: {
      reason: "TooLarge",
      message:
        "spec: the values together exceed the 1 MiB that a Secret can hold; split them over several SecretSyncs",
    },
  };
}

/** Names come from outside: shown short, and with every odd character visible. */
const quote = (name: string): string => JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);

const failure = (source: Source, reason: Failure["reason"], message: string): Failure => ({
  reason,
  message: `${source.field} (${describeSource(source)} from ${providerName(source.provider)}): ${message}`,
});

const notFound = (source: Source): Failure =>
  failure(
    source,
    "SecretNotFound",
    source.kind === "read"
      ? "the provider has no such secret or version; create it, or correct the key"
      : "nothing matches that this namespace may read; create such a secret, or correct path, name and tags",
  );

const invalid = (source: Source, { message }: Pick<PayloadProblem, "message">): EntryResult => ({
  kind: "failure",
  failure: failure(source, "InvalidValue", message),
});

const failed = (source: Source, cause: Failure, retryAfterMs: number | undefined): EntryResult => ({
  kind: "failure",
  failure: failure(source, cause.reason, cause.message),
  retryAfterMs,
});
