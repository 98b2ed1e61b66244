import { createHash } from "node:crypto";
import { compilePattern } from "../api/regular-expression.ts";
import type { DecodingStrategy } from "../api/secret-sync-sources.ts";
import { SecretValue } from "../providers/secret-value.ts";
import { quoted } from "./text.ts";
import { MOST_AT_ONCE, type Work } from "./work.ts";

/** From a provider's payload to values: properties, members and decoding. Numbers keep their digits. */

/** A problem with a payload, in words that never quote the payload. */
export interface PayloadProblem {
  readonly kind: "invalid" | "absent" | "large";
  readonly message: string;
}
export type Result<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: PayloadProblem };

const ok = <T>(value: T): Result<T> => ({ ok: true, value });
const invalid = <T>(message: string): Result<T> => ({ ok: false, problem: { kind: "invalid", message } });
const large = <T>(message: string): Result<T> => ({ ok: false, problem: { kind: "large", message } });
const absent = <T>(message: string): Result<T> => ({ ok: false, problem: { kind: "absent", message } });

/** Deeper JSON is refused: it is an attack or a mistake, and recursion over it could exhaust the stack. */
const DEEPEST = 64;

type Json = string | number | boolean | null | readonly Json[] | JsonObject;
interface JsonObject {
  readonly [name: string]: Json;
}

/** Parsed once, however many entries read it. */
interface Parsed {
  readonly json: Json;
  /** Begins each text that stands for a number whose digits a JavaScript number would change. */
  readonly mark: string | undefined;
}

/** The payloads of one SecretSync: each is parsed once, and each property of it is made a value once. */
export class Payloads {
  readonly #work: Work;
  readonly #parsed = new Map<SecretValue, Result<Parsed>>();
  readonly #selected = new Map<SecretValue, Map<string, Result<SecretValue>>>();

  constructor(work: Work) {
    this.#work = work;
  }

  /** May be asked for before the rest, by who wants to let others have a turn between. */
  parse(payload: SecretValue): void {
    this.#parse(payload);
  }

  /** One value out of a payload: the whole of it, or a property of its JSON. */
  select(payload: SecretValue, property: string | undefined): Result<SecretValue> {
    if (property === undefined) return ok(payload);
    const known = this.#selected.get(payload)?.get(property);
    if (known) return known;
    const result = this.#select(payload, property);
    const selected = this.#selected.get(payload) ?? new Map<string, Result<SecretValue>>();
    this.#selected.set(payload, selected.set(property, result));
    return result;
  }

  /** Every member of a JSON object, or of the object at a property. */
  members(
    payload: SecretValue,
    property: string | undefined,
  ): Result<Iterable<readonly [string, SecretValue]>> {
    const parsed = this.#parse(payload);
    if (!parsed.ok) return parsed;
    const { json, mark } = parsed.value;
    const found = property === undefined ? json : propertyOf(json, property);
    if (found === undefined)
      return absent(`has no property ${quoted(property ?? "")}; correct the property, or set optional`);
    if (!isObject(found))
      return invalid("is not a JSON object, so it has no members to extract; name single keys in data");
    return ok(this.#membersOf(found, mark));
  }

  *#membersOf(found: JsonObject, mark: string | undefined): Iterable<readonly [string, SecretValue]> {
    for (const name of Object.keys(found)) yield [name, this.#toValue(found[name] ?? null, mark)];
  }

  #select(payload: SecretValue, property: string): Result<SecretValue> {
    const parsed = this.#parse(payload);
    if (!parsed.ok) return parsed;
    const { json, mark } = parsed.value;
    const found = propertyOf(json, property);
    return found === undefined
      ? absent(`has no property ${quoted(property)}`)
      : ok(this.#toValue(found, mark));
  }

  #parse(payload: SecretValue): Result<Parsed> {
    const known = this.#parsed.get(payload);
    if (known) return known;
    this.#work.spend(payload.length);
    const result = parseJson(payload);
    this.#parsed.set(payload, result);
    return result;
  }

  /** Strings as they are, everything else as its JSON text, numbers with the digits that they were written with. */
  #toValue(json: Json, mark: string | undefined): SecretValue {
    let text = typeof json === "string" ? json : JSON.stringify(json);
    if (mark !== undefined)
      text = text.startsWith(mark) ? text.slice(mark.length) : text.replaceAll(markedNumber(mark), "$1");
    this.#work.spend(text.length);
    return SecretValue.fromText(text);
  }
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

/** Applies the steps to one name after the other. */
export function newRewriter(steps: readonly RewriteStep[], work: Work): (name: string) => Result<string> {
  const replacers = steps.map(({ regexp }) => compilePattern(regexp.source)?.replacer(regexp.target));
  return (name) => {
    let text = name;
    for (const replace of replacers) {
      if (text.length > LONGEST_NAME)
        return invalid(`is longer than ${LONGEST_NAME} characters, or a rewrite makes it so`);
      const replaced = replace?.(text, MOST_AT_ONCE);
      if (!replaced) return invalid("takes too much work to rewrite; simplify the rewrite");
      work.spend(replaced.work);
      text = replaced.text;
    }
    return ok(text);
  };
}

