import { describe, expect, it } from "@jest/globals";
import { kinds } from "../../src/api/crd.ts";
import { parseSpec } from "../../src/api/parse.ts";
import { invalidManifests, validProviders, validSyncs } from "../support/manifests.ts";

/** Our own parser before the manifests that test/integration/ shows the apiserver. */

const problems = (kind: string, spec: unknown): readonly string[] => {
  const parsed = parseSpec(kinds.find((each) => each.kind === kind)!.spec, spec);
  return parsed.ok ? [] : parsed.problems;
};

describe("a valid manifest is taken", () => {
  it.each(Object.entries(validSyncs))("SecretSync: %s", (_title, spec) => {
    expect(problems("SecretSync", spec)).toEqual([]);
  });

  it.each(validProviders)("$kind: $title", ({ kind, spec }) => {
    expect(problems(kind, spec)).toEqual([]);
  });
});

describe("an invalid manifest is refused", () => {
  it.each(invalidManifests)("$kind: $title", ({ kind, spec, message, ours = message }) => {
    expect(problems(kind, spec).join("; ")).toContain(ours);
  });
});
