import { isSecretKey } from "../api/fields.ts";
import type { Failure } from "../api/reasons.ts";
import type { DataEntry, DataFromEntry } from "../api/secret-sync-sources.ts";
import type { SecretSyncSpec } from "../api/secret-sync.ts";
import type { ReadResult } from "../providers/contract.ts";
import { SecretValue } from "../providers/secret-value.ts";
import { decode } from "./decode.ts";
import { Payloads } from "./payload.ts";
import type { PayloadProblem, Result } from "./result.ts";
import { newRewriter } from "./rewrite.ts";
import {
  describeSource,
  providerName,
  sourceOfData,
  sourceOfDataFrom,
  type FetchedValues,
  type FindResult,
  type Source,
  type FoundSecret,
} from "./sources.ts";
import { SecretData } from "./secret-data.ts";
import type { EntryOutcome } from "./seen.ts";
import { quoted } from "./text.ts";
import { runToEnd, Work, type Steps } from "./work.ts";

/** From what was fetched to the data of the Secret: whole, or a failure that says where. */

export type Content =
  | {
      readonly kind: "data";
      readonly data: ReadonlyMap<string, SecretValue>;
      /** Of keys that a find gave: the name of the remote secret. */
      readonly origins: ReadonlyMap<string, string>;
      readonly entries: readonly EntryOutcome[];
      /** Present when no key is left, as every source is gone: what it is where nothing was written before. */
      readonly emptied?: Failure;
    }
  /** Every source is gone from the provider; the failure is what that is where nothing may be deleted. */
  | { readonly kind: "gone"; readonly failure: Failure; readonly entries: readonly EntryOutcome[] }
  | { readonly kind: "failure"; readonly failure: Failure; readonly retryAfterMs?: number | undefined };

type Outcome =
  | { readonly kind: "done" | "defaulted" }
  | { readonly kind: "absent"; readonly failure: Failure }
  | { readonly kind: "failure"; readonly failure: Failure; readonly retryAfterMs?: number | undefined };

/** What the entries share while the data grows. */
interface Build {
  readonly fetched: FetchedValues;
  readonly work: Work;
  readonly payloads: Payloads;
  readonly data: SecretData;
}

export const buildContent = (spec: SecretSyncSpec, fetched: FetchedValues): Content =>
  runToEnd(contentSteps(spec, fetched));

/** The first failure ends it. Later entries win, and data wins over dataFrom. */
export function* contentSteps(
  spec: SecretSyncSpec,
  fetched: FetchedValues,
  work = new Work(),
): Steps<Content> {
  const build: Build = { fetched, work, payloads: new Payloads(work), data: new SecretData() };
  const entries: EntryOutcome[] = [];
  for (const [index, entry] of (spec.dataFrom ?? []).entries()) {
    const source = sourceOfDataFrom(spec, entry, index);
    const outcome = yield* fromDataFrom(build, entry, source);
    if (outcome.kind === "failure") return outcome;
    entries.push({
      ...toldOf(source, outcome, fetched, entry),
      property: entry.extract?.property,
      key: undefined,
    });
  }
  for (const [index, entry] of (spec.data ?? []).entries()) {
    const source = sourceOfData(spec, entry, index);
    const outcome = inBounds(build, source) ?? (yield* fromData(build, entry, source));
    if (outcome.kind === "failure") return outcome;
    entries.push({
      ...toldOf(source, outcome, fetched, entry),
      property: entry.remoteRef.property,
      key: entry.secretKey,
    });
    if (work.isTimeToPause()) yield;
  }
  const problem = build.data.problem();
  if (problem) return { kind: "failure", failure: problem };
  const { values: data, origins } = build.data;
  const absent = entries.find((entry) => entry.absent)?.absent;
  if (absent) {
    const { deletionPolicy } = spec.target;
    const allGone = [...fetched.values()].every(isGone);
    if (deletionPolicy === "Delete" && allGone) return { kind: "gone", failure: absent, entries };
    // What is there and gives nothing may be half of a rotation.
    if (deletionPolicy !== "Merge" || (data.size === 0 && !allGone))
      return { kind: "failure", failure: absent };
    if (data.size === 0) return { kind: "data", data, origins, entries, emptied: absent };
  }
  return { kind: "data", data, origins, entries };
}

