import { describe, expect, it } from "@jest/globals";
import * as fc from "fast-check";
import type { AccessRule } from "../../src/api/secret-provider.ts";
import { globMatches, mayRead } from "../../src/plan/access.ts";

const not = (key: string, ...values: string[]) => ({ key, operator: "NotIn" as const, values });

describe("a glob", () => {
  it.each([
    ["prod/db", "prod/db", true],
    ["prod/db", "prod/db2", false],
    ["prod/db", "xprod/db", false],
    ["prod/*", "prod/db", true],
    ["prod/*", "prod/a/b", false],
    ["prod/**", "prod/a/b", true],
    ["prod/**", "prod/", true],
    ["prod/**", "prod", false],
    ["**", "anything/at/all", true],
    ["*", "a/b", false],
    ["prod/*/db", "prod/shop/db", true],
    ["prod/*/db", "prod/shop/x/db", false],
    ["prod/**/db", "prod/shop/x/db", true],
    ["a*c*e", "abcde", true],
    ["a*c*e", "abcd", false],
    ["prod/{{namespace}}/*", "prod/shop/db", true],
    ["prod/{{namespace}}/*", "prod/other/db", false],
    ["{{namespace}}/{{namespace}}", "shop/shop", true],
    ["{{namespace}}/{{namespace}}", "shop/{{namespace}}", false],
    ["prod/{{namespace}}", "prod/shop2", false],
    ["prod/.*", "prod/xx", false],
    ["prod/[a]", "prod/a", false],
    ["prod/db", "PROD/DB", false],
    ["", "", true],
    ["", "a", false],
  ])("%s on %s gives %s", (glob, key, expected) => {
    expect(globMatches(glob, "shop", key)).toBe(expected);
  });

  it("agrees with the regular expression that it stands for", () => {
    const part = fc.constantFrom("a", "b", "/", "*", "**", ".", "+");
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), fc.stringMatching(/^[ab/.+]{0,10}$/), (parts, key) => {
        const glob = parts.join("");
        const source = (glob.match(/\*\*|\*|[^*]/g) ?? [])
          .map((token) =>
            token === "**" ? ".*" : token === "*" ? "[^/]*" : `\\${token}`.replace(/^\\([a-z])$/, "$1"),
          )
          .join("");
        expect(globMatches(glob, "ns", key)).toBe(new RegExp(`^${source}$`, "u").test(key));
      }),
      { numRuns: 2000 },
    );
  });

  it("with many stars ends on a long key that doesn't match, where backtracking would not", () => {
    expect(globMatches("**a".repeat(60), "ns", "a".repeat(59) + "b".repeat(1900))).toBe(false);
  });
});

describe("access", () => {
  const namespace = { name: "shop", labels: { team: "a", tier: "1" } };
  const rule = (namespaces: AccessRule["namespaces"], ...keys: string[]): AccessRule => ({
    namespaces,
    keys,
  });

  it("is denied without a rule", () => {
    expect(mayRead([], namespace, "k")).toBe(false);
  });

  it.each([
    ["its name", { names: ["shop"] }, true],
    ["another name", { names: ["other"] }, false],
    ["all", { all: true as const }, true],
    ["labels that it has", { selector: { matchLabels: { team: "a", tier: "1" } } }, true],
    ["one label that it lacks", { selector: { matchLabels: { team: "a", tier: "2" } } }, false],
    ["no labels at all", { selector: { matchLabels: {} } }, false],
    ["nothing", {}, false],
    ["nothing of a selector", { selector: {} }, false],
    [
      "labels and a condition",
      { selector: { matchLabels: { team: "a" }, matchExpressions: [not("tier", "1")] } },
      false,
    ],
    [
      "a value",
      { selector: { matchExpressions: [{ key: "tier", operator: "In" as const, values: ["1", "2"] }] } },
      true,
    ],
    [
      "another value",
      { selector: { matchExpressions: [{ key: "tier", operator: "In" as const, values: ["2"] }] } },
      false,
    ],
    [
      "a value of no label",
      { selector: { matchExpressions: [{ key: "none", operator: "In" as const, values: ["1"] }] } },
      false,
    ],
    ["no such value", { selector: { matchExpressions: [not("tier", "2"), not("none", "1")] } }, true],
    ["a value that it has", { selector: { matchExpressions: [not("tier", "2"), not("tier", "1")] } }, false],
    ["a label", { selector: { matchExpressions: [{ key: "tier", operator: "Exists" as const }] } }, true],
    [
      "a label that it lacks",
      { selector: { matchExpressions: [{ key: "none", operator: "Exists" as const }] } },
      false,
    ],
    [
      "no label",
      { selector: { matchExpressions: [{ key: "none", operator: "DoesNotExist" as const }] } },
      true,
    ],
    [
      "no label that it has",
      { selector: { matchExpressions: [{ key: "tier", operator: "DoesNotExist" as const }] } },
      false,
    ],
    [
      "a name that objects have by nature",
      { selector: { matchExpressions: [{ key: "toString", operator: "Exists" as const }] } },
      false,
    ],
  ])("of a namespace by %s is %s", (_case, namespaces, expected) => {
    expect(mayRead([rule(namespaces, "**")], namespace, "k")).toBe(expected);
  });

  it("lets in no namespace whose labels aren't known, also where a selector only excludes", () => {
    const unknown = { name: "shop", labels: undefined };
    const excluding = rule({ selector: { matchExpressions: [not("tier", "2")] } }, "**");
    expect(mayRead([excluding], unknown, "k")).toBe(false);
    expect(mayRead([excluding], { ...unknown, labels: {} }, "k")).toBe(true);
    expect(mayRead([rule({ names: ["shop"] }, "**")], unknown, "k")).toBe(true);
  });

  it("needs namespace and key in the same rule", () => {
    const rules = [rule({ names: ["shop"] }, "a/**"), rule({ names: ["other"] }, "b/**")];
    expect(mayRead(rules, namespace, "a/x")).toBe(true);
    expect(mayRead(rules, namespace, "b/x")).toBe(false);
  });
});
