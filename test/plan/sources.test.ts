import { describe, expect, it } from "@jest/globals";
import {
  contentFingerprint,
  describeSource,
  newestChange,
  sourcesOf,
  versionsOf,
  type FetchedValues,
} from "../../src/plan/sources.ts";
import { failing, found, missing, specOf, value } from "../support/gen.ts";

const entry = (secretKey: string, remoteRef: Record<string, unknown>) => ({ secretKey, remoteRef });

describe("sources", () => {
  it("are each thing once, however many entries use it, and name the first that does", () => {
    const sources = sourcesOf(
      specOf({
        data: [
          entry("a", { key: "k", property: "x" }),
          entry("b", { key: "k", property: "y" }),
          entry("c", { key: "k", version: "v1" }),
          entry("d", { key: "k", versionStage: "AWSPREVIOUS" }),
        ],
        dataFrom: [{ extract: { key: "k" } }, { find: { path: "p/" } }],
      }),
    );
    expect(sources.map(({ field }) => field)).toEqual([
      "spec.data[0]",
      "spec.data[2]",
      "spec.data[3]",
      "spec.dataFrom[1]",
    ]);
  });

  it("of two providers are two, even with the same key", () => {
    const other = { ...entry("b", { key: "k" }), providerRef: { name: "other" } };
    expect(sourcesOf(specOf({ data: [entry("a", { key: "k" }), other] }))).toHaveLength(2);
  });

  it("that find are named by all that they ask for", () => {
    const [source] = sourcesOf(
      specOf({
        data: undefined,
        dataFrom: [{ find: { path: "p/", name: { regexp: "^a" }, tags: { team: "x" } } }],
      }),
    );
    expect(describeSource(source!)).toBe('find({"path":"p/","name":"^a","team":"x"})');
    const [byTags] = sourcesOf(specOf({ data: undefined, dataFrom: [{ find: { tags: { team: "x" } } }] }));
    expect(describeSource(byTags!)).toBe('find({"team":"x"})');
  });
});

describe("the fingerprint of the content", () => {
  const versions = new Map([["s", "v1"]]);
  const of = (
    spec: Record<string, unknown>,
    at: ReadonlyMap<string, string | ReadonlyMap<string, string>> = versions,
  ) => contentFingerprint(specOf(spec), at);
  const base = of({});

  it.each([
    ["data", { data: [entry("other", { key: "prod/db" })] }],
    ["dataFrom", { dataFrom: [{ extract: { key: "more" } }] }],
    ["target", { target: { name: "other" } }],
  ])("changes with spec.%s", (_field, spec) => {
    expect(of(spec)).not.toBe(base);
  });

  it("stays with what says nothing about the content", () => {
    expect(of({ refreshInterval: "7m" })).toBe(base);
  });

  it("changes with each version, of a read and of each match of a find", () => {
    const finds = (...pairs: [string, string][]) => new Map([["f", new Map(pairs)]]);
    const all = [
      base,
      of({}, new Map([["s", "v2"]])),
      of({}, new Map([["t", "v1"]])),
      of({}, finds(["a", "1"], ["b", "1"])),
      of({}, finds(["a", "1"], ["b", "2"])),
      of({}, finds(["a", "1"])),
    ];
    expect(new Set(all).size).toBe(all.length);
  });

  it("doesn't depend on the order in which answers came", () => {
    const pairs: [string, string][] = [
      ["a", "1"],
      ["b", "2"],
    ];
    expect(of({}, new Map(pairs))).toBe(of({}, new Map(pairs.toReversed())));
    expect(of({}, new Map([["f", new Map(pairs)]]))).toBe(
      of({}, new Map([["f", new Map(pairs.toReversed())]])),
    );
  });
});

describe("what values tell", () => {
  const matches = (secrets: Record<string, { versionId: string; changedAt?: number }>): FetchedValues =>
    new Map([
      [
        "f",
        {
          kind: "matches",
          forbidden: [],
          secrets: new Map(
            Object.entries(secrets).map(([name, more]) => [
              name,
              { value: value(name), versionStages: [], ...more },
            ]),
          ),
        },
      ],
    ]);

  it("of versions: one for a read, one by name for a find, and that something is missing", () => {
    expect(
      versionsOf(
        new Map([
          ["r", found("x", "v7")],
          ["m", missing],
          ...matches({ a: { versionId: "1" }, b: { versionId: "2" } }),
        ] as Iterable<[string, never]>),
      ),
    ).toEqual(
      new Map<string, unknown>([
        ["r", "v7"],
        ["m", "missing"],
        [
          "f",
          new Map([
            ["a", "1"],
            ["b", "2"],
          ]),
        ],
      ]),
    );
  });

  it("of versions is nothing where one source failed", () => {
    const some: FetchedValues = new Map([
      ["r", found("x")],
      ["d", failing()],
    ]);
    expect(versionsOf(some)).toBeUndefined();
  });

  it("of the newest change", () => {
    const read = { ...found("x"), changedAt: 5 } as never;
    expect(newestChange(new Map([["r", read], ...matches({ a: { versionId: "1", changedAt: 9 } })]))).toBe(9);
    expect(newestChange(matches({ a: { versionId: "1" } }))).toBeUndefined();
    expect(newestChange(undefined)).toBeUndefined();
  });
});