const toldOf = (
  source: Source,
  outcome: Exclude<Outcome, { kind: "failure" }>,
  fetched: FetchedValues,
  { optional }: { readonly optional?: boolean | undefined },
): Pick<EntryOutcome, "source" | "place" | "gives" | "absent"> => {
  const result = fetched.get(source.id);
  return {
    source,
    place: result && result.kind !== "failed" ? result.place : undefined,
    gives: outcome.kind === "done",
    absent: outcome.kind === "absent" && !optional ? outcome.failure : undefined,
  };
};

const isGone = (result: ReadResult | FindResult): boolean =>
  result.kind === "missing" || (result.kind === "matches" && result.secrets.size === 0);

function inBounds({ data, work }: Build, source: Source): Outcome | undefined {
  const problem = data.problem();
  if (problem) return { kind: "failure", failure: problem };
  if (!work.isSpent) return undefined;
  const message = "the entries up to this one take too much work; simplify rewrites, or split the SecretSync";
  return { kind: "failure", failure: failure(source, "TooLarge", message) };
}

function* fromData(
  { fetched, payloads, data, work }: Build,
  entry: DataEntry,
  source: Source,
): Steps<Outcome> {
  const result = fetched.get(source.id);
  const absent = (why: Failure): Outcome => {
    if (entry.default === undefined) return { kind: "absent", failure: why };
    data.set(entry.secretKey, SecretValue.fromText(entry.default));
    return { kind: "defaulted" };
  };
  if (result?.kind === "failed") return failed(source, result.failure, result.failure.retryAfterMs);
  if (result?.kind !== "found") return absent(notFound(source, result));
  const { property, decodingStrategy } = entry.remoteRef;
  if (property !== undefined) {
    payloads.parse(result.value);
    if (work.isTimeToPause()) yield;
  }
  const selected = payloads.select(result.value, property);
  if (!selected.ok) {
    if (selected.problem.kind !== "absent") return invalid(source, selected.problem);
    const message = `${selected.problem.message}; correct the property, or set optional or default`;
    return absent(failure(source, "PropertyNotFound", message));
  }
  if (work.isTimeToPause()) yield;
  work.spend(selected.value.size);
  const decoded = decode(selected.value, decodingStrategy);
  if (!decoded.ok) return invalid(source, decoded.problem);
  data.set(entry.secretKey, decoded.value);
  return done;
}

function* fromDataFrom(build: Build, entry: DataFromEntry, source: Source): Steps<Outcome> {
  const { data, payloads, work } = build;
  const result = build.fetched.get(source.id);
  if (result?.kind === "found") {
    payloads.parse(result.value);
    if (work.isTimeToPause()) yield;
  }
  const members = membersOf(build, entry, source);
  if ("kind" in members) return members;
  const strategy = entry.extract?.decodingStrategy ?? entry.find?.decodingStrategy ?? "None";
  const keyOf = newKeyNamer(entry, work);
  const seen = new Set<string>();
  for (const [name, value] of members.named) {
    const problem = inBounds(build, source);
    if (problem) return problem;
    if (work.isTimeToPause()) yield;
    // Names of members are a part of the secret, unless a Secret's key could have the name.
    const who = entry.find || isSecretKey(name) ? quoted(name) : `member ${seen.size + 1}`;
    const named = keyOf(name);
    if (!named.ok) return invalid(source, { message: `${who} ${named.problem.message}` });
    const key = named.value;
    if (!isSecretKey(key)) return invalid(source, { message: `${who} gives ${badKey(key, name, entry)}` });
    if (seen.has(key)) {
      const message = `two names give the key ${quoted(key)}; add a rewrite that keeps them apart`;
      return invalid(source, { message });
    }
    seen.add(key);
    const decoded = value.ok ? decode(value.value, strategy) : value;
    work.spend(name.length + (decoded.ok ? decoded.value.size : 0));
    if (!decoded.ok) return invalid(source, { message: `${who} ${decoded.problem.message}` });
    data.set(key, decoded.value, entry.find ? name : undefined);
  }
  // Half-done rotations leave such things behind; it must not look as if all keys were gone.
  if (seen.size === 0) {
    const where = entry.extract?.property === undefined ? "the secret" : "the property";
    const message = `${where} is an object without values; fill it, or set optional`;
    return { kind: "absent", failure: failure(source, "PropertyNotFound", message) };
  }
  return done;
}

