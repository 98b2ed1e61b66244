import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "@jest/globals";
import type { ReadResult, SecretStore } from "../../src/providers/contract.ts";
import { openSecretsManager } from "../../src/providers/aws/secrets-manager.ts";
import { describeProviderContract } from "../contract/provider-contract.ts";
import { AwsStandIn, type Fault, type FaultRule } from "../support/aws-stand-in.ts";
import { awsUser, TEST_CREDENTIALS, TEST_REGION } from "../support/aws.ts";
import { awsEndpoint, unique } from "../support/suite.ts";

/** The AWS reader against ministack, and against the stand-in that the other tests trust. */
const standIn = new AwsStandIn();
const standInEndpoint = await standIn.start();
afterAll(() => standIn.stop());

const admitAnswer = () => () => Promise.resolve();
const openAt = (endpoint: string) =>
  openSecretsManager({
    region: TEST_REGION,
    endpoint,
    credentials: TEST_CREDENTIALS,
    maxConcurrent: 100,
    admitAnswer,
  });

const batchOf = (reader: SecretStore, keys: readonly string[]) =>
  reader.batch?.read(keys, never) ?? Promise.reject(new Error("it reads no batches"));

/** What a reader of the stand-in makes of this fault. */
async function under<T>(fault: FaultRule, ask: (reader: SecretStore) => Promise<T>): Promise<T> {
  const reader = openAt(standInEndpoint);
  standIn.fault = fault;
  try {
    return await ask(reader);
  } finally {
    standIn.fault = () => undefined;
    reader.close();
  }
}

