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
  ): Result<Iterable<readonly [string, Result<SecretValue>]>> {
    const parsed = this.#parse(payload);
    if (!parsed.ok) return parsed;
    const found = property === undefined ? ok(parsed.value.json) : this.#find(parsed.value, property);
    if (!found.ok) return found;
    if (!isObject(found.value))
      return invalid("is not a JSON object, so it has no members to extract; name single keys in data");
    return ok(this.#membersOf(found.value, parsed.value));
  }

  /** Members that are null count as absent. */
  *#membersOf(found: JsonObject, parsed: Parsed): Iterable<readonly [string, Result<SecretValue>]> {
    for (const [marked, member] of Object.entries(found))
      if (member !== null) yield [unmarked(marked, parsed.mark), this.#toValue(member, parsed)];
  }

  #select(payload: SecretValue, property: string): Result<SecretValue> {
    const parsed = this.#parse(payload);
    if (!parsed.ok) return parsed;
    const found = this.#find(parsed.value, property);
    return found.ok ? this.#toValue(found.value, parsed.value) : found;
  }

  #find({ json, mark }: Parsed, property: string): Result<Json> {
    const search = new PropertySearch(property, mark, this.#work);
    const found = search.in(json);
    if (this.#work.isSpent) return large("takes too much work to search; split the SecretSync");
    if (found !== undefined && found !== null) return ok(found);
    return absent(
      search.metNull ? `holds null at property ${quoted(property)}` : `has no property ${quoted(property)}`,
    );
  }

  #parse(payload: SecretValue): Result<Parsed> {
    const known = this.#parsed.get(payload);
    if (known) return known;
    this.#work.spend(payload.length);
    const result = parseJson(payload);
    this.#parsed.set(payload, result);
    return result;
  }

  /**
   * Strings as they are, everything else as its JSON text: numbers with the digits that they were written with, members in
   * their order.
   */
  #toValue(json: Json, { mark }: Parsed): Result<SecretValue> {
    let text = typeof json === "string" ? json : JSON.stringify(json);
    if (mark !== undefined) text = text.startsWith(mark) ? text.slice(mark.length) : withoutMarks(text, mark);
    this.#work.spend(text.length);
    return text.isWellFormed()
      ? ok(SecretValue.fromText(text))
      : invalid("holds half of a surrogate pair, which no UTF-8 text can; correct the escape");
  }
}

/**
 * Base64 as RFC 4648 has it, in either alphabet, padded or not, and with the line breaks that encoders put in
 * (https://www.rfc-editor.org/rfc/rfc4648#section-3.1). Auto decodes what isPlainlyBase64() says, and keeps anything else.
 */
export function decode(value: SecretValue, strategy: DecodingStrategy): Result<SecretValue> {
  if (strategy === "None") return ok(value);
  const written = value.reveal().toString("latin1").trim();
  const text = written.replaceAll(/[ \t]*[\r\n]+[ \t]*/g, "");
  const url = strategy === "Base64URL" || (strategy === "Auto" && /[-_]/.test(text));
  const form = url ? /^[-_A-Za-z0-9]*={0,2}$/ : /^[+/A-Za-z0-9]*={0,2}$/;
  const padded = text.length % 4 === 0 || (!text.includes("=") && text.length % 4 !== 1);
  if (form.test(text) && padded) {
    const bytes = Buffer.from(text, url ? "base64url" : "base64");
    return ok(strategy !== "Auto" || isPlainlyBase64(text, bytes) ? new SecretValue(bytes) : value);
  }
  return strategy === "Auto"
    ? ok(value)
    : invalid(`is not valid ${strategy}; correct it, or choose another decodingStrategy`);
}

/** Unpadded; a password or access key of letters and digits is shorter, as a rule. */
const PLAIN_LENGTH = 64;

/** Many words and numbers are valid Base64, too, and no bytes that anybody wants: so it must come out as text, or look like it. */
function isPlainlyBase64(text: string, bytes: Buffer): boolean {
  if (isText(bytes) || text.endsWith("=")) return true;
  return text.length >= PLAIN_LENGTH && /[a-z]/.test(text) && /[A-Z]/.test(text) && /\d/.test(text);
}

/** UTF-8 without control characters but tabs and line breaks. */
function isText(bytes: Buffer): boolean {
  const text = textOf(bytes);
  return text !== undefined && text !== "" && !/[^\P{Cc}\t\r\n]/u.test(text);
}

/** undefined for what is no UTF-8. */
function textOf(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
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
  const text = textOf(payload.reveal());
  if (text === undefined)
    return invalid(
      "is not valid UTF-8, so it can't be read as JSON; read it whole, by data without property",
    );
  const { depth, tokens } = scan(text);
  if (depth > DEEPEST) return invalid(`is nested more than ${DEEPEST} levels deep; flatten it`);
  if (!tokens)
    return invalid(
      `holds more than ${MOST_EXACT} numbers with fractions, exponents or very many digits, and names that are numbers; write them otherwise, or read it whole`,
    );
  const { marked, mark } = markTokens(text, tokens);
  try {
    return ok({ json: JSON.parse(marked) as Json, mark });
  } catch {
    // The parser's own message would quote the payload.
    return invalid("is not valid JSON; correct it, or read it whole, by data without property");
  }
}

