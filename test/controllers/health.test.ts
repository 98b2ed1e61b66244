import { beforeEach, describe, expect, it } from "@jest/globals";
import { Health } from "../../src/controllers/health.ts";
import { ApiError } from "../../src/kube/kube-api.ts";
import { noLogger } from "../support/no-logger.ts";

/** What only an admin can mend, and how often it is told. */

let logged: string[];
let health: Health;

beforeEach(() => {
  logged = [];
  health = new Health({
    ...noLogger,
    warn: (fields, message) =>
      logged.push(`warn ${message}: ${String((fields as { detail?: string }).detail)}`),
    debug: (_fields, message) => logged.push(`debug ${message}`),
  });
});

const denied = (message: string) => new ApiError(403, "Forbidden", message);

describe("what keeps the operator from its work", () => {
  it("is told once, however often it is tried again, and again when it is another one", () => {
    for (const message of ["no", "no", "never"])
      health.failed("watch Secret", denied(message), "watch failed");
    expect(logged).toEqual(["warn watch failed: no", "debug watch failed", "warn watch failed: never"]);
    expect(health.problems).toEqual(["never"]);
    health.works("watch Secret");
    expect(health.problems).toEqual([]);
    health.failed("watch Secret", denied("no"), "watch failed");
    expect(logged.at(-1)).toBe("warn watch failed: no");
  });

  it("is a right that it lacks, or a kind that isn't there; anything else passes", () => {
    const gone = new ApiError(404, "NotFound", "no");
    health.failed("a", gone, "failed", { needsCrd: true });
    expect(health.problems).toEqual([expect.stringContaining("a CRD is not installed")]);
    for (const error of [gone, new ApiError(503, "Unavailable", "no"), new Error("reset")])
      health.failed("b", error, "failed");
    expect(health.problems).toHaveLength(1);
    expect(logged.filter((line) => line.startsWith("warn"))).toHaveLength(4);
  });

  it("is an object that the apiserver can't decrypt, by name, in the words of each of its versions", () => {
    for (const [index, message] of [
      "failed to read one or more secrets from the storage: StorageError: corrupt object, Code: 7, Key: /registry/secrets/shop/db, ResourceVersion: 0, AdditionalErrorMsg: no key",
      "Internal error occurred: StorageError: corrupt object, Code: 7, Key: /secrets/shop/db, ResourceVersion: 0",
      'Internal error occurred: unable to transform key "/registry/secrets/shop/db": no matching prefix found',
      'Internal error occurred: unable to transform key "/kubernetes.io/secrets/shop/db": no matching prefix',
    ].entries()) {
      const error = new ApiError(index === 0 ? 429 : 500, "InternalError", message);
      health.failed(`watch ${index}`, error, "watch failed");
      expect(health.problems.at(-1)).toContain("the apiserver can't decrypt shop/db,");
    }
    expect(new ApiError(404, "NotFound", 'secrets "corrupt object, Key: /a/b" not found').unreadable).toBe(
      undefined,
    );
  });

  it("of one namespace of several is that namespace's alone", () => {
    health.failed("watch Secret", denied("no"), "watch failed", { scope: "shop" });
    health.failed("watch Pod", denied("nor"), "watch failed", { scope: "shop" });
    expect(health.problems).toEqual([]);
    expect(health.problemsOf("shop")).toEqual(["no", "nor"]);
    expect(health.problemsOf("other")).toEqual([]);
    health.works("watch Secret", "shop");
    health.works("watch Secret");
    expect(health.problemsOf("shop")).toEqual(["nor"]);
  });
});