/** What a reader of the stand-in finds that has no credentials but those of this environment. */
async function readWithin(
  environment: Record<string, string>,
  key: string,
  proxyEnv?: Record<string, string>,
): Promise<ReadResult> {
  const saved = { ...process.env };
  for (const name of ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"]) delete process.env[name];
  Object.assign(process.env, { AWS_EC2_METADATA_DISABLED: "true" }, environment);
  const reader = openSecretsManager({
    region: TEST_REGION,
    endpoint: standInEndpoint,
    maxConcurrent: 1,
    admitAnswer,
    proxyEnv,
  });
  try {
    return await reader.read({ key }, AbortSignal.timeout(10_000));
  } finally {
    reader.close();
    process.env = saved;
  }
}

const never = new AbortController().signal;

for (const [name, endpoint] of Object.entries({ ministack: awsEndpoint, "the stand-in": standInEndpoint })) {
  const open = () => openAt(endpoint);
  describeProviderContract({ name, open, lacks: ["feed"], seed: awsUser(endpoint), unique });
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
    ["an answer without an end", { kind: "endless" }, "ProviderUnreachable", "provider"],
  ])("%s is told as what it is, in words that stay the same", async (_case, fault, reason, scope) => {
    const key = unique("f");
    standIn.put(key, "value");
    const result = await under(
      () => fault,
      (reader) => reader.read({ key }, never),
    );
    expect(result).toMatchObject({ kind: "failed", failure: { reason, scope } });
    expect(JSON.stringify(result)).not.toContain("request id");
  });

  it.each<[string, Fault, string]>([
    ["a denial", error(400, "AccessDeniedException"), "AccessDenied"],
    [
      "an operation that the endpoint doesn't have",
      error(400, "ResourceNotFoundException"),
      "ProviderRefused",
    ],
  ])("%s of a whole batch says nothing about a key", async (_case, fault, reason) => {
    const keys = [unique("f"), unique("f")];
    const results = await under(
      () => fault,
      (reader) => batchOf(reader, keys),
    );
    expect(results).toMatchObject({ kind: "failed", failure: { reason, scope: "batch" } });
  });

  it("a listing that isn't there is no empty listing", async () => {
    const result = await under(
      () => error(400, "ResourceNotFoundException"),
      (reader) => reader.listing!.page({}, undefined, never),
    );
    expect(result).toMatchObject({ kind: "failed", failure: { reason: "ProviderRefused" } });
  });

  it("finds by tags that AWS takes no filter for ask for what fits, and leave the rest to the finder", async () => {
    const name = unique("tagged");
    const tags = {
      "!not": "!this",
      größe: "ä,b;c",
      ...Object.fromEntries(Array.from({ length: 12 }, (_, index) => [`t${index}`, `v${index}`])),
    };
    standIn.put(name, "x", tags);
    const page = await under(
      () => undefined,
      (reader) => reader.listing!.page({ tags }, undefined, never),
    );
    expect(page).toMatchObject({
      kind: "page",
      secrets: expect.arrayContaining([expect.objectContaining({ name, tags })]),
    });
  });

  it.each([
    ["InvalidParameterException", "ProviderRefused", "refuses to list secrets by that path and these tags"],
    ["AccessDeniedException", "AccessDenied", "allow secretsmanager:ListSecrets"],
  ])("a listing that is refused by %s is told as a listing", async (type, reason, words) => {
    const result = await under(
      () => error(400, type),
      (reader) => reader.listing!.page({}, undefined, never),
    );
    expect(result).toMatchObject({ failure: { reason, message: expect.stringContaining(words) } });
  });

  it.each([
    ["a value", { VersionId: "v1" }],
    ["a version", { SecretString: "x" }],
  ])("an answer without %s is a failure, never an empty secret", async (_case, body) => {
    const result = await under(
      () => ({ kind: "body", body: JSON.stringify(body) }),
      (reader) => reader.read({ key: "k" }, never),
    );
    expect(result).toMatchObject({ kind: "failed", failure: { reason: "ProviderRefused" } });
  });

  it("an empty text is a value", async () => {
    const key = unique("f");
    standIn.put(key, "");
    const result = await under(
      () => undefined,
      (reader) => reader.read({ key }, never),
    );
    expect(result.kind === "found" && result.value.reveal().length).toBe(0);
  });

  it("Retry-After is passed on", async () => {
    const result = await under(
      () => error(400, "ThrottlingException", { "retry-after": "7" }),
      (reader) => reader.read({ key: "k" }, never),
    );
    expect(result).toMatchObject({ failure: { retryAfterMs: 7_000 } });
  });

  it("a secret that waits for its deletion is missing", async () => {
    const key = unique("f");
    standIn.put(key, "value");
    const result = await under(
      () => ({
        kind: "error",
        status: 400,
        type: "InvalidRequestException",
        message: "You can't perform this operation on the secret because it was marked for deletion.",
      }),
      (reader) => reader.read({ key }, never),
    );
    expect(result).toEqual({ kind: "missing" });
  });

  it("an answer that never ends is given up", async () => {
    const key = unique("f");
    standIn.put(key, "x".repeat(1000));
    const result = await under(
      () => ({ kind: "slow", millisecondsPerByte: 1000 }),
      (reader) => reader.read({ key }, AbortSignal.timeout(500)),
    );
    expect(result).toMatchObject({ kind: "failed", failure: { reason: "ProviderUnreachable" } });
  });

  it("credentials that are nowhere are told as that", async () => {
    const nowhere = { AWS_SHARED_CREDENTIALS_FILE: "/nonexistent", AWS_CONFIG_FILE: "/nonexistent" };
    const result = await readWithin(nowhere, "k");
    expect(result).toMatchObject({ kind: "failed", failure: { reason: "AuthenticationFailed" } });
  });

  it("a failure of AWS's own in a batch is asked for once more, alone", async () => {
    const keys = [unique("f"), unique("f")];
    for (const key of keys) standIn.put(key, key);
    const results = await under(
      (operation) =>
        operation === "BatchGetSecretValue"
          ? { kind: "partial", keys: [keys[0]!], code: "InternalServiceError" }
          : undefined,
      (reader) => batchOf(reader, keys),
    );
    expect([...(results as ReadonlyMap<string, ReadResult>).values()].map(({ kind }) => kind)).toEqual([
      "found",
      "found",
    ]);
  });

  it("as many calls run at once as are allowed", async () => {
    const keys = Array.from({ length: 100 }, () => unique("f"));
    for (const key of keys) standIn.put(key, key);
    let waiting = 0;
    const { promise: all, resolve: allWait } = Promise.withResolvers<void>();
    const results = await under(
      async () => {
        if (++waiting === keys.length) allWait();
        await all;
        return undefined;
      },
      (reader) => Promise.all(keys.map((key) => reader.read({ key }, AbortSignal.timeout(20_000)))),
    );
    expect(results.filter(({ kind }) => kind !== "found")).toEqual([]);
  });

  it("a batch leaves nobody out in silence", async () => {
    const keys = [unique("f"), unique("f")];
    for (const key of keys) standIn.put(key, key);
    const results = await under(
      (operation) =>
        operation === "BatchGetSecretValue"
          ? { kind: "body", body: '{"SecretValues":[],"Errors":[]}' }
          : undefined,
      (reader) => batchOf(reader, keys),
    );
    expect([...(results as ReadonlyMap<string, ReadResult>).values()].map(({ kind }) => kind)).toEqual([
      "found",
      "found",
    ]);
  });
});

