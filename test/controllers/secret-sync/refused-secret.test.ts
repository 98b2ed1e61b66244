import { describe, expect, it } from "@jest/globals";
import { conflictOf, failureOf, holderOf } from "../../../src/controllers/secret-sync/refused-secret.ts";
import { ApiError, type KubeObject } from "../../../src/kube/kube-api.ts";
import type { ApplySecret } from "../../../src/plan/step.ts";

/** What the apiserver says is made into what to do. */

const step: ApplySecret = {
  kind: "applySecret",
  fieldManager: "secretsync",
  name: "db",
  namespace: "shop",
  type: "kubernetes.io/tls",
  labels: {},
  annotations: {},
  ownerReferences: [],
  data: new Map(),
};
const refused = (status: number, ...causes: readonly string[]) =>
  new ApiError(status, "Invalid", `the apiserver refused the object: ${causes.join(", ")}`);
const missing = ["data[tls.crt] (FieldValueRequired)", "data[tls.key] (FieldValueRequired)"];
const otherType = "type (FieldValueInvalid): field is immutable";

describe("a Secret that is refused", () => {
  it("for keys that its type asks for names them", () => {
    expect(failureOf(step, refused(422, ...missing))).toEqual({
      reason: "WriteFailed",
      message:
        'spec.target: Secret db: a Secret of type kubernetes.io/tls asks for more: key "tls.crt" is missing, key "tls.key" is missing; add them to spec.data, or correct spec.target.type',
    });
    const docker = { ...step, type: "kubernetes.io/dockerconfigjson" };
    expect(failureOf(docker, refused(422, "data[.dockerconfigjson] (FieldValueInvalid)")).message).toContain(
      'key ".dockerconfigjson" holds something else',
    );
  });

  it("as the live one has another type is told so, with all that is wrong before any advice", () => {
    const update = { ...step, uid: "u" };
    expect(failureOf(update, refused(422, otherType))).toEqual({
      reason: "TargetImmutable",
      message:
        "spec.target: Secret db has another type than spec.target.type, which can't be changed; correct the type, or delete it to have it written anew",
    });
    const both = failureOf(update, refused(422, otherType, ...missing));
    expect(both.reason).toBe("TargetImmutable");
    expect(both.message).toContain("keep it, as the new one would be refused as well: a Secret of type");
    expect(both.message).toContain('key "tls.key" is missing; correct that first');
    expect(failureOf(update, refused(422, "data (FieldValueForbidden): field is immutable"))).toEqual({
      reason: "TargetImmutable",
      message:
        "spec.target: Secret db is immutable, so its content can't be changed; delete it to have it written anew",
    });
  });

  it("for anything else keeps the apiserver's words", () => {
    const named = refused(422, "metadata.labels (FieldValueInvalid): bad label", ...missing);
    expect(failureOf(step, named)).toEqual({
      reason: "WriteFailed",
      message: `spec.target: Secret db: ${named.message}`,
    });
    expect(failureOf(step, new ApiError(500, "InternalError", "webhook said CANARY")).message).toBe(
      "spec.target: Secret db: the apiserver answered 500",
    );
    expect(failureOf(step, new ApiError(404, "NotFound", "x")).message).toContain(
      "namespace shop doesn't exist",
    );
    expect(failureOf(step, new ApiError(403, "Forbidden", "x")).message).toContain("check its Role");
  });

  it("for fields that others own names the first, unless the step may take them", () => {
    const merge = { ...step, ownKeys: ["mine"] };
    const of = (...fields: readonly string[]) =>
      new ApiError(
        409,
        "Conflict",
        "",
        undefined,
        fields.map((field) => ({ field, manager: "argocd" })),
      );
    expect(conflictOf(merge, of(".data.mine", ".data.theirs"))).toEqual({
      reason: "TargetConflict",
      message:
        'spec.target: key "theirs" of Secret db belongs to "argocd", and creationPolicy Merge changes only keys that it added; use another secretKey, or remove the key from the Secret',
    });
    expect(conflictOf(merge, of(".data.mine"))).toBeUndefined();
    expect(conflictOf(step, of(".data.theirs"))).toBeUndefined();
  });
});

describe("who holds a key", () => {
  const secret = (...managedFields: readonly unknown[]) =>
    ({ metadata: { name: "db", managedFields } }) as unknown as KubeObject;

  it("is who wrote it, by data or by stringData", () => {
    const of = (field: string) => ({ manager: "kubectl", fieldsV1: { [field]: { "f:k": {} } } });
    expect(holderOf(secret({ manager: "other" }, of("f:data")), "k")).toBe("kubectl");
    expect(holderOf(secret(of("f:stringData")), "k")).toBe("kubectl");
    expect(holderOf(secret(of("f:data")), "other")).toBeUndefined();
    expect(holderOf(secret(null, { fieldsV1: 5 }), "k")).toBeUndefined();
  });
});
