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

export function compilePattern(source: string): Pattern | undefined {
  try {
    const compiled = RE2JS.compile(source);
    return {
      test: (text) => compiled.matcher(text).find(),
      replace: (text, replacement) => compiled.matcher(text).replaceAll(replacement),
    };
  } catch {
    return undefined;
  }
}