/** As a pod with IRSA has it: https://docs.aws.amazon.com/eks/latest/userguide/iam-roles-for-service-accounts.html */
describe("a listing of secrets with very many tags", () => {
  it("goes on in smaller pages, and grows again where tags are few", async () => {
    const prefix = unique("tagged");
    const tags = Object.fromEntries(
      Array.from({ length: 50 }, (_, tag) => [`${tag}`.padEnd(128, "t"), "v".repeat(256)]),
    );
    for (let index = 0; index < 220; index++)
      standIn.put(`${prefix}/${String(index).padStart(3, "0")}`, "x", index < 126 ? tags : {});
    const sizes: unknown[] = [];
    const names: string[] = [];
    await under(
      (operation, input) => void (operation === "ListSecrets" && sizes.push(input["MaxResults"])),
      async (reader) => {
        let next: string | undefined;
        do {
          const page = await reader.listing!.page({ namePrefix: prefix }, next, never);
          if (page.kind !== "page") throw new Error(page.failure.message);
          names.push(...page.secrets.map(({ name }) => name));
          next = page.next;
        } while (next);
      },
    );
    expect(sizes).toEqual([100, 27, 27, 54, 100]);
    expect(new Set(names).size).toBe(220);
  });
});

describe("a web identity", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "secretsync-identity-"));
  const token = path.join(folder, "token");
  writeFileSync(token, "a.service.token");
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** What the operator tells when STS answers like that. */
  const read = (key: string, sts: { url: string }, proxyEnv?: Record<string, string>) =>
    readWithin(
      {
        AWS_ROLE_ARN: "arn:aws:iam::123456789012:role/secretsync",
        AWS_WEB_IDENTITY_TOKEN_FILE: token,
        AWS_ENDPOINT_URL_STS: sts.url,
      },
      key,
      proxyEnv,
    );

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

  it("gets them through the proxy, too", async () => {
    const asked: (string | undefined)[] = [];
    const proxy = createServer((incoming, answer) => {
      asked.push(incoming.url);
      const { method, headers } = incoming;
      const onward = request(awsEndpoint, { method, headers }, (response) => {
        answer.writeHead(response.statusCode ?? 502, response.headers);
        response.pipe(answer);
      });
      incoming.pipe(onward);
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    const { port } = proxy.address() as AddressInfo;
    const key = unique("f");
    standIn.put(key, "value");
    const env = { HTTP_PROXY: `http://127.0.0.1:${port}`, NO_PROXY: "127.0.0.1,localhost" };
    const result = await read(key, { url: "http://sts.invalid" }, env);
    proxy.close();
    expect(result).toMatchObject({ kind: "found" });
    expect(asked).toEqual(["http://sts.invalid/"]);
  });

  it.each([
    ["AccessDenied", 403],
    ["InvalidIdentityToken", 400],
  ])("that STS refuses with %s isn't taken for a secret that may not be read", async (code, status) => {
    const sts = await refusing(code, status);
    const result = await read("k", sts).finally(() => sts.server.close());
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
    const key = unique("f");
    standIn.put(key, "value");
    const result = await readWithin(
      {
        AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://127.0.0.1:${(agent.address() as AddressInfo).port}/v1/credentials`,
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: token,
      },
      key,
    );
    agent.close();
    rmSync(folder, { recursive: true, force: true });
    expect(result.kind).toBe("found");
    expect(asked).toEqual(["pod-token"]);
    expect(standIn.identities.get("AKIAPOD session")).toBe(1);
  });
});

describe("a proxy", () => {
  const through = (endpoint: string, proxyEnv: Record<string, string>) =>
    openSecretsManager({
      region: TEST_REGION,
      endpoint,
      credentials: TEST_CREDENTIALS,
      maxConcurrent: 1,
      admitAnswer,
      proxyEnv,
    });

  it("of the environment leads to AWS, unless the host is one of NO_PROXY", async () => {
    const key = unique("proxied");
    standIn.put(key, "value");
    const reader = through("http://aws.invalid", { HTTP_PROXY: standInEndpoint });
    expect(await reader.read({ key }, never)).toMatchObject({ kind: "found" });
    reader.close();
    const direct = through("http://aws.invalid", { HTTP_PROXY: standInEndpoint, NO_PROXY: "aws.invalid" });
    expect(await direct.read({ key }, never)).toMatchObject({ failure: { reason: "ProviderUnreachable" } });
    direct.close();
  });

  it("that refuses is told with its answer, and never with its address, which may hold a password", async () => {
    const proxy = createServer();
    proxy.on("connect", (_request, socket) =>
      socket.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"),
    );
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    const { port } = proxy.address() as AddressInfo;
    const reader = through("https://aws.invalid", { HTTPS_PROXY: `http://user:canary@127.0.0.1:${port}` });
    const result = await reader.read({ key: "k" }, never);
    reader.close();
    proxy.close();
    expect(result).toMatchObject({
      failure: {
        reason: "ProviderUnreachable",
        message: expect.stringContaining("answers HTTP/1.1 407 Proxy Authentication Required"),
      },
    });
    expect(JSON.stringify(result)).not.toContain("canary");
  });
});
