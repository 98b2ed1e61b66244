import type { IncomingMessage } from "node:http";
import { readAll } from "./answers.ts";
import { AnswerTooLargeError, ApiError, type FieldConflict } from "./kube-api.ts";

/** What an apiserver answers instead of an object: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/ */

export interface Status {
  readonly code?: number;
  readonly reason?: string;
  readonly message?: string;
  readonly details?: {
    readonly retryAfterSeconds?: number;
    readonly causes?: readonly {
      readonly field?: string;
      readonly reason?: string;
      readonly message?: string;
    }[];
  };
}

export const holdsValues = (path: string): boolean => /\/secrets\b/.test(path);

/** The Status of an error, or nothing of it when it is longer than any of them: then the code must do. */
export const readError = (response: IncomingMessage): Promise<string> =>
  readAll(response, LARGEST_ERROR).catch((error: unknown) => {
    if (error instanceof AnswerTooLargeError) return "";
    throw error;
  });

const LARGEST_ERROR = 256 * 1024;
const LONGEST_MESSAGE = 4 * 1024;

/** `quotesValues`: what the apiserver says may quote values of the object. */
export function toError(response: IncomingMessage, text: string, quotesValues: boolean): ApiError {
  let status: Status = {};
  try {
    status = JSON.parse(text) as Status;
  } catch {
    // A proxy's page, or nothing: the code must do.
  }
  const retryAfter = Number(response.headers["retry-after"]);
  return statusError({
    code: response.statusCode ?? 0,
    reason: status.reason ?? "",
    message: describe(response.statusCode ?? 0, status, quotesValues),
    details: {
      ...(Number.isFinite(retryAfter) ? { retryAfterSeconds: retryAfter } : {}),
      ...(status.details?.causes ? { causes: status.details.causes } : {}),
    },
  });
}

export const statusError = ({ code = 0, reason = "", message = "", details }: Status): ApiError =>
  new ApiError(
    code,
    reason,
    message.slice(0, LONGEST_MESSAGE),
    details?.retryAfterSeconds,
    conflictsOf(details),
  );

/** https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts */
const conflictsOf = (details: Status["details"]): readonly FieldConflict[] =>
  (details?.causes ?? [])
    .filter(({ reason }) => reason === "FieldManagerConflict")
    .map(({ field = "", message = "" }) => ({
      field,
      manager: /^conflict with "([^"]{1,128})"/.exec(message)?.[1] ?? "somebody else",
    }));

const LONGEST_WORDS = 300;

/** Messages of the chart's own policies are constant; others may be made of what they refuse. */
const isOurs = (said: string | undefined): boolean => /^the operator may [a-zA-Z ,=./-]+$/.test(said ?? "");

function describe(code: number, { reason, message, details }: Status, quotesValues: boolean): string {
  if (code !== 422 && code !== 400) return message ?? `the apiserver answered ${code}`;
  const words = (text: string | undefined) => (text ? `: ${text.slice(0, LONGEST_WORDS)}` : "");
  // Its own words may quote the object, but its name is what an admin needs.
  const [, policy, said] =
    /ValidatingAdmissionPolicy '([^']+)'(?:.* denied request: (.*))?/s.exec(message ?? "") ?? [];
  if (policy !== undefined)
    return `the ValidatingAdmissionPolicy ${policy} denies it${quotesValues && !isOurs(said) ? "" : words(said)}`;
  const fields = (details?.causes ?? []).map((cause) => {
    const where = `${cause.field ?? "?"} (${cause.reason ?? "invalid"})`;
    // An invalid object's message quotes the field, and those of data may be secret.
    const isHarmless = !quotesValues || /^(metadata|type|immutable)\b/.test(cause.field ?? "");
    return isHarmless ? `${where}${words(cause.message)}` : where;
  });
  return `the apiserver refused the object: ${fields.join(", ") || (reason ?? "invalid")}`;
}
