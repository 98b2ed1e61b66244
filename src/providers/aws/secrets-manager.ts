import type { LookupFunction } from "node:net";
import {
  BatchGetSecretValueCommand,
  DescribeSecretCommand,
  GetSecretValueCommand,
  ListSecretsCommand,
  SecretsManagerClient,
  type SecretListEntry,
  type SecretsManagerClientConfig,
} from "@aws-sdk/client-secrets-manager";
import type {
  Failed,
  ListFilter,
  ListResult,
  ProxyEnv,
  ReadResult,
  RemoteRef,
  SecretStore,
  VersionResult,
} from "../contract.ts";
import { readBody, type Admit } from "../../runtime/paced-body.ts";
import { SecretValue } from "../secret-value.ts";
import { classify, identityError } from "./failure.ts";
import { filtersOf } from "./filters.ts";
import { MOST as MOST_OF_A_PAGE, nextPageSize } from "./page-size.ts";

/** AWS Secrets Manager: https://docs.aws.amazon.com/secretsmanager/latest/apireference/ */

export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

export interface AwsConnection {
  readonly region: string;
  /** Absent: the SDK's default chain. */
  readonly credentials?: AwsCredentials | undefined;
  readonly endpoint?: string | undefined;
  /** Connections; each call at once needs its own. */
  readonly maxConcurrent: number;
  readonly lookup?: LookupFunction | undefined;
  /** HTTPS_PROXY, HTTP_PROXY and NO_PROXY, as the environment has them. */
  readonly proxyEnv?: ProxyEnv | undefined;
  /** For the pieces of one answer. */
  readonly admitAnswer: () => Admit;
}

const CURRENT = "AWSCURRENT";
/** https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html */
const LARGEST = 64 * 1024;
/** Quota of BatchGetSecretValue. */
const BATCH = 20;

