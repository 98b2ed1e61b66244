import { describe, expect, it } from "@jest/globals";
import * as fc from "fast-check";
import { RE2JS } from "re2js";
import { compilePattern, isModest, LARGEST_PATTERN, patternSize } from "../../src/api/regular-expression.ts";

const replaced = (source: string, target: string, text: string) =>
  compilePattern(source)?.replacer(target)(text, 1e9)?.text;

describe("the size of a pattern", () => {
  const piece = fc.constantFrom(
    "a",
    ".",
    "[a-z]",
    "(a|b)",
    "\\pL",
    "(?i)",
    "^",
    "$",
    "\\b",
    "a*",
    "b+?",
    "(?:x)?",
    ".{0,9}",
    "[ab]{3}",
    "c{2,}",
    "d{99}",
    "|",
    "\\.",
  );
  it("is never smaller than the program that it compiles to, as long as the pattern is modest", () => {
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 20 }), (pieces) => {
        const source = pieces.join("");
        if (!isModest(source) || patternSize(source) > 20_000) return;
        let program: RE2JS;
        try {
          program = RE2JS.compile(source);
        } catch {
          return;
        }
        expect(program.programSize()).toBeLessThanOrEqual(patternSize(source));
      }),
      { numRuns: 500 },
    );
  });

  it("is a bound: what is larger is never compiled", () => {
    expect(patternSize("a".repeat(LARGEST_PATTERN - 2))).toBe(LARGEST_PATTERN);
    expect(compilePattern("a".repeat(LARGEST_PATTERN - 2))).toBeDefined();
    expect(compilePattern("a".repeat(LARGEST_PATTERN - 1))).toBeUndefined();
    expect(compilePattern(".{0,99}".repeat(71))).toBeUndefined();
  });
});

describe("a replacement", () => {
  // What Go's regexp.ReplaceAllString answers.
  it.each([
    ["(.*)", "${1}_PROD", "url", "url_PROD"],
    ["(.*)", "$1_PROD", "url", ""],
    ["a*", "x", "baac", "xbxcx"],
    ["(?P<n>b)", "[${n}]", "abc", "a[b]c"],
    ["$", "$$", "a", "a$"],
    ["b", "$9", "abc", "ac"],
    ["", "-", "aé😀b", "-a-é-😀-b-"],
    ["^", "x", "ab", "xab"],
    ["(a)(b)?", "$2$1", "aab", "aba"],
    ["b", "$", "abc", "a$c"],
    ["b", "${", "abc", "a${c"],
    ["b", "$&", "abc", "a$&c"],
  ])("of %j by %j in %j is %j", (source, target, text, expected) => {
    expect(replaced(source, target, text)).toBe(expected);
  });

  it("ends before it takes more work than it may, however often a search starts anew", () => {
    const text = "x".repeat(2_048);
    expect(compilePattern("x.*y|x")?.replacer("z")(text, 1_000_000)).toBeUndefined();
    expect(compilePattern("x.*y|x")?.replacer("z")("xx", 1_000_000)?.text).toBe("zz");
  });

  it("tells its work, which grows with the text", () => {
    const work = (length: number) =>
      compilePattern("[a-z]+")?.replacer("b")("a".repeat(length), 1e9)?.work ?? 0;
    expect(work(2_000) - work(1_000)).toBeGreaterThan(0.9 * (work(1_000) - work(1)));
  });

  it("knows which group the pattern doesn't have", () => {
    const pattern = compilePattern("(?P<name>a)(b)");
    expect(pattern?.unknownGroup("$1 $2 ${name} $name $$3")).toBeUndefined();
    expect(pattern?.unknownGroup("$3")).toBe("3");
    expect(pattern?.unknownGroup("$1_x")).toBe("1_x");
    expect(pattern?.unknownGroup("${other}")).toBe("other");
  });
});
