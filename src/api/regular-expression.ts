import { RE2JS } from "re2js";

/**
 * RE2 and nothing else: patterns come from tenants, and only RE2 is free of catastrophic backtracking. It is also
 * the dialect of CEL and Go, so a pattern means the same to the apiserver and to us.
 */
export interface Pattern {
  /** Instructions of the program, at most: about 190 bytes each; times the length of a text, the time of a search. */
  readonly size: number;
  /** A group that the replacement names and the pattern doesn't have; it would stand for nothing. */
  unknownGroup(replacement: string): string | undefined;
  /** Whether any part of the text matches. */
  test(text: string): boolean;
  /**
   * What replaces every match, as Go's ReplaceAllString does it: `$1`, `${1}` and `${name}` stand for groups.
   * https://pkg.go.dev/regexp#Regexp.Expand
   */
  replacer(replacement: string): Replacer;
}

/**
 * Also tells the work, in steps of the program; undefined when it would be more than `mostWork`: each match starts a new
 * search, so a hostile text costs the square of its length.
 */
export type Replacer = (text: string, mostWork: number) => Replacement | undefined;

export interface Replacement {
  readonly text: string;
  readonly work: number;
}

/** Of one pattern, by patternSize(). */
export const LARGEST_PATTERN = 500;
/** Of all patterns of a SecretSync together. */
export const LARGEST_PATTERNS = 5_000;

/**
 * The most instructions that a pattern can compile to, without compiling it: RE2 makes one for each character at most, two
 * for an alternative, and writes out what is counted, up to twice. Holds for patterns that are modest.
 */
export function patternSize(source: string): number {
  let size = source.length + source.split("|").length + 1;
  for (const [, least = "0", most = ""] of source.matchAll(/\{(\d+)(?:,(\d*))?\}/g))
    size += 2 * Math.max(Number(least), Number(most));
  return size;
}

/** Of those that were used last, since every look at an object needs them. */
const compiled = new Map<string, Pattern | undefined>();
/** Instructions of all patterns that are kept, some 4 MiB. */
const MOST_KEPT = 20_000;
let kept = 0;

/** undefined for what isn't a pattern, or is too large for one. */
export function compilePattern(source: string): Pattern | undefined {
  if (patternSize(source) > LARGEST_PATTERN) return undefined;
  const isKnown = compiled.has(source);
  const pattern = isKnown ? compiled.get(source) : compile(source);
  compiled.delete(source);
  compiled.set(source, pattern);
  if (!isKnown) kept += patternSize(source);
  for (const oldest of compiled.keys()) {
    if (kept <= MOST_KEPT) break;
    compiled.delete(oldest);
    kept -= patternSize(oldest);
  }
  return pattern;
}

function compile(source: string): Pattern | undefined {
  let re2: RE2JS;
  try {
    re2 = RE2JS.compile(source);
  } catch {
    return undefined;
  }
  const size = patternSize(source);
  const named = re2.namedGroups();
  const count = re2.groupCount();
  const groupOf = (name: string): number | undefined => {
    if (!/^(?:0|[1-9]\d{0,7})$/.test(name)) return Object.hasOwn(named, name) ? named[name] : undefined;
    return Number(name) <= count ? Number(name) : undefined;
  };
  return {
    size,
    unknownGroup: (template) => groupNames(template).find((name) => groupOf(name) === undefined),
    test: (text) => re2.matcher(text).find(),
    replacer: (replacement) => newReplacer(re2, size, templateParts(replacement, groupOf)),
  };
}

/** Of a search, beside its steps. */
const WORK_OF_A_SEARCH = 100;

function newReplacer(re2: RE2JS, size: number, parts: readonly (string | number)[]): Replacer {
  return (text, mostWork) => {
    const matcher = re2.matcher(text);
    let result = "";
    let copiedTo = 0;
    let work = 0;
    for (let from = 0; from <= text.length;) {
      // One search for the match, and one for its groups.
      work += WORK_OF_A_SEARCH + 2 * size * (text.length - from + 1);
      if (work > mostWork) return undefined;
      if (!matcher.find(from)) break;
      const start = matcher.start();
      const end = matcher.end();
      result += text.slice(copiedTo, start);
      // An empty match right behind the last one doesn't count.
      if (end > copiedTo || start === 0) {
        for (const part of parts) result += typeof part === "string" ? part : (matcher.group(part) ?? "");
        work += 10 * parts.length;
      }
      work += result.length;
      copiedTo = end;
      from = Math.max(end, from + widthAt(text, from));
    }
    return { text: result + text.slice(copiedTo), work };
  };
}

/** Of the character there, in UTF-16 units. */
const widthAt = (text: string, index: number): number => ((text.codePointAt(index) ?? 0) > 0xffff ? 2 : 1);

/** A name is as long as it can be: $1x is the group named 1x. A number with a zero in front is a name, too. */
const GROUP = /\$(?:\$|\{([\p{L}\p{Nd}_]+)\}|([\p{L}\p{Nd}_]+))/gu;

const groupNames = (template: string): readonly string[] =>
  [...template.matchAll(GROUP)]
    .map(([, braced, bare]) => braced ?? bare)
    .filter((name) => name !== undefined);

/** Text and numbers of groups. */
function templateParts(
  template: string,
  groupOf: (name: string) => number | undefined,
): readonly (string | number)[] {
  const parts: (string | number)[] = [];
  let copiedTo = 0;
  for (const { 0: all, 1: braced, 2: bare, index } of template.matchAll(GROUP)) {
    parts.push(template.slice(copiedTo, index));
    copiedTo = index + all.length;
    const name = braced ?? bare;
    if (name === undefined) parts.push("$");
    else {
      const group = groupOf(name);
      if (group !== undefined) parts.push(group);
    }
  }
  parts.push(template.slice(copiedTo));
  return parts;
}

/**
 * Counted repetitions multiply a pattern: (.{1000}){1000} is a program of a million steps. Up to 99 of a single character
 * or class is what names need.
 */
export const MODEST_REPETITION = "[{][0-9]*,?[0-9]*[0-9]{3}|[)][?]?[{][0-9]";
const immodest = new RegExp(MODEST_REPETITION);

export const isModest = (source: string): boolean => !immodest.test(source);
