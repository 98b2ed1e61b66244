import { describe, expect, it } from "@jest/globals";
import { customResourceDefinition, kinds, type JsonSchema } from "../../src/api/crd.ts";

/** Where below a list the apiserver would fill something in. */
function* defaultsBelowLists(node: unknown, path: string, isBelow = false): Iterable<string> {
  if (typeof node !== "object" || node === null) return;
  const schema = node as JsonSchema;
  if (isBelow && "default" in schema && "description" in schema) yield path;
  for (const [name, child] of Object.entries(schema))
    yield* defaultsBelowLists(child, `${path}.${name}`, isBelow || name === "items");
}

describe("the CRD of", () => {
  it.each(kinds.map((kind) => [kind.kind, kind] as const))(
    "%s has no default below a list",
    (_name, kind) => {
      expect([...defaultsBelowLists(customResourceDefinition(kind), "")]).toEqual([]);
    },
  );

  it.each(kinds.map((kind) => [kind.kind, kind] as const))(
    "%s says nothing that the apiserver would leave out again, or tools would see a difference for ever",
    (_name, kind) => {
      const written = JSON.stringify(customResourceDefinition(kind));
      expect(written).not.toMatch(/"priority":0|"preserveUnknownFields":false|:null/);
    },
  );

  it("SecretSync tells the defaults that are the operator's", () => {
    const text = JSON.stringify(customResourceDefinition(kinds[0]!));
    expect(text).toContain("Default: None.");
    expect(text).toContain("Default: SecretProvider.");
  });
});
