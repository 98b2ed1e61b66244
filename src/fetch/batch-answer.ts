import type { Failed, ProviderFailure, ReadResult } from "../providers/contract.ts";

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

/** The batch failed as a whole. */
export const isFailed = (answer: ReadonlyMap<string, ReadResult> | Failed): answer is Failed =>
  !(answer instanceof Map);

/** The first failure of a key that tells of the provider itself. */
export function providerFailure(results: ReadonlyMap<string, ReadResult>): ProviderFailure | undefined {
  for (const result of results.values())
    if (result.kind === "failed" && result.failure.scope === "provider") return result.failure;
  return undefined;
}
