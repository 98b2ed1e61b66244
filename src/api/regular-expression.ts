import { RE2JS } from "re2js";

/**
 * RE2 and nothing else: patterns come from tenants, and only RE2 is free of catastrophic backtracking. It is also
 * the dialect of CEL and Go, so a pattern means the same to the apiserver and to us.
 */
export interface Pattern {
  /** Whether any part of the text matches. */
  test(text: string): boolean;
  /** Every match replaced; `$1`, `${1}` and `${name}` stand for groups. */
  replace(text: string, replacement: string): string;
}

/** Of those that were used last, since every look at an object needs them. */
const compiled = new Map<string, Pattern | undefined>();
const MOST_KEPT = 1_000;

export function compilePattern(source: string): Pattern | undefined {
  const known = compiled.get(source);
  compiled.delete(source);
  const pattern = known ?? compile(source);
  compiled.set(source, pattern);
  if (compiled.size > MOST_KEPT) compiled.delete(compiled.keys().next().value ?? "");
  return pattern;
}

function compile(source: string): Pattern | undefined {
  try {
    const re2 = RE2JS.compile(source);
    return {
      test: (text) => re2.matcher(text).find(),
      replace: (text, replacement) => re2.matcher(text).replaceAll(replacement),
    };
  } catch {
    return undefined;
  }
}

/**
 * Counted repetitions multiply a pattern: (.{1000}){1000} is a program of a million steps. Up to 99 of a single character
 * or class is what names need.
 */
export const MODEST_REPETITION = "[{][0-9]*,?[0-9]*[0-9]{3}|[)][?]?[{][0-9]";
const immodest = new RegExp(MODEST_REPETITION);

export const isModest = (source: string): boolean => !immodest.test(source);
