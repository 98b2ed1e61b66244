import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { randomBytes, randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * AWS Secrets Manager as far as the operator uses it, with the faults that no emulator has. The same contract suite
 * runs against it and against ministack.
 * https://docs.aws.amazon.com/secretsmanager/latest/apireference/
 */

export type Fault =
  | {
      readonly kind: "error";
      readonly status: number;
      readonly type: string;
      readonly message?: string;
      readonly headers?: Record<string, string>;
    }
  /** The connection is cut before an answer. */
  | { readonly kind: "reset" }
  /** The connection is cut in the middle of the answer. */
  | { readonly kind: "truncate" }
  /** The answer comes byte by byte, or never to its end. */
  | { readonly kind: "slow"; readonly millisecondsPerByte: number }
  /** The answer goes on as long as somebody reads it. */
  | { readonly kind: "endless" }
  /** Something else than the protocol, with status 200. */
  | { readonly kind: "body"; readonly body: string }
  /** A batch in which these keys fail. */
  | { readonly kind: "partial"; readonly keys: readonly string[]; readonly code: string };

/** A rule that takes its time holds the answer back. */
export type FaultRule = (
  operation: string,
  input: Record<string, unknown>,
) => Fault | undefined | Promise<Fault | undefined>;

interface Version {
  readonly id: string;
  readonly value: string | Buffer;
  readonly created: number;
  stages: string[];
}
interface Secret {
  readonly name: string;
  readonly arn: string;
  tags: Record<string, string>;
  versions: Version[];
  deletedAt?: number;
  /** Seconds since 1970. */
  nextRotation?: number;
}

class AwsError extends Error {
  readonly type: string;
  constructor(type: string, message: string) {
    super(message);
    this.type = type;
  }
}

const ENDLESS = Buffer.alloc(65_536, '{"a":');

const notFound = () =>
  new AwsError("ResourceNotFoundException", "Secrets Manager can't find the specified secret.");

export class AwsStandIn {
  readonly #secrets = new Map<string, Secret>();
  readonly #server = createServer((request, response) => {
    this.#underWay++;
    this.mostAtOnce = Math.max(this.mostAtOnce, this.#underWay);
    response.once("close", () => this.#underWay--);
    void this.#handle(request, response);
  });
  #underWay = 0;
  /** Calls by operation since the last reset. */
  readonly calls = new Map<string, number>();
  /** Calls that were under way at once since the last reset. */
  mostAtOnce = 0;
  /** How often each secret was asked for by its name, alone or in a batch, and each prefix of names by a listing. */
  readonly asked = new Map<string, number>();
  /** Reads of values by access key id, with the session token where there is one. */
  readonly identities = new Map<string, number>();
  /** Which names an identity may read. */
  mayRead: (accessKeyId: string, name: string) => boolean = () => true;
  latencyMs = 0;
  fault: FaultRule = () => undefined;

  async start(): Promise<string> {
    this.#server.keepAliveTimeout = 60_000;
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  get callCount(): number {
    return [...this.calls.values()].reduce((sum, count) => sum + count, 0);
  }

  resetCalls(): void {
    this.calls.clear();
    this.mostAtOnce = 0;
  }

  /** Makes or rotates a secret without a call being counted. */
  put(name: string, value: string | Buffer, tags: Record<string, string> = {}): string {
    const known = this.#secrets.get(name);
    if (known) return this.#addVersion(known, value).id;
    const suffix = randomBytes(3).toString("hex");
    const secret: Secret = {
      name,
      arn: `arn:aws:secretsmanager:eu-west-1:123456789012:secret:${name}-${suffix}`,
      tags,
      versions: [],
    };
    this.#secrets.set(name, secret);
    return this.#addVersion(secret, value).id;
  }

  remove(name: string): void {
    this.#secrets.delete(name);
  }

  /** Gives the secret a schedule of rotation. */
  schedule(name: string, next: Date): void {
    const secret = this.#secrets.get(name);
    if (secret) secret.nextRotation = next.getTime() / 1000;
  }

  arnOf(name: string): string {
    return this.#secrets.get(name)?.arn ?? "";
  }

  #addVersion(secret: Secret, value: string | Buffer): Version {
    for (const version of secret.versions) {
      version.stages = version.stages.includes("AWSCURRENT")
        ? ["AWSPREVIOUS"]
        : version.stages.filter((stage) => stage !== "AWSPREVIOUS");
    }
    const version: Version = { id: randomUUID(), value, created: Date.now(), stages: ["AWSCURRENT"] };
    // Versions without a stage can still be read by their id.
    secret.versions = [version, ...secret.versions];
    return version;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const operation = String(request.headers["x-amz-target"] ?? "").replace("secretsmanager.", "");
    this.calls.set(operation, (this.calls.get(operation) ?? 0) + 1);
    const input = JSON.parse(Buffer.concat(chunks).toString() || "{}") as Record<string, unknown>;
    const names = [input["SecretId"], input["SecretIdList"]]
      .flat()
      .filter((name) => typeof name === "string");
    for (const name of [...names, ...prefixesOf(input)])
      this.asked.set(name, (this.asked.get(name) ?? 0) + 1);
    const [, accessKeyId = ""] = /Credential=([^/]+)\//.exec(request.headers.authorization ?? "") ?? [];
    if (operation.includes("GetSecretValue")) {
      const token = request.headers["x-amz-security-token"];
      const identity = token === undefined ? accessKeyId : `${accessKeyId} ${String(token)}`;
      this.identities.set(identity, (this.identities.get(identity) ?? 0) + 1);
      if (names.some((name) => !this.mayRead(accessKeyId, name))) {
        this.#answer(response, 400, { __type: "AccessDeniedException", message: "no" });
        return;
      }
    }
    if (this.latencyMs > 0) await sleep(this.latencyMs);
    const fault = await this.fault(operation, input);
    if (fault?.kind === "reset") {
      request.socket.destroy();
      return;
    }
    if (fault?.kind === "error") {
      this.#answer(
        response,
        fault.status,
        { __type: fault.type, message: fault.message ?? "no" },
        fault.headers,
      );
      return;
    }
    let status = 200;
    let output: unknown;
    try {
      output = this.#perform(operation, input, fault);
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      status = 400;
      output = { __type: error.type, message: error.message };
    }
    const body = fault?.kind === "body" ? fault.body : JSON.stringify(output);
    if (fault?.kind === "endless") {
      response.writeHead(200, { "content-type": "application/x-amz-json-1.1" });
      const more = () => {
        while (response.write(ENDLESS));
      };
      response.on("drain", more);
      more();
    } else if (fault?.kind === "truncate") {
      response.writeHead(200, {
        "content-type": "application/x-amz-json-1.1",
        "content-length": body.length,
      });
      response.write(body.slice(0, body.length / 2), () => request.socket.destroy());
    } else if (fault?.kind === "slow") {
      response.writeHead(status, { "content-type": "application/x-amz-json-1.1" });
      for (const byte of body) {
        if (response.destroyed) return;
        response.write(byte);
        await sleep(fault.millisecondsPerByte);
      }
      response.end();
    } else this.#answer(response, status, body);
  }

  #answer(
    response: ServerResponse,
    status: number,
    body: unknown,
    headers: Record<string, string> = {},
  ): void {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    response.writeHead(status, {
      "content-type": "application/x-amz-json-1.1",
      "x-amzn-requestid": randomUUID(),
      ...headers,
    });
    response.end(text);
  }

  #perform(operation: string, input: Record<string, unknown>, fault: Fault | undefined): unknown {
    switch (operation) {
      case "GetSecretValue":
        return this.#value(
          String(input["SecretId"]),
          input["VersionId"] as string | undefined,
          input["VersionStage"] as string | undefined,
        );
      case "BatchGetSecretValue":
        return this.#batch(input["SecretIdList"] as string[], fault);
      case "DescribeSecret": {
        const secret = this.#find(String(input["SecretId"]));
        return {
          ...this.#listed(secret),
          VersionIdsToStages: stagesOf(secret),
        };
      }
      case "ListSecrets":
        return this.#list(input);
      case "CreateSecret": {
        const name = String(input["Name"]);
        if (this.#secrets.has(name)) throw new AwsError("ResourceExistsException", "The secret exists.");
        const tags = Object.fromEntries(
          ((input["Tags"] ?? []) as { Key: string; Value: string }[]).map(({ Key, Value }) => [Key, Value]),
        );
        this.put(name, valueOf(input), tags);
        return { Name: name, ARN: this.arnOf(name) };
      }
      case "PutSecretValue":
        return { VersionId: this.#addVersion(this.#find(String(input["SecretId"])), valueOf(input)).id };
      case "DeleteSecret": {
        const secret = this.#find(String(input["SecretId"]));
        if (input["ForceDeleteWithoutRecovery"]) this.#secrets.delete(secret.name);
        else secret.deletedAt = Date.now() / 1000;
        return { Name: secret.name };
      }
      default:
        throw new AwsError("InvalidAction", `no operation ${operation}`);
    }
  }

  #find(id: string): Secret {
    for (const secret of this.#secrets.values()) {
      if (secret.name !== id && secret.arn !== id && secret.arn.slice(0, -7) !== id) continue;
      return secret;
    }
    throw notFound();
  }

  #value(id: string, versionId?: string, stage?: string): Record<string, unknown> {
    const secret = this.#find(id);
    if (secret.deletedAt) {
      throw new AwsError(
        "InvalidRequestException",
        "You can't perform this operation on the secret because it was marked for deletion.",
      );
    }
    const version = secret.versions.find((each) =>
      versionId === undefined ? each.stages.includes(stage ?? "AWSCURRENT") : each.id === versionId,
    );
    if (!version) throw notFound();
    const { value } = version;
    return {
      ARN: secret.arn,
      Name: secret.name,
      VersionId: version.id,
      VersionStages: version.stages,
      CreatedDate: version.created / 1000,
      ...(typeof value === "string" ? { SecretString: value } : { SecretBinary: value.toString("base64") }),
    };
  }

  #batch(ids: readonly string[], fault: Fault | undefined): unknown {
    if (ids.length > 20) throw new AwsError("InvalidParameterException", "too many");
    const SecretValues: unknown[] = [];
    const Errors: unknown[] = [];
    for (const id of ids) {
      if (fault?.kind === "partial" && fault.keys.includes(id)) {
        Errors.push({ SecretId: id, ErrorCode: fault.code, Message: "no" });
        continue;
      }
      try {
        SecretValues.push(this.#value(id));
      } catch (error) {
        const { type, message } = error as AwsError;
        Errors.push({ SecretId: id, ErrorCode: type, Message: message });
      }
    }
    return { SecretValues, Errors };
  }

  #list(input: Record<string, unknown>): unknown {
    const most = Number(input["MaxResults"] ?? 100);
    const from = Number(input["NextToken"] ?? 0);
    const filters = filtersOf(input);
    for (const { Values } of filters)
      if (Values.length === 0 || Values.length > 10 || !Values.every((value) => FILTER_VALUE.test(value)))
        throw new AwsError("InvalidParameterException", "the filter is invalid");
    const matches = [...this.#secrets.values()].filter(
      (secret) => !secret.deletedAt && filters.every((filter) => passes(secret, filter)),
    );
    const page = matches.slice(from, from + most);
    return {
      SecretList: page.map((secret) => this.#listed(secret)),
      ...(from + most < matches.length ? { NextToken: String(from + most) } : {}),
    };
  }

  #listed(secret: Secret): Record<string, unknown> {
    return {
      Name: secret.name,
      ARN: secret.arn,
      Tags: Object.entries(secret.tags).map(([Key, Value]) => ({ Key, Value })),
      SecretVersionsToStages: stagesOf(secret),
      ...(secret.deletedAt ? { DeletedDate: secret.deletedAt } : {}),
      ...(secret.nextRotation === undefined
        ? {}
        : { RotationEnabled: true, NextRotationDate: secret.nextRotation }),
    };
  }
}

