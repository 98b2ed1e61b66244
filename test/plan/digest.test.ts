import { describe, expect, it } from "@jest/globals";
import * as fc from "fast-check";
import { createHash } from "node:crypto";
import {
  ALL_KEYS,
  digestContent,
  digestOfKeys,
  formatRecord,
  mostFound,
  parseRecord,
} from "../../src/plan/digest.ts";
import { digestKey, otherDigestKey, value } from "../support/gen.ts";

const content = (data: Record<string, string>) =>
  new Map(Object.entries(data).map(([key, text]) => [key, value(text)]));

describe("digests", () => {
  it("change exactly when the content changes", () => {
    const data = fc.dictionary(fc.stringMatching(/^[a-z]{1,6}$/), fc.string(), { maxKeys: 6 });
    fc.assert(
      fc.property(data, data, (a, b) => {
        const [left, right] = [a, b].map((each) =>
          digestOfKeys(digestContent(digestKey, content(each)), "all"),
        );
        const sorted = (each: Record<string, string>) =>
          JSON.stringify(Object.entries(each).sort(([x], [y]) => (x < y ? -1 : 1)));
        expect(left === right).toBe(sorted(a) === sorted(b));
      }),
    );
  });

  it("tell keys with the same value apart, so that equal values don't show", () => {
    const digests = digestContent(digestKey, content({ a: "same", b: "same" }));
    expect(digests["a"]).not.toBe(digests["b"]);
  });

  it("depend on the installation's key", () => {
    const data = content({ a: "guess me" });
    expect(digestContent(digestKey, data)).not.toEqual(digestContent(otherDigestKey, data));
    expect(digestKey.id).not.toBe(otherDigestKey.id);
  });

  it("are no plain hash that a guess could be tested against", () => {
    const [digest = ""] = Object.values(digestContent(digestKey, content({ a: "password" })));
    for (const algorithm of ["sha256", "sha1", "md5", "sha512"]) {
      for (const text of ["password", "a:password", "1:a:password"]) {
        expect(createHash(algorithm).update(text).digest("hex")).not.toContain(digest);
      }
    }
    expect(JSON.stringify(digestKey.id)).not.toContain(digestKey.secret.export().toString("hex").slice(0, 8));
  });

  it("of one key don't change with another key", () => {
    const before = digestContent(digestKey, content({ a: "1", b: "1" }));
    const after = digestContent(digestKey, content({ a: "1", b: "2" }));
    expect(digestOfKeys(before, ["a"])).toBe(digestOfKeys(after, ["a"]));
    expect(digestOfKeys(before, "all")).not.toBe(digestOfKeys(after, "all"));
  });

  it("depend on which Secret it is, so that nobody sees who shares a value", () => {
    const data = content({ a: "same", b: "same" });
    const here = digestContent({ ...digestKey, scope: "shop/db" }, data);
    expect(here).not.toEqual(digestContent({ ...digestKey, scope: "shop/other" }, data));
  });

  it("don't depend on the order of the keys, few or many", () => {
    for (const count of [3, 300]) {
      const entries = Array.from({ length: count }, (_, index) => [`k${index}`, value(`${index}`)] as const);
      const [one, other] = [entries, entries.toReversed()].map((each) =>
        digestContent(digestKey, new Map(each)),
      );
      expect(one).toEqual(other);
      const names = entries.map(([name]) => name);
      expect(digestOfKeys(one!, names)).toBe(digestOfKeys(one!, names.toReversed()));
    }
  });

  it("tell apart contents whose names and values run together to the same text, few or many", () => {
    const many = (more: Record<string, string>) =>
      content({
        ...Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`k${index}`, "v"])),
        ...more,
      });
    for (const build of [content, many]) {
      const all = [{ zab: "c" }, { za: "bc" }, { za: "b", zc: "" }, { za: "", zb: "c" }].map((each) =>
        digestOfKeys(digestContent(digestKey, build(each)), "all"),
      );
      expect(new Set(all).size).toBe(all.length);
    }
  });

  it("are single ones for up to 256 keys", () => {
    const some = (count: number) =>
      content(Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, "v"])));
    expect(Object.keys(digestContent(digestKey, some(256)))).toHaveLength(256);
    expect(Object.keys(digestContent(digestKey, some(257)))).toEqual([ALL_KEYS]);
  });

  it("of a key named like a member of every object is absent until it is there", () => {
    const none = digestContent(digestKey, content({ a: "1" }));
    const some = digestContent(digestKey, content({ a: "1", constructor: "1" }));
    expect(digestOfKeys(none, ["constructor"])).not.toBe(digestOfKeys(some, ["constructor"]));
  });

  it("of a key that appears changes", () => {
    const before = digestContent(digestKey, content({ a: "1" }));
    const after = digestContent(digestKey, content({ a: "1", b: "1" }));
    expect(digestOfKeys(before, ["b"])).not.toBe(digestOfKeys(after, ["b"]));
  });

  it("of very many keys are one, which changes with each of them", () => {
    const many = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`k${index}`, "v"]));
    const before = digestContent(digestKey, content(many));
    const after = digestContent(digestKey, content({ ...many, k7: "changed" }));
    expect(Object.keys(before)).toEqual([ALL_KEYS]);
    expect(digestOfKeys(before, ["k1"])).not.toBe(digestOfKeys(after, ["k1"]));
  });
});