export function openSecretsManager(connection: AwsConnection): SecretStore {
  const { region, credentials, endpoint, maxConcurrent, lookup, proxyEnv, admitAnswer } = connection;
  let pageSize = MOST_OF_A_PAGE;
  const agent = {
    maxSockets: maxConcurrent,
    ...(lookup ? { lookup } : {}),
    ...(proxyEnv ? { proxyEnv } : {}),
  };
  const config: SecretsManagerClientConfig = {
    region,
    // Retries are the fetch layer's: it knows who else is calling.
    maxAttempts: 1,
    requestHandler: { httpAgent: agent, httpsAgent: agent },
    ...(endpoint ? { endpoint } : {}),
    ...(credentials
      ? {
          credentials: {
            accessKeyId: credentials.accessKeyId,
            secretAccessKey: credentials.secretAccessKey,
            ...(credentials.sessionToken ? { sessionToken: credentials.sessionToken } : {}),
          },
        }
      : {}),
  };
  const client = new SecretsManagerClient(config);
  client.middlewareStack.add(
    (next) => async (request) => {
      const answer = await next(request);
      const response = answer.response as { body: AsyncIterable<Uint8Array> | Uint8Array };
      if (!(response.body instanceof Uint8Array))
        response.body = await readBody(response.body, admitAnswer());
      return answer;
    },
    // Between the connection and the SDK's own parser.
    { name: "readBody", step: "deserialize", priority: "low" },
  );
  // Makes a copy of each answer for a log, also where there is none; and values belong into no log.
  client.middlewareStack.remove("loggerMiddleware");
  if (!credentials) {
    const chain = client.config.credentials;
    client.config.credentials = async (...args) => {
      try {
        return await chain(...args);
      } catch (error) {
        throw identityError(error);
      }
    };
  }

  return {
    place: `AWS Secrets Manager in ${region}`,
    currentStage: CURRENT,
    largest: LARGEST,
    read,
    batch: { most: BATCH, read: readBatch },
    versions: { read: describe },
    listing: { page },
    close: () => client.destroy(),
  };

  async function readBatch(
    keys: readonly string[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, ReadResult> | Failed> {
    try {
      const results = new Map<string, ReadResult>();
      const answer = await client.send(new BatchGetSecretValueCommand({ SecretIdList: [...new Set(keys)] }), {
        abortSignal: signal,
      });
      const values = new Map<string, ReadResult>();
      for (const secret of answer.SecretValues ?? []) {
        const result = found(secret);
        for (const name of [secret.Name, secret.ARN]) if (name) values.set(name, result);
      }
      for (const { SecretId = "", ErrorCode = "", Message = "" } of answer.Errors ?? []) {
        // A failure of AWS's own is one of this moment: the single read below tells.
        if (/^Internal|Unavailable/.test(ErrorCode)) continue;
        values.set(
          SecretId,
          classify({ name: ErrorCode, message: Message, $metadata: { httpStatusCode: 400 } }),
        );
      }
      // What the answer passes over in silence must not count as deleted: ask for it alone.
      for (const key of keys) {
        results.set(key, values.get(key) ?? byPartialArn(values, key) ?? (await read({ key }, signal)));
      }
      return results;
    } catch (error) {
      const outcome = classify(error);
      if (outcome.kind === "missing") return batchRefused;
      // Not allowed as a whole: this identity lacks secretsmanager:BatchGetSecretValue.
      const { failure } = outcome;
      return failure.scope === "request"
        ? { kind: "failed", failure: { ...failure, scope: "batch" } }
        : outcome;
    }
  }

  async function describe(ref: RemoteRef, signal: AbortSignal): Promise<VersionResult> {
    try {
      const secret = await client.send(new DescribeSecretCommand({ SecretId: ref.key }), {
        abortSignal: signal,
      });
      if (secret.DeletedDate) return { kind: "missing" };
      const versions = Object.entries(secret.VersionIdsToStages ?? {});
      const wanted = versions.find(([id, stages]) =>
        ref.version === undefined ? stages.includes(ref.versionStage ?? CURRENT) : id === ref.version,
      );
      return wanted
        ? {
            kind: "found",
            versionId: wanted[0],
            versionStages: wanted[1],
            nextRotation: nextRotationOf(secret),
          }
        : { kind: "missing" };
    } catch (error) {
      return classify(error);
    }
  }

  async function page(
    filter: ListFilter,
    next: string | undefined,
    signal: AbortSignal,
  ): Promise<ListResult> {
    const filters = filtersOf(filter);
    try {
      const answer = await client.send(
        new ListSecretsCommand({
          MaxResults: pageSize,
          ...(next ? { NextToken: next } : {}),
          ...(filters.length > 0 ? { Filters: filters } : {}),
        }),
        { abortSignal: signal },
      );
      const secrets = (answer.SecretList ?? [])
        .filter(({ DeletedDate }) => !DeletedDate)
        .map(({ Name = "", ARN, Tags = [], SecretVersionsToStages = {}, ...secret }) => ({
          name: Name,
          nextRotation: nextRotationOf(secret),
          aliases: ARN ? [ARN, ARN.replace(/-[A-Za-z0-9]{6}$/, "")] : [],
          tags: Object.fromEntries(Tags.map(({ Key = "", Value = "" }) => [Key, Value])),
          versions: Object.fromEntries(
            Object.entries(SecretVersionsToStages).flatMap(([id, stages]) =>
              stages.map((stage) => [stage, id] as const),
            ),
          ),
        }));
      pageSize = nextPageSize(pageSize, bytesOfTags(answer.SecretList ?? []));
      return { kind: "page", secrets, next: answer.NextToken };
    } catch (error) {
      const outcome = classify(error);
      if (outcome.kind === "missing") return listingRefused("ProviderRefused");
      // What single reads are told speaks of key and version, and of other rights.
      const { reason } = outcome.failure;
      return reason === "ProviderRefused" || reason === "AccessDenied" ? listingRefused(reason) : outcome;
    }
  }

  async function read({ key, version, versionStage }: RemoteRef, signal: AbortSignal): Promise<ReadResult> {
    try {
      const answer = await client.send(
        new GetSecretValueCommand({
          SecretId: key,
          ...(version ? { VersionId: version } : {}),
          ...(versionStage ? { VersionStage: versionStage } : {}),
        }),
        { abortSignal: signal },
      );
      return found(answer);
    } catch (error) {
      return classify(error);
    }
  }
}

const batchRefused: Failed = {
  kind: "failed",
  failure: { reason: "ProviderRefused", scope: "batch", message: "AWS refuses the batch" },
};

const listingRefused = (reason: "ProviderRefused" | "AccessDenied"): Failed => {
  const message =
    reason === "AccessDenied"
      ? "AWS denies access; allow secretsmanager:ListSecrets"
      : "AWS refuses to list secrets by that path and these tags; correct them";
  return { kind: "failed", failure: { reason, scope: "request", message } };
};

interface SecretAnswer {
  readonly SecretString?: string | undefined;
  readonly SecretBinary?: Uint8Array | undefined;
  readonly VersionId?: string | undefined;
  readonly VersionStages?: readonly string[] | undefined;
  readonly CreatedDate?: Date | undefined;
}

function found({
  SecretString,
  SecretBinary,
  VersionId,
  VersionStages = [],
  CreatedDate,
}: SecretAnswer): ReadResult {
  const bytes =
    typeof SecretString === "string"
      ? Buffer.from(SecretString, "utf8")
      : SecretBinary && Buffer.from(SecretBinary);
  if (!bytes || !VersionId) {
    // Half an answer must never look like an empty secret.
    const message = "AWS answers without a value or a version; a rotation may have left the version empty";
    return { kind: "failed", failure: { reason: "ProviderRefused", scope: "request", message } };
  }
  return {
    kind: "found",
    value: SecretValue.fromBytes(bytes),
    versionId: VersionId,
    versionStages: VersionStages,
    changedAt: CreatedDate?.getTime(),
  };
}

const nextRotationOf = ({
  RotationEnabled,
  NextRotationDate,
}: {
  readonly RotationEnabled?: boolean | undefined;
  readonly NextRotationDate?: Date | undefined;
}): number | undefined => (RotationEnabled ? NextRotationDate?.getTime() : undefined);

/** A key may be an ARN without the six random characters at its end. */
function byPartialArn(values: ReadonlyMap<string, ReadResult>, key: string): ReadResult | undefined {
  if (!key.startsWith("arn:")) return undefined;
  for (const [name, result] of values)
    if (name.length === key.length + 7 && name.startsWith(`${key}-`)) return result;
  return undefined;
}

const bytesOfTags = (secrets: readonly SecretListEntry[]): number =>
  secrets
    .flatMap(({ Tags = [] }) => Tags)
    .reduce((sum, { Key = "", Value = "" }) => sum + Key.length + Value.length, 0);