/** Bytes of JSON: parsing more would take longer than a turn of the event loop may. AWS holds 64 KiB. */
const MOST_JSON = 512 * 1024;

function parseJson(payload: SecretValue): Result<Parsed> {
  if (payload.length > MOST_JSON)
    return large(
      `is larger than ${MOST_JSON / 1024} KiB, so it can't be read as JSON; split it, or read it whole, by data without property`,
    );
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(payload.reveal());
  } catch {
    return invalid(
      "is not valid UTF-8, so it can't be read as JSON; read it whole, by data without property",
    );
  }
  const { depth, numbers } = scan(text);
  if (depth > DEEPEST) return invalid(`is nested more than ${DEEPEST} levels deep; flatten it`);
  if (!numbers)
    return invalid(
      `holds more than ${MOST_EXACT_NUMBERS} numbers with fractions, exponents or very many digits; write them as strings, or read it whole`,
    );
  const { marked, mark } = markNumbers(text, numbers);
  try {
    return ok({ json: JSON.parse(marked) as Json, mark });
  } catch {
    // The parser's own message would quote the payload.
    return invalid("is not valid JSON; correct it, or read it whole, by data without property");
  }
}

/** Numbers that aren't plain integers; more take more time than a turn of the event loop may. */
const MOST_EXACT_NUMBERS = 20_000;

interface NumberAt {
  readonly start: number;
  readonly end: number;
}

/** A number that is a value: https://www.rfc-editor.org/rfc/rfc8259#section-6 */
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?(?![-+.\w])(?!\s*:)/y;
/** Integers of so many digits stay what they are as JavaScript numbers. */
const SAFE_DIGITS = 15;

/** Nesting depth, and the numbers whose digits JSON.parse would change, without recursion and without parsing. */
function scan(text: string): {
  readonly depth: number;
  /** undefined: too many. */
  readonly numbers: readonly NumberAt[] | undefined;
} {
  const numbers: NumberAt[] = [];
  let lookedAt = 0;
  let depth = 0;
  let deepest = 0;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === 0x22) index = endOfString(text, index);
    else if (code === 0x7b || code === 0x5b) deepest = Math.max(deepest, ++depth);
    else if (code === 0x7d || code === 0x5d) depth--;
    else if (isDigit(code) || code === 0x2d) {
      const end = endOfNumber(text, index);
      if (!isPlainInteger(text, index, end) && ++lookedAt <= MOST_EXACT_NUMBERS) {
        NUMBER.lastIndex = index;
        const number = NUMBER.exec(text)?.[0];
        if (number?.length === end - index && String(Number(number)) !== number)
          numbers.push({ start: index, end });
      }
      index = end - 1;
    }
  }
  return { depth: deepest, numbers: lookedAt > MOST_EXACT_NUMBERS ? undefined : numbers };
}

const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39;

/** Of the closing quote, or of the text where there is none. */
function endOfString(text: string, start: number): number {
  let index = start + 1;
  for (; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === 0x5c) index++;
    else if (code === 0x22) break;
  }
  return index;
}

function endOfNumber(text: string, start: number): number {
  let end = start + 1;
  for (; end < text.length; end++) {
    const code = text.charCodeAt(end);
    const isPart = isDigit(code) || code === 0x2e || code === 0x2b || code === 0x2d || (code | 0x20) === 0x65;
    if (!isPart) break;
  }
  return end;
}

function isPlainInteger(text: string, start: number, end: number): boolean {
  if (end - start > SAFE_DIGITS || (text.charCodeAt(start) === 0x30 && end - start > 1)) return false;
  for (let index = start; index < end; index++) if (!isDigit(text.charCodeAt(index))) return false;
  return true;
}

/**
 * Numbers whose digits JSON.parse would change, 2^53+1 for one or 1.50, become texts that begin with a mark which the
 * payload can't hold: it depends on all of it. JSON.parse's own way to keep them, a reviver, takes fifty times as long.
 */
function markNumbers(
  text: string,
  numbers: readonly NumberAt[],
): { readonly marked: string; readonly mark: string | undefined } {
  if (numbers.length === 0) return { marked: text, mark: undefined };
  const mark = `\ue000${createHash("sha256").update(text).digest("base64url").slice(0, 12)}`;
  const parts: string[] = [];
  let copiedTo = 0;
  for (const { start, end } of numbers) {
    parts.push(text.slice(copiedTo, start), '"', mark, text.slice(start, end), '"');
    copiedTo = end;
  }
  parts.push(text.slice(copiedTo));
  return { marked: parts.join(""), mark };
}

const markedNumber = (mark: string): RegExp => new RegExp(`"${mark}([-+.eE0-9]+)"`, "g");

const isObject = (json: Json): json is JsonObject =>
  typeof json === "object" && json !== null && !Array.isArray(json);

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
