import type { Failed } from "./contract.ts";

export const failed = (
  reason: Failed["failure"]["reason"],
  scope: Failed["failure"]["scope"],
  message: string,
): Failed => ({ kind: "failed", failure: { reason, scope, message } });
