import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
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
  openSecretsManager({ region: TEST_REGION, endpoint, credentials: TEST_CREDENTIALS, maxConcurrent: 100 });

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
    const reader = openSecretsManager({ region: TEST_REGION, endpoint: standInEndpoint, maxConcurrent: 1 });
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

  it("a failure of AWS's own in a batch is asked for once more, alone", async () => {
    const keys = [unique("f"), unique("f")];
    for (const key of keys) standIn.put(key, key);
    standIn.fault = (operation) =>
      operation === "BatchGetSecretValue"
        ? { kind: "partial", keys: [keys[0]!], code: "InternalServiceError" }
        : undefined;
    const reader = open(standInEndpoint);
    const results = await reader.readBatch(keys, new AbortController().signal);
    standIn.fault = () => undefined;
    reader.close();
    expect([...results.values()].map(({ kind }) => kind)).toEqual(["found", "found"]);
  });

  it("as many calls run at once as are allowed", async () => {
    const keys = Array.from({ length: 100 }, () => unique("f"));
    for (const key of keys) standIn.put(key, key);
    standIn.latencyMs = 2_000;
    const reader = open(standInEndpoint);
    const limit = AbortSignal.timeout(3_500);
    const results = await Promise.all(keys.map((key) => reader.read({ key }, limit)));
    standIn.latencyMs = 0;
    reader.close();
    expect(results.filter(({ kind }) => kind !== "found")).toEqual([]);
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

/** As a pod with IRSA has it: https://docs.aws.amazon.com/eks/latest/userguide/iam-roles-for-service-accounts.html */
describe("a web identity", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "secretsync-identity-"));
  const token = path.join(folder, "token");
  writeFileSync(token, "a.service.token");
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** What the operator tells when STS answers like that. */
  async function read(key: string, sts: { url: string }) {
    const saved = { ...process.env };
    Object.assign(process.env, {
      AWS_ROLE_ARN: "arn:aws:iam::123456789012:role/secretsync",
      AWS_WEB_IDENTITY_TOKEN_FILE: token,
      AWS_ENDPOINT_URL_STS: sts.url,
      AWS_EC2_METADATA_DISABLED: "true",
    });
    for (const name of ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"])
      delete process.env[name];
    const reader = openSecretsManager({ region: TEST_REGION, endpoint: standInEndpoint, maxConcurrent: 1 });
    const result = await reader.read({ key }, AbortSignal.timeout(10_000));
    reader.close();
    process.env = saved;
    return result;
  }

  const refusing = async (code: string, status: number) => {
    const server = createServer((incoming, answer) => {
      incoming.resume();
      answer
        .writeHead(status, { "content-type": "text/xml" })
        .end(
          `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Code>${code}</Code><Message>no</Message></Error></ErrorResponse>`,
        );
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
  };

  it("gets credentials for its role, and reads with them", async () => {
    const key = unique("f");
    standIn.put(key, "value");
    expect(await read(key, { url: awsEndpoint })).toMatchObject({ kind: "found" });
  });

  it.each([
    ["AccessDenied", 403],
    ["InvalidIdentityToken", 400],
  ])("that STS refuses with %s isn't taken for a secret that may not be read", async (code, status) => {
    const sts = await refusing(code, status);
    const result = await read("k", sts);
    sts.server.close();
    expect(result).toMatchObject({
      kind: "failed",
      failure: {
        reason: "AuthenticationFailed",
        scope: "provider",
        message: expect.stringContaining("trust policy"),
      },
    });
  });
});

/** As a pod with EKS Pod Identity has it: https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html */
describe("an identity from the node's agent", () => {
  it("is asked for with the pod's token, and reads", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "secretsync-agent-"));
    const token = path.join(folder, "token");
    writeFileSync(token, "pod-token");
    const asked: (string | undefined)[] = [];
    const agent = createServer((incoming, answer) => {
      asked.push(incoming.headers.authorization);
      answer.writeHead(200, { "content-type": "application/json" }).end(
        JSON.stringify({
          AccessKeyId: "AKIAPOD",
          SecretAccessKey: "secret",
          Token: "session",
          Expiration: new Date(Date.now() + 3_600_000).toISOString(),
        }),
      );
    });
    await new Promise<void>((resolve) => agent.listen(0, "127.0.0.1", resolve));
    const saved = { ...process.env };
    Object.assign(process.env, {
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://127.0.0.1:${(agent.address() as AddressInfo).port}/v1/credentials`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: token,
      AWS_EC2_METADATA_DISABLED: "true",
    });
    for (const name of ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"])
      delete process.env[name];
    const key = unique("f");
    standIn.put(key, "value");
    const reader = openSecretsManager({ region: TEST_REGION, endpoint: standInEndpoint, maxConcurrent: 1 });
    const result = await reader.read({ key }, AbortSignal.timeout(10_000));
    reader.close();
    process.env = saved;
    agent.close();
    rmSync(folder, { recursive: true, force: true });
    expect(result.kind).toBe("found");
    expect(asked).toEqual(["pod-token"]);
    expect(standIn.identities.get("AKIAPOD session")).toBe(1);
  });
});
