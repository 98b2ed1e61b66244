import { describe, expect, it } from "@jest/globals";
import { classify, identityError } from "../../src/providers/aws/failure.ts";

/** Without a status: nothing answered. */
const error = (name: string, httpStatusCode: number | "none" = 400, message = "") => ({
  name,
  message,
  $metadata: httpStatusCode === "none" ? {} : { httpStatusCode },
});
const failureOf = (thrown: unknown) => {
  const outcome = classify(thrown);
  return outcome.kind === "failed" ? outcome.failure : outcome.kind;
};

describe("an answer of AWS", () => {
  it.each([
    ["AccessDeniedException", "AccessDenied", "request"],
    ["AccessDenied", "AccessDenied", "request"],
    ["UnrecognizedClientException", "AuthenticationFailed", "provider"],
    ["InvalidClientTokenId", "AuthenticationFailed", "provider"],
    ["InvalidSignatureException", "AuthenticationFailed", "provider"],
    ["ExpiredTokenException", "AuthenticationFailed", "provider"],
    ["CredentialsProviderError", "AuthenticationFailed", "provider"],
    ["ThrottlingException", "RateLimited", "provider"],
    ["TooManyRequestsException", "RateLimited", "provider"],
    ["DecryptionFailure", "DecryptionFailed", "request"],
    ["KMSAccessDeniedException", "DecryptionFailed", "request"],
    ["InvalidParameterException", "ProviderRefused", "request"],
    ["InvalidRequestException", "ProviderRefused", "request"],
    ["ValidationException", "ProviderRefused", "request"],
    ["SomethingNew", "ProviderRefused", "request"],
    // Members that every object has are no names of errors.
    ["constructor", "ProviderRefused", "request"],
  ])("%s is %s for the %s", (name, reason, scope) => {
    expect(failureOf(error(name))).toMatchObject({ reason, scope });
  });

  it.each([
    [429, "RateLimited"],
    [500, "ProviderUnreachable"],
    [503, "ProviderUnreachable"],
    [418, "ProviderRefused"],
    [200, "ProviderUnreachable"],
    ["none" as const, "ProviderUnreachable"],
  ])("without a known name counts by its status %p: %s", (status, reason) => {
    expect(failureOf(error("Unknown", status))).toMatchObject({ reason });
  });

  it.each([
    "SELF_SIGNED_CERT_IN_CHAIN",
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "CERT_HAS_EXPIRED",
    "ERR_TLS_CERT_ALTNAME_INVALID",
  ])("that never came, as %s tells, is told as a matter of certificates", (code) => {
    expect(failureOf({ name: "Error", code, message: "unable" })).toMatchObject({
      reason: "ProviderUnreachable",
      message: expect.stringContaining(`isn't trusted (${code})`),
    });
  });

  it.each([
    ["ENOTFOUND", "the name of AWS can't be resolved (ENOTFOUND)"],
    ["ECONNREFUSED", "nothing listens at the address of AWS (ECONNREFUSED)"],
    // These come and go, and would be another message at each try.
    ["ECONNRESET", "AWS does not answer"],
    ["EAI_AGAIN", "AWS does not answer"],
  ])("that never came, by %s, is told as %s", (code, told) => {
    expect(failureOf({ name: "Error", code, message: "connect" })).toMatchObject({
      reason: "ProviderUnreachable",
      message: expect.stringContaining(told),
    });
  });

  it("that the SDK couldn't parse counts by the status of the raw response", () => {
    expect(failureOf({ name: "SyntaxError", $response: { statusCode: 502 } })).toMatchObject({
      message: "AWS answers with server errors",
    });
  });

  it.each([
    ["ResourceNotFoundException", "Secrets Manager can't find the specified secret."],
    [
      "InvalidRequestException",
      "You can't perform this operation because the secret was marked for deletion.",
    ],
    ["InvalidRequestException", "... because it was marked deleted."],
    ["InvalidRequestException", "... is currently scheduled for deletion."],
  ])("%s: %s is a missing secret", (name, message) => {
    expect(failureOf(error(name, 400, message))).toBe("missing");
  });

  it("quotes nothing of AWS's message", () => {
    const outcome = classify(error("AccessDeniedException", 400, "User arn:aws:iam::1:user/x request id 42"));
    expect(JSON.stringify(outcome)).not.toMatch(/arn:|42/);
  });

  it.each([
    ["7", 7_000],
    ["3600", 60_000],
    ["soon", undefined],
    ["-1", undefined],
    [undefined, undefined],
  ])("with Retry-After %p waits %p ms", (header, milliseconds) => {
    const headers = header === undefined ? {} : { "retry-after": header };
    const thrown = { ...error("ThrottlingException"), $response: { statusCode: 400, headers } };
    const outcome = classify(thrown);
    expect(outcome.kind === "failed" && outcome.failure.retryAfterMs).toBe(milliseconds);
  });
});

describe("an error of the identity", () => {
  it("that STS refuses says so, and doesn't look like a missing permission on a secret", () => {
    const outcome = classify(identityError(error("AccessDenied", 403)));
    expect(outcome).toMatchObject({
      kind: "failed",
      failure: { reason: "AuthenticationFailed", scope: "provider" },
    });
    expect(JSON.stringify(outcome)).toContain("trust policy");
  });

  it.each([
    ["a throttle", error("ThrottlingException", 400)],
    ["a throttle of STS's older kind", error("TooManyRequestsException", 429)],
    ["a server error", error("InternalFailure", 500)],
    ["no answer", error("TimeoutError", "none")],
  ])("that is %s stays what it is", (_case, thrown) => {
    expect(identityError(thrown)).toBe(thrown);
  });
});