/** Versions that have lost every stage aren't shown. */
const stagesOf = ({ versions }: Secret) =>
  Object.fromEntries(
    versions.filter(({ stages }) => stages.length > 0).map(({ id, stages }) => [id, stages]),
  );

interface Filter {
  readonly Key: string;
  readonly Values: readonly string[];
}

const filtersOf = (input: Record<string, unknown>) => (input["Filters"] ?? []) as Filter[];

const prefixesOf = (input: Record<string, unknown>) =>
  filtersOf(input).flatMap(({ Key, Values }) => (Key === "name" ? Values : []));

/** https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Filter.html */
const FILTER_VALUE = /^!?[a-zA-Z0-9 :_@/+=.!-]{0,511}$/;

/** Prefixes, as the real one: looser than what callers want. A "!" in front means: not. */
function passes(secret: Secret, { Key, Values }: Filter): boolean {
  const starts = (texts: readonly string[]) =>
    Values.some((value) =>
      value.startsWith("!")
        ? !texts.some((text) => text.startsWith(value.slice(1)))
        : texts.some((text) => text.startsWith(value)),
    );
  if (Key === "name") return starts([secret.name]);
  if (Key === "tag-key") return starts(Object.keys(secret.tags));
  return Key === "tag-value" ? starts(Object.values(secret.tags)) : true;
}

const valueOf = (input: Record<string, unknown>): string | Buffer =>
  typeof input["SecretString"] === "string"
    ? input["SecretString"]
    : Buffer.from(input["SecretBinary"] as string, "base64");
