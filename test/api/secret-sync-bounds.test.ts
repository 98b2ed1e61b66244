import { describe, expect, it } from "@jest/globals";
import { LARGEST_SPEC, parseSync, providersNamed } from "../../src/api/secret-sync-bounds.ts";

const spec = (more: Record<string, unknown> = {}) => ({
  providerRef: { name: "aws" },
  data: [{ secretKey: "a", remoteRef: { key: "k" } }],
  ...more,
});
const failureOf = (of: unknown, bytes = 0) => {
  const parsed = parseSync(of, bytes);
  if (parsed.ok) throw new Error("it is taken");
  return parsed.failure;
};
const rewriting = (entries: number, steps: number, regexp: (index: number) => object) =>
  spec({
    dataFrom: Array.from({ length: entries }, (_entry, entry) => ({
      extract: { key: "k" },
      rewrite: Array.from({ length: steps }, (_step, step) => ({ regexp: regexp(entry * steps + step) })),
    })),
  });

describe("a spec", () => {
  it("may be as large as the bound, and is told how far it is over", () => {
    expect(parseSync(spec(), LARGEST_SPEC).ok).toBe(true);
    expect(failureOf(spec(), 1_290_000)).toEqual({
      reason: "TooLarge",
      message: "spec: takes 1,260 KiB as JSON, and may take 128 KiB; split it over several SecretSyncs",
    });
  });

  it("with a pattern that is too large is told which, how large, and what to do", () => {
    const find = { find: { name: { regexp: ".{0,99}".repeat(3) } } };
    expect(failureOf(spec({ dataFrom: [{ extract: { key: "k" } }, find] }))).toEqual({
      reason: "InvalidSpec",
      message:
        "spec.dataFrom[1].find.name.regexp: this pattern compiles to some 617 instructions, and may to 500; use * or + instead of counts such as {1,99}, or shorten it",
    });
  });

  it("with patterns that are too large together is told so, before any is compiled", () => {
    const many = rewriting(32, 16, (index) => ({ source: `${index}`.padEnd(20, "x"), target: "" }));
    const { reason, message } = failureOf(many);
    expect(reason).toBe("InvalidSpec");
    expect(message).toContain("all patterns together compile to some 11264 instructions, and may to 5000");
    expect(
      parseSync(
        rewriting(16, 14, (index) => ({ source: `${index}`.padEnd(20, "x"), target: "" })),
        0,
      ).ok,
    ).toBe(true);
  });

  it("whose rewrite names a group that the pattern lacks is told which", () => {
    const { message } = failureOf(rewriting(1, 1, () => ({ source: "(.*)", target: "$1_PROD" })));
    expect(message).toContain('spec.dataFrom[0].rewrite[0].regexp.target: names the group "1_PROD"');
    expect(message).toContain("write ${1}_x");
  });

  it("reads from so many providers at most", () => {
    const data = (count: number) =>
      Array.from({ length: count }, (_, index) => ({
        secretKey: `k${index}`,
        remoteRef: { key: "k" },
        providerRef: { name: `p${index}` },
      }));
    expect(parseSync({ data: data(16) }, 0).ok).toBe(true);
    expect(failureOf({ data: data(17) }).message).toContain("more than 16 providers");
  });

  it.each([
    undefined,
    null,
    5,
    "text",
    [],
    { dataFrom: 5 },
    { dataFrom: [null, { rewrite: [null, { regexp: 5 }] }] },
  ])("of any shape is only refused: %j", (odd) => {
    expect(failureOf(odd).reason).toBe("InvalidSpec");
  });
});

describe("the providers that a spec names", () => {
  it("are each told once, with their kinds", () => {
    const named = spec({
      dataFrom: [
        { providerRef: { kind: "ClusterSecretProvider", name: "aws" } },
        { providerRef: { name: "aws" } },
      ],
    });
    expect(providersNamed(named)).toEqual([
      { kind: "SecretProvider", name: "aws" },
      { kind: "ClusterSecretProvider", name: "aws" },
    ]);
  });

  it("are none where there is nothing of the form", () => {
    expect(
      providersNamed({ providerRef: 5, data: "x", dataFrom: [null, { providerRef: { name: ["a"] } }] }),
    ).toEqual([]);
  });
});
