import type { Failed } from "../contract.ts";
import { failed } from "../failed.ts";

/** Errors of the file system, sorted once: https://nodejs.org/api/errors.html#common-system-errors */

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? "";

export const isMissing = (error: unknown): boolean => ["ENOENT", "ENOTDIR"].includes(codeOf(error));

export function failureOf(error: unknown, scope: Failed["failure"]["scope"] = "request"): Failed {
  const code = codeOf(error);
  if (code === "EACCES" || code === "EPERM")
    return failed(
      "AccessDenied",
      scope,
      "the operator's user may not read this; let it, by fsGroup or defaultMode",
    );
  if (code === "ELOOP")
    return failed("AccessDenied", scope, "links lead in a circle, or the file became one");
  return failed("ProviderUnreachable", scope, `the file can't be read (${code || "unknown error"})`);
}