describe("a record", () => {
  const change = {
    kind: "updated",
    at: "2026-05-01T00:00:00.000Z",
    trigger: "Refresh",
    keys: ["a"],
  } as const;
  const record = {
    key: "k",
    version: "v",
    owned: "o",
    digests: { a: "d" },
    seen: ["0123456789abcdef"],
    found: ["0123456789abcdef"],
    change,
  };

  /** Its text, with some members in the place of what was written. */
  const written = (more: Record<string, unknown> = {}) =>
    JSON.stringify({ ...(JSON.parse(formatRecord(record)) as object), ...more });

  it("comes back as it was written", () => {
    expect(parseRecord(formatRecord(record))).toEqual(record);
  });

  it("may tell of as many and as long keys as there can be", () => {
    const keys = Array.from({ length: 20 }, () => "x".repeat(253));
    const full = { ...record, change: { ...change, keys } };
    expect(parseRecord(formatRecord(full))).toEqual(full);
  });

  it.each([
    ["one digest for all", { "*": "d".repeat(16) }],
    [
      "a digest of each key",
      Object.fromEntries(
        Array.from({ length: 256 }, (_, index) => [String(index).padStart(253, "k"), "d".repeat(16)]),
      ),
    ],
  ])("may tell of as many origins as it ever does, beside %s", (_case, digests) => {
    const found = Array.from({ length: mostFound(digests) }, (_, index) => String(index).padStart(16, "0"));
    expect(parseRecord(formatRecord({ ...record, digests, found }))?.found).toEqual(found);
  });

  it.each(["key", "version", "owned", "digests", "found"])(
    "whose %s is no such thing counts as none",
    (field) => {
      expect(parseRecord(written({ [field]: 5 }))).toBeUndefined();
    },
  );

  it.each([
    undefined,
    "yesterday",
    { ...change, kind: "invented" },
    { ...change, at: "2026-13-45T00:00:00.000Z" },
    { ...change, at: "today" },
    { ...change, at: "2026-05-01" },
    { ...change, at: 5 },
    { ...change, trigger: 5 },
    { ...change, keys: "a" },
    { ...change, keys: [1] },
    { ...change, keys: ["x".repeat(254)] },
    { ...change, keys: Array.from({ length: 21 }, () => "a") },
  ])("whose change somebody spoiled (%j) tells of none", (spoiled) => {
    expect(parseRecord(written({ change: spoiled }))).toEqual({
      ...record,
      change: undefined,
    });
  });

  it.each([
    undefined,
    "",
    "null",
    "[]",
    "5",
    "{",
    '{"key":1}',
    '{"key":"k","version":"v","owned":"o","digests":null}',
    '{"key":"k","version":"v","digests":{}}',
  ])("that somebody spoiled (%j) counts as none", (text) => {
    expect(parseRecord(text)).toBeUndefined();
  });
});