/** Of a member's own name nothing is shown, of what a rewrite makes only what the spec says. */
function badKey(key: string, name: string, { find, rewrite = [] }: DataFromEntry): string {
  const isRewritten = rewrite.length > 0;
  const told = isRewritten && (find || isSecretKey(name)) ? ` (${quoted(key)})` : "";
  const advice = isRewritten ? "correct the rewrite, in whose target $1 is a group" : "add a rewrite";
  return `a key which a Secret can't hold${told}, as its keys are of letters, digits, -, _ and .; ${advice}`;
}

/** Each is made when it is taken, so that whoever takes them can let others have a turn between. */
function* wholes(
  secrets: ReadonlyMap<string, FoundSecret>,
  payloads: Payloads,
): Iterable<readonly [string, Result<SecretValue>]> {
  for (const [name, { value }] of secrets) yield [name, payloads.select(value, undefined)];
}

function membersOf(
  { fetched, payloads }: Build,
  entry: DataFromEntry,
  source: Source,
): Outcome | { readonly named: Iterable<readonly [string, Result<SecretValue>]> } {
  const result = fetched.get(source.id);
  if (result?.kind === "failed") return failed(source, result.failure, result.failure.retryAfterMs);
  if (result === undefined || isGone(result)) return { kind: "absent", failure: notFound(source, result) };
  if (result.kind === "matches") return { named: wholes(result.secrets, payloads) };
  const members = payloads.members((result as { value: SecretValue }).value, entry.extract?.property);
  if (members.ok) return { named: members.value };
  if (members.problem.kind !== "absent") return invalid(source, members.problem);
  const message = `${members.problem.message}; correct the property, or set optional`;
  return { kind: "absent", failure: failure(source, "PropertyNotFound", message) };
}

/** The key that a name gives: by the entry's rewrites; for a find, what a key can't hold becomes _. */
export function newKeyNamer(entry: DataFromEntry, work: Work): (name: string) => Result<string> {
  const rewrite = newRewriter(entry.rewrite ?? [], work);
  return (name) => {
    const rewritten = rewrite(name);
    // Names of remote secrets hold slashes, which no Secret key can; names of JSON members rarely need it.
    return rewritten.ok && entry.find
      ? { ok: true, value: rewritten.value.replaceAll(/[^-._a-zA-Z0-9]/g, "_") }
      : rewritten;
  };
}

const done = { kind: "done" } as const;

const failure = (source: Source, reason: Failure["reason"], message: string): Failure => ({
  reason,
  message: `${source.field} (${describeSource(source)} from ${providerName(source.provider)}): ${message}`,
});

function notFound(source: Source, result: ReadResult | FindResult | undefined): Failure {
  if (source.kind === "find") {
    const message =
      "nothing matches that this namespace may read; create such a secret, or correct path, name and tags";
    return failure(source, "SecretNotFound", message);
  }
  const { version, versionStage } = source.ref;
  const asked = [
    ...(result?.kind === "missing" && result.place ? [`in ${result.place}`] : []),
    ...(version ? [`version ${quoted(version)}`] : []),
    ...(versionStage ? [`versionStage ${quoted(versionStage)}`] : []),
  ];
  const where = asked.length > 0 ? `; it was looked for ${asked.join(", ")}` : "";
  const message = `the provider has no such secret or version; create it, or correct the key${where}`;
  return failure(source, "SecretNotFound", message);
}

const invalid = (
  source: Source,
  { kind = "invalid", message }: Pick<PayloadProblem, "message"> & Partial<PayloadProblem>,
): Outcome => ({
  kind: "failure",
  failure: failure(source, kind === "large" ? "TooLarge" : "InvalidValue", message),
});

const failed = (source: Source, cause: Failure, retryAfterMs: number | undefined): Outcome => ({
  kind: "failure",
  failure: failure(source, cause.reason, cause.message),
  retryAfterMs,
});
