import type { Failed, ProviderFailure, ReadResult } from "../providers/provider.ts";

/** What a batch of reads was answered with. */

/** What an answer passes over must not count as deleted. */
export const leftOut: Failed = {
  kind: "failed",
  failure: {
    reason: "ProviderRefused",
    scope: "request",
    message: "the provider's answer leaves the secret out",
  },
};

/** The first failure that is about so much; of an answer that failed as a whole, that one. */
export function firstFailure(
  results: ReadonlyMap<string, ReadResult> | Failed,
  scope: ProviderFailure["scope"],
): ProviderFailure | undefined {
  if (!(results instanceof Map)) return (results as Failed).failure;
  for (const result of (results as ReadonlyMap<string, ReadResult>).values()) {
    if (result.kind === "failed" && result.failure.scope === scope) return result.failure;
  }
  return undefined;
}
