import { afterAll, describe, expect, it } from "@jest/globals";
import { openSecretsManager } from "../../src/providers/aws/secrets-manager.ts";
import { describeProviderContract } from "../contract/provider-contract.ts";
import { AwsStandIn, type Fault } from "../support/aws-stand-in.ts";
import { awsUser, TEST_CREDENTIALS, TEST_REGION } from "../support/aws.ts";
import { awsEndpoint, unique } from "../support/suite.ts";

/** The AWS reader against ministack, and against the stand-in that the other tests trust. */
const standIn = new AwsStandIn();
const standInEndpoint = await standIn.start();
afterAll(() => standIn.stop());

const open = (endpoint: string) =>
  openSecretsManager({ region: TEST_REGION, endpoint, credentials: TEST_CREDENTIALS });

for (const [name, endpoint] of Object.entries({ ministack: awsEndpoint, "the stand-in": standInEndpoint })) {
  describeProviderContract({ name, open: () => open(endpoint), seed: awsUser(endpoint), unique });
}

describe("faults of AWS", () => {
  const error = (status: number, type: string, headers?: Record<string, string>): Fault => ({
    kind: "error",
    status,
    type,
    message: `request id 1234 for ${type}`,
    ...(headers ? { headers } : {}),
  });
  it.each<[string, Fault, string, string]>([
    ["a denial", error(400, "AccessDeniedException"), "AccessDenied", "request"],
    ["a wrong key", error(400, "UnrecognizedClientException"), "AuthenticationFailed", "provider"],
    ["an expired token", error(400, "ExpiredTokenException"), "AuthenticationFailed", "provider"],
    ["throttling", error(400, "ThrottlingException"), "RateLimited", "provider"],
    ["status 429", error(429, "Whatever"), "RateLimited", "provider"],
    ["a server error", error(500, "InternalServiceError"), "ProviderUnreachable", "provider"],
    ["a bad gateway", error(502, "BadGateway"), "ProviderUnreachable", "provider"],
    ["a broken KMS key", error(400, "DecryptionFailure"), "DecryptionFailed", "request"],
    ["an invalid parameter", error(400, "InvalidParameterException"), "ProviderRefused", "request"],
    ["an error that nobody knows", error(418, "Teapot"), "ProviderRefused", "request"],
    ["a reset", { kind: "reset" }, "ProviderUnreachable", "provider"],
    ["half an answer", { kind: "truncate" }, "ProviderUnreachable", "provider"],
    ["a page of a proxy", { kind: "body", body: "<html>" }, "ProviderUnreachable", "provider"],
    ["an answer without a value", { kind: "body", body: "{}" }, "ProviderRefused", "request"],
  ])("%s is told as what it is, in words that stay the same", async (_case, fault, reason, scope) => {
    const key = unique("f");
    standIn.put(key, "value");
    standIn.fault = () => fault;
    const reader = open(standInEndpoint);
    const result = await reader.read({ key }, new AbortController().signal);
    standIn.fault = () => undefined;
    reader.close();
    expect(result).toMatchObject({ kind: "failed", failure: { reason, scope } });
    expect(JSON.stringify(result)).not.toContain("request id");
  });

  it("Retry-After is passed on", async () => {
    standIn.fault = () => error(400, "ThrottlingException", { "retry-after": "7" });
    const reader = open(standInEndpoint);
    const result = await reader.read({ key: "k" }, new AbortController().signal);
    standIn.fault = () => undefined;
    reader.close();
    expect(result).toMatchObject({ failure: { retryAfterMs: 7_000 } });
  });

  it("a secret that waits for its deletion is missing", async () => {
    const key = unique("f");
    standIn.put(key, "value");
    standIn.fault = () => ({
      kind: "error",
      status: 400,
      type: "InvalidRequestException",
      message: "You can't perform this operation on the secret because it was marked for deletion.",
    });
    const reader = open(standInEndpoint);
    expect(await reader.read({ key }, new AbortController().signal)).toEqual({ kind: "missing" });
    standIn.fault = () => undefined;
    reader.close();
  });

  it("an answer that never ends is given up", async () => {
    const key = unique("f");
    standIn.put(key, "x".repeat(1000));
    standIn.fault = () => ({ kind: "slow", millisecondsPerByte: 1000 });
    const reader = open(standInEndpoint);
    const result = await reader.read({ key }, AbortSignal.timeout(500));
    standIn.fault = () => undefined;
    reader.close();
    expect(result).toMatchObject({ kind: "failed", failure: { reason: "ProviderUnreachable" } });
  });

  it("credentials that are nowhere are told as that", async () => {
    const reader = openSecretsManager({ region: TEST_REGION, endpoint: standInEndpoint });
    const saved = { ...process.env };
    Object.assign(process.env, {
      AWS_EC2_METADATA_DISABLED: "true",
      AWS_SHARED_CREDENTIALS_FILE: "/nonexistent",
      AWS_CONFIG_FILE: "/nonexistent",
    });
    const result = await reader.read({ key: "k" }, new AbortController().signal);
    process.env = saved;
    reader.close();
    expect(result).toMatchObject({ kind: "failed", failure: { reason: "AuthenticationFailed" } });
  });

  it("a batch leaves nobody out in silence", async () => {
    const keys = [unique("f"), unique("f")];
    for (const key of keys) standIn.put(key, key);
    standIn.fault = (operation) =>
      operation === "BatchGetSecretValue"
        ? { kind: "body", body: '{"SecretValues":[],"Errors":[]}' }
        : undefined;
    const reader = open(standInEndpoint);
    const results = await reader.readBatch(keys, new AbortController().signal);
    standIn.fault = () => undefined;
    reader.close();
    expect([...results.values()].map(({ kind }) => kind)).toEqual(["found", "found"]);
  });
});
