import { createHash } from "node:crypto";
import type { SecretValue } from "../providers/secret-value.ts";
import { invalid, large, ok, type Result } from "./result.ts";
import { utf8 } from "./text.ts";

/** JSON whose numbers keep their digits and whose members keep their order, which JSON.parse alone doesn't do. */

/** Deeper JSON is refused: it is an attack or a mistake, and recursion over it could exhaust the stack. */
const DEEPEST = 64;

export type Json = string | number | boolean | null | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [name: string]: Json;
}

/** Parsed once, however many entries read it. */
export interface Parsed {
  readonly json: Json;
  /** Begins each text that stands for a number whose digits a JavaScript number would change. */
  readonly mark: string | undefined;
}

/** Bytes of JSON: parsing more would take longer than a turn of the event loop may. AWS holds 64 KiB. */
const MOST_JSON = 512 * 1024;

export function parseJson(payload: SecretValue): Result<Parsed> {
  const bytes = payload.reveal();
  if (bytes.length > MOST_JSON)
    return large(
      `is larger than ${MOST_JSON / 1024} KiB, so it can't be read as JSON; split it, or read it whole, by data without property`,
    );
  const text = utf8(bytes);
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

export const withoutMarks = (text: string, mark: string): string =>
  text.replaceAll(new RegExp(`"${mark}([-+.eE0-9]+)"(:?)`, "g"), (_all, written: string, colon: string) =>
    colon === "" ? written : `"${written}":`,
  );

export const unmarked = (name: string, mark: string | undefined): string =>
  mark !== undefined && name.startsWith(mark) ? name.slice(mark.length) : name;

export const isObject = (json: Json): json is JsonObject =>
  typeof json === "object" && json !== null && !Array.isArray(json);

/** The name by which an object of the parsed JSON has the member. */
export const markedName = (name: string, mark: string | undefined): string =>
  NUMBER_LIKE.test(name) ? `${mark ?? ""}${name}` : name;
