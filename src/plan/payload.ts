import { compilePattern } from "../api/regular-expression.ts";
import type { DecodingStrategy } from "../api/secret-sync-sources.ts";
import { SecretValue } from "../providers/secret-value.ts";

/** From a provider's payload to values: properties, members and decoding. Numbers keep their digits. */

/** A problem with a payload, in words that never quote the payload. */
export interface PayloadProblem {
  readonly kind: "invalid" | "absent";
  readonly message: string;
}
export type Result<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: PayloadProblem };

const ok = <T>(value: T): Result<T> => ({ ok: true, value });
const invalid = <T>(message: string): Result<T> => ({ ok: false, problem: { kind: "invalid", message } });
const absent = <T>(message: string): Result<T> => ({ ok: false, problem: { kind: "absent", message } });

/** Deeper JSON is refused: it is an attack or a mistake, and recursion over it could exhaust the stack. */
const DEEPEST = 64;

/** A number as it was written. JSON.rawJSON prints it unchanged: 2^53+1 stays itself. */
class NumberText {
  readonly source: string;
  constructor(source: string) {
    this.source = source;
  }
}
type Json = string | boolean | null | NumberText | readonly Json[] | JsonObject;
interface JsonObject {
  readonly [name: string]: Json;
}

/** One value out of a payload: the whole of it, or a property of its JSON. */
export function selectValue(payload: SecretValue, property: string | undefined): Result<SecretValue> {
  if (property === undefined) return ok(payload);
  const parsed = parseJson(payload);
  if (!parsed.ok) return parsed;
  const found = propertyOf(parsed.value, property);
  return found === undefined ? absent(`has no property ${JSON.stringify(property)}`) : ok(toValue(found));
}

/** Every member of a JSON object, or of the object at a property. */
export function selectMembers(
  payload: SecretValue,
  property: string | undefined,
): Result<ReadonlyMap<string, SecretValue>> {
  const parsed = parseJson(payload);
  if (!parsed.ok) return parsed;
  const found = property === undefined ? parsed.value : propertyOf(parsed.value, property);
  if (found === undefined)
    return absent(`has no property ${JSON.stringify(property)}; correct the property, or set optional`);
  if (!isObject(found))
    return invalid("is not a JSON object, so it has no members to extract; name single keys in data");
  return ok(new Map(Object.entries(found).map(([name, value]) => [name, toValue(value)])));
}

export function decode(value: SecretValue, strategy: DecodingStrategy): Result<SecretValue> {
  if (strategy === "None") return ok(value);
  const text = value.reveal().toString("latin1").trim();
  const url = strategy === "Base64URL" || (strategy === "Auto" && /[-_]/.test(text));
  const form = url ? /^[-_A-Za-z0-9]*={0,2}$/ : /^[+/A-Za-z0-9]*={0,2}$/;
  const padded = text.length % 4 === 0 || (!text.includes("=") && text.length % 4 !== 1);
  if (form.test(text) && padded) return ok(new SecretValue(Buffer.from(text, url ? "base64url" : "base64")));
  return strategy === "Auto"
    ? ok(value)
    : invalid(`is not valid ${strategy}; correct it, or choose another decodingStrategy`);
}

export interface RewriteStep {
  readonly regexp: { readonly source: string; readonly target: string };
}

/** No name that becomes a key needs more; a step that repeats its match would soon fill the memory. */
const LONGEST_NAME = 2_048;
/** Characters of names times characters of patterns: what that many names take is a fraction of a second. */
const MOST_WORK = 20_000_000;

/** Applies the steps to one name after the other; a payload may have ten thousands of them. */
export function newRewriter(steps: readonly RewriteStep[]): (name: string) => Result<string> {
  const compiled = steps.map(({ regexp }) => ({
    pattern: compilePattern(regexp.source),
    target: regexp.target,
    weight: regexp.source.length,
  }));
  let work = 0;
  return (name) => {
    let text = name;
    for (const { pattern, target, weight } of compiled) {
      if (text.length > LONGEST_NAME)
        return invalid(`is longer than ${LONGEST_NAME} characters, or a rewrite makes it so`);
      work += text.length * weight;
      if (work > MOST_WORK)
        return invalid("and the names before it take too much work to rewrite; simplify the rewrite");
      text = pattern?.replace(text, target) ?? text;
    }
    return ok(text);
  };
}

function parseJson(payload: SecretValue): Result<Json> {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(payload.reveal());
  } catch {
    return invalid(
      "is not valid UTF-8, so it can't be read as JSON; read it whole, by data without property",
    );
  }
  const { depth, hasNumbers } = scan(text);
  if (depth > DEEPEST) return invalid(`is nested more than ${DEEPEST} levels deep; flatten it`);
  try {
    return ok((hasNumbers ? JSON.parse(text, keepNumbers) : JSON.parse(text)) as Json);
  } catch {
    // The parser's own message would quote the payload.
    return invalid("is not valid JSON; correct it, or read it whole, by data without property");
  }
}

/** https://tc39.es/proposal-json-parse-with-source/ */
function keepNumbers(_name: string, value: unknown, context?: { source?: string }): unknown {
  return typeof value === "number" && context?.source !== undefined ? new NumberText(context.source) : value;
}

/** Nesting depth, and whether there are numbers to keep, without recursion and without parsing. */
function scan(text: string): { readonly depth: number; readonly hasNumbers: boolean } {
  let depth = 0;
  let deepest = 0;
  let hasNumbers = false;
  let quoted = false;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (quoted) {
      if (code === 0x5c) index++;
      else if (code === 0x22) quoted = false;
    } else if (code === 0x22) quoted = true;
    else if (code === 0x7b || code === 0x5b) deepest = Math.max(deepest, ++depth);
    else if (code === 0x7d || code === 0x5d) depth--;
    else if (code >= 0x30 && code <= 0x39) hasNumbers = true;
  }
  return { depth: deepest, hasNumbers };
}

const isObject = (json: Json): json is JsonObject =>
  typeof json === "object" && json !== null && !Array.isArray(json) && !(json instanceof NumberText);

/** A member with exactly the path's name comes first; otherwise the part before the first dot leads on. */
function propertyOf(json: Json, path: string): Json | undefined {
  if (isObject(json) && Object.hasOwn(json, path)) return json[path];
  const dot = path.indexOf(".");
  const head = dot < 0 ? path : path.slice(0, dot);
  const next = memberOf(json, head);
  return dot < 0 || next === undefined ? next : propertyOf(next, path.slice(dot + 1));
}

function memberOf(json: Json, name: string): Json | undefined {
  if (Array.isArray(json))
    return /^\d{1,6}$/.test(name) ? (json as readonly Json[])[Number(name)] : undefined;
  return isObject(json) && Object.hasOwn(json, name) ? json[name] : undefined;
}

/** Strings as they are, everything else as its JSON text. */
function toValue(json: Json): SecretValue {
  return SecretValue.fromText(typeof json === "string" ? json : stringify(json));
}

function stringify(json: Json): string {
  return JSON.stringify(json, (_name, value: unknown) =>
    value instanceof NumberText ? rawJSON(value.source) : value,
  );
}

const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };
