import { AnswerTooLargeError, ApiError } from "../../kube/kube-api.ts";
import { connectionProblem } from "../connection.ts";
import type { Failed } from "../contract.ts";
import { failed } from "../failed.ts";

/** Whoever answers may ask for any time. */
const LONGEST_WAIT_SECONDS = 300;

const words = {
  address: "look at its address and the network",
  authority: "put its authority into the kubeconfig, as certificate-authority-data",
};

/** What an apiserver answers instead of an object, sorted once. Messages are ours, and the same at each try. */
export function failureOf(error: unknown, what: string, cluster: string): Failed {
  if (error instanceof AnswerTooLargeError)
    return failed("TooLarge", "request", `${cluster} answers with more than any object has; make it smaller`);
  if (!(error instanceof ApiError)) {
    const problem = connectionProblem(error, { store: cluster, ...words });
    const message = problem ?? `${cluster} doesn't answer; ${words.address}`;
    return failed("ProviderUnreachable", "provider", message);
  }
  const { status, retryAfterSeconds } = error;
  if (status === 0)
    return failed(
      "ProviderUnreachable",
      "provider",
      `${cluster} answers with something that no apiserver would; ${words.address}`,
    );
  if (status === 401)
    return failed(
      "AuthenticationFailed",
      "provider",
      `${cluster} doesn't accept the credentials; renew them`,
    );
  if (status === 403)
    return failed(
      "AccessDenied",
      "request",
      `${cluster} denies access; allow the identity to get, list and watch ${what}`,
    );
  if (status === 429) {
    const waited = failed("RateLimited", "provider", `${cluster} is busy; nothing is to be done`);
    const retryAfterMs = Math.min(retryAfterSeconds ?? 1, LONGEST_WAIT_SECONDS) * 1000;
    return { ...waited, failure: { ...waited.failure, retryAfterMs } };
  }
  if (error.expired)
    return failed(
      "ProviderUnreachable",
      "request",
      "the list took too long; it is begun anew at the next try",
    );
  return status >= 500
    ? failed("ProviderUnreachable", "provider", `${cluster} answers with errors; look at its health`)
    : failed("ProviderRefused", "request", `${cluster} refuses the request; correct key and tags`);
}
