import { connectionProblem } from "../connection.ts";
import type { ProviderFailure } from "../contract.ts";

/**
 * Errors of the AWS SDK, sorted once. Messages are ours: AWS's own carry request ids and account details, and change
 * from try to try. https://docs.aws.amazon.com/secretsmanager/latest/apireference/CommonErrors.html
 */
export type AwsFailure =
  { readonly kind: "missing" } | { readonly kind: "failed"; readonly failure: ProviderFailure };

interface AwsError {
  readonly name?: string;
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: { readonly statusCode?: number; readonly headers?: Readonly<Record<string, string>> };
}

const IDENTITY_REFUSED = "IdentityRefused";

/**
 * Errors of STS come through the same door as those of the service, and mean something else: that the pod's identity may
 * not become the role. What isn't an answer, such as a time-out, stays as it is.
 */
export function identityError(error: unknown): unknown {
  const { name = "", $metadata } = error as AwsError;
  const status = $metadata?.httpStatusCode ?? 0;
  if (status < 400 || status >= 500 || /Thrott|TooManyRequests/.test(name)) return error;
  return Object.assign(new Error("no credentials", { cause: error }), { name: IDENTITY_REFUSED });
}

const failures: Readonly<Record<string, Omit<ProviderFailure, "retryAfterMs">>> = {};
const define = (failure: Omit<ProviderFailure, "retryAfterMs">, ...names: readonly string[]) => {
  for (const name of names) (failures as Record<string, typeof failure>)[name] = failure;
};

define(
  {
    reason: "AccessDenied",
    scope: "request",
    message:
      "AWS denies access; allow secretsmanager:GetSecretValue on the secret and kms:Decrypt on its key",
  },
  "AccessDeniedException",
  "AccessDenied",
  "NotAuthorized",
);
define(
  {
    reason: "AuthenticationFailed",
    scope: "provider",
    message:
      "AWS does not accept the credentials; check the access key, its expiry, and this machine's clock",
  },
  "UnrecognizedClientException",
  "InvalidClientTokenId",
  "InvalidSignatureException",
  "SignatureDoesNotMatch",
  "IncompleteSignature",
  "IncompleteSignatureException",
  "MissingAuthenticationToken",
  "MissingAuthenticationTokenException",
  "ExpiredTokenException",
  "ExpiredToken",
  "RequestExpired",
);
define(
  {
    reason: "AuthenticationFailed",
    scope: "provider",
    message:
      "the operator found no AWS credentials; set auth.secretRef, or give the operator's pod an identity",
  },
  "CredentialsProviderError",
);
define(
  {
    reason: "RateLimited",
    scope: "provider",
    message: "AWS throttles the calls; lower limits.requestsPerSecond or raise the quota",
  },
  "ThrottlingException",
  "Throttling",
  "TooManyRequestsException",
  "RequestLimitExceeded",
  "LimitExceededException",
);
define(
  {
    reason: "DecryptionFailed",
    scope: "request",
    message: "AWS can't decrypt the secret; check that its KMS key is enabled and may be used",
  },
  "DecryptionFailure",
  "KMSAccessDeniedException",
  "KMSInvalidStateException",
  "KMSNotFoundException",
);
define(
  {
    reason: "ProviderRefused",
    scope: "request",
    message: "AWS refuses the request as invalid; check key, version and versionStage",
  },
  "InvalidParameterException",
  "InvalidRequestException",
  "ValidationException",
  "InvalidNextTokenException",
);

define(
  {
    reason: "AuthenticationFailed",
    scope: "provider",
    message:
      "AWS gives no credentials to the operator's identity; check the trust policy of its role, and what its ServiceAccount is annotated or associated with",
  },
  IDENTITY_REFUSED,
);

const words = {
  store: "AWS",
  address: "check the network, the region and the endpoint",
  authority: "give the operator its authority by the chart's caBundle, or NODE_EXTRA_CA_CERTS",
};

const unreachable = (message: string): ProviderFailure => ({
  reason: "ProviderUnreachable",
  scope: "provider",
  message,
});

export function classify(error: unknown): AwsFailure {
  const { name = "", message = "", $metadata, $response } = error as AwsError;
  const status = $metadata?.httpStatusCode ?? $response?.statusCode ?? 0;
  if (name === "ResourceNotFoundException") return { kind: "missing" };
  // A secret in its recovery window is gone for every reader.
  if (
    name === "InvalidRequestException" &&
    /marked (for deletion|deleted)|scheduled for deletion/.test(message)
  ) {
    return { kind: "missing" };
  }
  const known = Object.hasOwn(failures, name) ? failures[name] : undefined;
  const failed = (failure: ProviderFailure): AwsFailure => {
    const retryAfterMs = retryAfter($response?.headers?.["retry-after"]);
    return { kind: "failed", failure: retryAfterMs === undefined ? failure : { ...failure, retryAfterMs } };
  };
  if (known) return failed(known);
  const connection = connectionProblem(error, words);
  if (connection !== undefined) return failed(unreachable(connection));
  if (status === 429) return failed(failures["ThrottlingException"] as ProviderFailure);
  if (status >= 500) return failed(unreachable("AWS answers with server errors"));
  if (status >= 400) return failed(failures["InvalidRequestException"] as ProviderFailure);
  if (status >= 200)
    return failed(
      unreachable("AWS answers with something that is not its protocol; check endpoint and proxies"),
    );
  return failed(unreachable("AWS does not answer; check the network, the region and the endpoint"));
}

/** Seconds, as AWS sends them; https://www.rfc-editor.org/rfc/rfc9110#field.retry-after */
function retryAfter(header: string | undefined): number | undefined {
  const seconds = Number(header);
  return header !== undefined && seconds > 0 ? Math.min(seconds, 60) * 1000 : undefined;
}