/** Numbers that aren't plain integers, and names that are numbers; more take more time than a turn of the event loop may. */
const MOST_EXACT = 20_000;

/** A number, or what is between the quotes of a name. */
interface Token {
  readonly start: number;
  readonly end: number;
  readonly isName: boolean;
}

/** A number that is a value: https://www.rfc-editor.org/rfc/rfc8259#section-6 */
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?(?![-+.\w])(?!\s*:)/y;
/** Integers of so many digits stay what they are as JavaScript numbers. */
const SAFE_DIGITS = 15;
/** A name that JavaScript objects put in front of others: https://tc39.es/ecma262/#array-index */
const NUMBER_LIKE = /^(?:0|[1-9]\d{0,9})$/;
const COLON = /\s*:/y;

/** Nesting depth, and what JSON.parse would change: digits of numbers, and the place of number-like names. No recursion, no parsing. */
function scan(text: string): {
  readonly depth: number;
  /** undefined: too many. */
  readonly tokens: readonly Token[] | undefined;
} {
  const tokens: Token[] = [];
  let lookedAt = 0;
  let depth = 0;
  let deepest = 0;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === 0x22) {
      const end = endOfString(text, index);
      if (
        isDigit(text.charCodeAt(index + 1)) &&
        isNumberLikeName(text, index, end) &&
        ++lookedAt <= MOST_EXACT
      )
        tokens.push({ start: index + 1, end, isName: true });
      index = end;
    } else if (code === 0x7b || code === 0x5b) deepest = Math.max(deepest, ++depth);
    else if (code === 0x7d || code === 0x5d) depth--;
    else if (isDigit(code) || code === 0x2d) {
      const end = endOfNumber(text, index);
      if (!isPlainInteger(text, index, end) && ++lookedAt <= MOST_EXACT) {
        NUMBER.lastIndex = index;
        const number = NUMBER.exec(text)?.[0];
        if (number?.length === end - index && String(Number(number)) !== number)
          tokens.push({ start: index, end, isName: false });
      }
      index = end - 1;
    }
  }
  return { depth: deepest, tokens: lookedAt > MOST_EXACT ? undefined : tokens };
}

/** `start` and `end`: of its quotes. */
function isNumberLikeName(text: string, start: number, end: number): boolean {
  if (end - start > 11 || !NUMBER_LIKE.test(text.slice(start + 1, end))) return false;
  COLON.lastIndex = end + 1;
  return COLON.test(text);
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
 * Names that are numbers get the mark, too, since objects would put them first.
 */
function markTokens(
  text: string,
  tokens: readonly Token[],
): { readonly marked: string; readonly mark: string | undefined } {
  if (tokens.length === 0) return { marked: text, mark: undefined };
  const mark = `\ue000${createHash("sha256").update(text).digest("base64url").slice(0, 12)}`;
  const parts: string[] = [];
  let copiedTo = 0;
  for (const { start, end, isName } of tokens) {
    const quote = isName ? "" : '"';
    parts.push(text.slice(copiedTo, start), quote, mark, text.slice(start, end), quote);
    copiedTo = end;
  }
  parts.push(text.slice(copiedTo));
  return { marked: parts.join(""), mark };
}

const withoutMarks = (text: string, mark: string): string =>
  text.replaceAll(new RegExp(`"${mark}([-+.eE0-9]+)"(:?)`, "g"), (_all, written: string, colon: string) =>
    colon === "" ? written : `"${written}":`,
  );

const unmarked = (name: string, mark: string | undefined): string =>
  mark !== undefined && name.startsWith(mark) ? name.slice(mark.length) : name;

const isObject = (json: Json): json is JsonObject =>
  typeof json === "object" && json !== null && !Array.isArray(json);

/** Units of Work for a look at a name, beside its length. */
const WORK_OF_A_LOOK = 20;

/**
 * The value at a path such as auths.registry.example.com.token: at each step the longest name is tried first, and shorter ones
 * where it leads nowhere. `\.` is a dot that separates nothing. What is null isn't there.
 */
class PropertySearch {
  /** Between dots that separate. */
  readonly #parts: readonly string[];
  readonly #mark: string | undefined;
  readonly #work: Work;
  metNull = false;

  constructor(path: string, mark: string | undefined, work: Work) {
    this.#parts = path.split(/(?<!\\)\./);
    this.#mark = mark;
    this.#work = work;
  }

  in(json: Json, from = 0): Json | undefined {
    if (from === this.#parts.length) {
      if (json === null) this.metNull = true;
      return json ?? undefined;
    }
    const longest = isObject(json) ? this.#parts.length : from + 1;
    for (let to = longest; to > from; to--) {
      const name = this.#parts.slice(from, to).join(".");
      this.#work.spend(WORK_OF_A_LOOK + name.length);
      if (this.#work.isSpent) return undefined;
      const next = this.#memberOf(json, name);
      const found = next === undefined ? undefined : this.in(next, to);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #memberOf(json: Json, written: string): Json | undefined {
    if (Array.isArray(json))
      return /^\d{1,6}$/.test(written) ? (json as readonly Json[])[Number(written)] : undefined;
    if (!isObject(json)) return undefined;
    const name = written.replaceAll("\\.", ".");
    const stored = NUMBER_LIKE.test(name) ? `${this.#mark ?? ""}${name}` : name;
    return Object.hasOwn(json, stored) ? json[stored] : undefined;
  }
}
