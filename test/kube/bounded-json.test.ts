import { describe, expect, it } from "@jest/globals";
import * as fc from "fast-check";
import { parseBounded, parsePage } from "../../src/kube/bounded-json.ts";

const many = (count: number, prefix = "n") =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`${prefix}${index}`, ""]));
const identity = { name: "a", namespace: "shop", uid: "u", resourceVersion: "7" };
const padding = "x".repeat(200_000);

describe("JSON of the apiserver", () => {
  it("is what it says, whatever strings are in it", () => {
    fc.assert(
      fc.property(fc.json(), fc.string(), (json, text) => {
        const object = {
          metadata: { ...identity, annotations: { text, json, padding } },
          spec: JSON.parse(json),
        };
        expect(parseBounded(JSON.stringify(object))).toEqual(JSON.parse(JSON.stringify(object)));
      }),
      { numRuns: 100 },
    );
  });

  it.each([
    ["no JSON", `{"a":${padding}`],
    ["a string without an end", `{"a":"${padding}`],
    ["brackets that don't match", `{"a":"${padding}"]]]]}`],
  ])("that is %s is an error, and no endless loop", (_what, text) => {
    expect(() => parseBounded(text)).toThrow(SyntaxError);
  });

  const parts = {
    managedFields: [{ manager: "m", fieldsV1: { "f:data": many(40_000) } }],
    labels: many(40_000),
    annotations: many(40_000),
    ownerReferences: Array.from({ length: 20_000 }, (_, index) => ({ uid: `${index}`, kind: "K" })),
  };

  it.each(Object.entries(parts))("with too many names in %s is taken without these alone", (name, part) => {
    const object = {
      metadata: { labels: { a: "b" }, ...identity, [name]: part },
      spec: { labels: { c: "d" } },
    };
    const { metadata } = object;
    const expected = { ...object, metadata: { ...metadata, [name]: null } };
    expect(parseBounded(JSON.stringify(object))).toEqual(expected);
    expect(parseBounded(JSON.stringify({ type: "ADDED", object }))).toEqual({
      type: "ADDED",
      object: expected,
    });
    expect(parseBounded(JSON.stringify({ kind: "List", items: [object] }))).toEqual({
      kind: "List",
      items: [expected],
    });
  });

  it.each(["spec", "status", "data"])("with too many names in %s is taken without it", (name) => {
    const object = { metadata: { ...identity, labels: { a: "b" } }, [name]: many(40_000) };
    expect(parseBounded(JSON.stringify(object))).toEqual({ ...object, [name]: null });
  });

  it("keeps the fields of the largest Secret that there can be, with two managers", () => {
    const fields = { fieldsV1: { "f:data": many(10_000, "f:key-") } };
    const object = { metadata: { ...identity, managedFields: [fields, fields] } };
    expect(parseBounded(JSON.stringify(object))).toEqual(object);
  });

  it("tells a page of large objects from one of usual ones", () => {
    const page = (count: number, members: number) =>
      JSON.stringify({
        items: Array.from({ length: count }, () => ({ metadata: identity, spec: many(members) })),
      });
    for (const text of [page(500, 300), page(50, 1_900), page(2, 10_000)]) {
      expect(parsePage(text)).toEqual({ page: JSON.parse(text) });
      expect(parseBounded(text)).toEqual(JSON.parse(text));
    }
    expect(parsePage(page(4, 10_000))).toBeUndefined();
    expect(parsePage(page(1, 40_000))).toBeUndefined();
  });

  const items = (piece: string, count: number) => `[${`${piece},`.repeat(count)}${piece}]`;

  it.each(["{}", "[]", "0", '""'])("with too many items, such as %s, is taken without them", (piece) => {
    const { metadata } = { metadata: identity };
    const start = `{"metadata":${JSON.stringify(metadata)}`;
    for (const name of ["data", "spec"])
      expect(parseBounded(`${start},"${name}":${items(piece, 400_000)}}`)).toEqual({
        metadata,
        [name]: null,
      });
    const within = `{"metadata":${JSON.stringify(metadata).replace("}", `,"labels":{"a":${items(piece, 400_000)}}}`)}}`;
    expect(parseBounded(within)).toEqual({ metadata: { ...metadata, labels: null } });
    expect(() => parseBounded(`${start},"odd":${items(piece, 700_000)}}`)).toThrow("no form that there is");
    expect(() => parseBounded(items(piece, 700_000))).toThrow("no form that there is");
  });

  it("with as many items as it may have is taken as it is", () => {
    const object = { metadata: identity, spec: { args: Array.from({ length: 200_000 }, () => "") } };
    expect(parseBounded(JSON.stringify(object))).toEqual(object);
  });

  it("of more objects than were asked for is an error, where that is wanted", () => {
    const text = JSON.stringify({ items: Array.from({ length: 20_000 }, () => ({ metadata: {} })) });
    expect(() => parsePage(text, 100)).toThrow("more objects than were asked for");
    expect(() => parsePage('{"items":[{},{}]}', 1)).toThrow("more objects than were asked for");
    for (const few of ['{"items":[{}]}', '{"items":null}', "{}", "null"])
      expect(parsePage(few, 1)).toEqual({ page: JSON.parse(few) });
    expect(parsePage(text)).toEqual({ page: JSON.parse(text) });
    expect(parsePage(text, 20_000)).toEqual({ page: JSON.parse(text) });
    const nested = JSON.stringify({ items: [{ spec: { list: Array.from({ length: 400_000 }, () => 0) } }] });
    expect(parsePage(nested, 100)).toBeUndefined();
  });
});
