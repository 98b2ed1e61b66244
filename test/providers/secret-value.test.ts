import { describe, expect, it } from "@jest/globals";
import { format, inspect } from "node:util";
import { SecretValue } from "../../src/providers/secret-value.ts";
import { CANARY } from "../support/gen.ts";

describe("a secret value", () => {
  const secret = SecretValue.fromText(CANARY);

  it.each<[string, () => unknown]>([
    ["joining", () => ["x", secret].join("")],
    ["concatenation", () => "x".concat(secret as unknown as string)],
    ["addition", () => "x" + (secret as unknown as string)],
    ["JSON", () => JSON.stringify({ secret })],
    ["inspect", () => inspect({ secret }, { showHidden: true, depth: 9 })],
    ["format", () => format("%s %o %j", secret, secret, secret)],
    ["an error", () => new Error("bad", { cause: secret })],
    ["its entries", () => Object.entries(secret)],
  ])("is not shown by %s", (_case, show) => {
    expect(inspect(show(), { showHidden: true, depth: 9 })).not.toContain(CANARY);
  });

  it("is given to who asks for it", () => {
    expect(secret.reveal().toString()).toBe(CANARY);
    expect(secret.held).toBe(CANARY.length);
    expect(secret.equals(SecretValue.fromText(CANARY))).toBe(true);
    expect(secret.equals(SecretValue.fromText("other"))).toBe(false);
  });
});
