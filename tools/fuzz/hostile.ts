import * as fc from "fast-check";

/** Specs and payloads that cost as much as they may: what a tenant would send who wants everybody else to wait. */

const repeat = (text: string, length: number): string =>
  text.repeat(Math.ceil(length / text.length)).slice(0, length);

/** Pieces of which patterns are slow to match, and slow to compile. */
const piece = fc.constantFrom(
  ".{0,99}",
  "[^y]{0,99}",
  "x{0,50}",
  "(x+x+)+",
  "(.*)*",
  "(a|x|xx)*",
  "x.*",
  "(?:x?)*",
  "[a-z]+",
  "\\pL*",
  "(?i)x*",
  "y",
  "$",
  "^",
  "\\b",
  "x|",
  ".*y",
);
const pattern = fc
  .array(piece, { minLength: 1, maxLength: 12 })
  .map((pieces) => pieces.join("").slice(0, 512));
const target = fc.constantFrom("", "x", "$0", "$0$0", repeat("$0", 512), "_");

const name = fc.oneof(
  fc.integer({ min: 0, max: 1e6 }).map(String),
  fc
    .tuple(fc.constantFrom("x", "xy", "ax"), fc.constantFrom(10, 200, 2_000))
    .map(([unit, length]) => repeat(unit, length)),
);
const SIZES = [1_000, 65_000, 1_000_000] as const;
const size = fc.constantFrom(...SIZES);

const branching = (depth: number): object =>
  depth === 0 ? {} : { a: branching(depth - 1), "a.a": branching(depth - 1) };

/** JSON that is slow to parse, to walk, or to write again. */
const wellFormed = fc.oneof(
  size.map((bytes) => `{"a":[${repeat("1,", bytes)}1]}`.replace(/,1?1\]/, ",1]")),
  size.map((bytes) => `{"a":[${repeat("1.0,", bytes - (bytes % 4))}1]}`),
  size.map((bytes) => `{"a":[${repeat("1e5,", bytes - (bytes % 4))}1]}`),
  size.map((bytes) => JSON.stringify({ a: repeat('\\"\u2028', bytes / 4) })),
  size.map((bytes) =>
    JSON.stringify(
      Object.fromEntries(
        Array.from({ length: Math.min(bytes / 12, 80_000) }, (_, index) => [`k${index}`, ""]),
      ),
    ),
  ),
  size.map((bytes) =>
    JSON.stringify({ a: Array.from({ length: bytes / 20 }, () => ({ b: [1, "x", null] })) }),
  ),
  size.map((bytes) => JSON.stringify({ a: `a${repeat(" ", bytes)}a` })),
  // Many ways to read a property's path.
  fc.constantFrom(8, 12).map((depth) => JSON.stringify(branching(depth))),
  fc.constantFrom(50, 64).map((depth) => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`),
  fc
    .array(name, { minLength: 1, maxLength: 300 })
    .map((names) => JSON.stringify(Object.fromEntries(names.map((each) => [each, "v"])))),
);
const broken = fc.oneof(
  fc.constant(`${'{"a":'.repeat(30_000)}1${"}".repeat(30_000)}`),
  size.map((bytes) => repeat("QUJD", bytes)),
  size.map((bytes) => `{"a": ${repeat("[1,", bytes)}`),
);
const payload = fc.oneof({ weight: 60, arbitrary: wellFormed }, { weight: 1, arbitrary: broken });

const property = fc.constantFrom("a", "a.0", "a.b", "a.0.b.1", repeat("a.", 511) + "a", "k7");
const decodingStrategy = fc.constantFrom("None", "Base64", "Auto");
const key = fc.nat(7).map((index) => `key-${index}`);
const providerRef = { name: "p" };

const data = fc
  .tuple(fc.constantFrom(1, 10, 256), key, property, decodingStrategy, fc.boolean())
  .map(([count, of, path, decoding, sameKey]) =>
    Array.from({ length: count }, (_, index) => ({
      secretKey: `d${index}`,
      remoteRef: { key: sameKey ? of : `key-${index % 8}`, property: path, decodingStrategy: decoding },
      optional: true,
    })),
  );
/** Most specs with more, or with larger ones, are refused before any work is done. */
const rewrite = fc.array(
  fc
    .tuple(fc.oneof(pattern, fc.constantFrom("^", "$", "x", "[0-9]+")), target)
    .map(([source, to]) => ({ regexp: { source, target: to } })),
  { maxLength: 4 },
);
/** Names that keep apart what 32 entries find. */
const apart = (index: number) => ({ regexp: { source: "^", target: `e${index}_` } });
const dataFrom = fc
  .array(
    fc.tuple(key, rewrite, fc.boolean(), decodingStrategy).map(([of, steps, optional, decoding]) => ({
      extract: { key: of, decodingStrategy: decoding },
      rewrite: steps,
      optional,
    })),
    { maxLength: 8 },
  )
  .map((entries) => entries.map((entry, index) => ({ ...entry, rewrite: [...entry.rewrite, apart(index)] })));

export interface Hostile {
  readonly spec: Readonly<Record<string, unknown>>;
  /** By the index in key-0, key-1 and so on. */
  readonly payloads: readonly string[];
  /** Names of a store that a find goes through. */
  readonly names: readonly string[];
  readonly pattern: string;
}

export const hostile: fc.Arbitrary<Hostile> = fc
  .tuple(
    fc.option(data, { nil: undefined }),
    fc.option(dataFrom, { nil: undefined }),
    fc.array(payload, { minLength: 8, maxLength: 8 }),
    fc.tuple(fc.constantFrom(10, 200), fc.constantFrom(20, 500)),
    pattern,
  )
  .map(([entries, many, payloads, [count, length], findPattern]) => ({
    spec: { providerRef, ...(entries ? { data: entries } : {}), ...(many ? { dataFrom: many } : {}) },
    payloads,
    names: Array.from({ length: count }, (_, index) => `${index}`.padStart(length, "x")),
    pattern: findPattern,
  }));
