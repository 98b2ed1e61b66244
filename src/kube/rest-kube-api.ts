import type { IncomingMessage } from "node:http";
import { createInterface } from "node:readline";
import { parseBounded, parsePage } from "./bounded-json.ts";
import { apiVersionOf } from "./resources.ts";
import {
  AnswerTooLargeError,
  ApiError,
  type FieldConflict,
  type KubeApi,
  type KubeObject,
  type ResourceType,
  type Selection,
  type WatchEvent,
} from "./kube-api.ts";
import type { Fence } from "./fence.ts";
import type { Transport } from "./transport.ts";
import type { Priority } from "./turnstile.ts";

/** KubeApi over REST: https://kubernetes.io/docs/reference/using-api/api-concepts/ */

interface TokenRequest {
  readonly metadata?: { readonly creationTimestamp?: string };
  readonly status: { readonly token: string; readonly expirationTimestamp: string };
}

const partial = (kind: string) => `application/json;as=${kind};g=meta.k8s.io;v=v1`;

/** `fence` is asked before each write; leader election's own requests go without. */
export function newKubeApi(transport: Transport, fence?: Fence): KubeApi {
  const call = async <T>(
    method: string,
    path: string,
    signal: AbortSignal,
    extra: {
      body?: unknown;
      contentType?: string;
      accept?: string;
      lane?: "lease" | Priority;
      mostBytes?: number | undefined;
      mostBytesRead?: number;
    } = {},
  ): Promise<T> => {
    const response = await transport.send(
      {
        method,
        path,
        headers: {
          accept: extra.accept ?? "application/json",
          ...(extra.body === undefined ? {} : { "content-type": extra.contentType ?? "application/json" }),
        },
        ...(extra.body === undefined ? {} : { body: JSON.stringify(extra.body) }),
        lane: extra.lane ?? 1,
        fence: method === "GET" ? undefined : fence,
      },
      signal,
    );
    if ((response.statusCode ?? 0) >= 300)
      throw toError(response, await readError(response), holdsValues(path));
    const text = await readAll(response, extra.mostBytes ?? extra.mostBytesRead);
    if (extra.mostBytes === undefined) return parse(text, parseBounded) as T;
    const parsed = parse(text, parsePage);
    if (!parsed) throw new AnswerTooLargeError("can be parsed at once");
    return parsed.page as T;
  };

  return {
    async get(type, name, namespace, signal, { metadataOnly = false } = {}) {
      try {
        return await call("GET", pathOf(type, namespace, name), signal, {
          lane: laneOf(type),
          mostBytesRead: LARGEST_OBJECT,
          ...(metadataOnly ? { accept: partial("PartialObjectMetadata") } : {}),
        });
      } catch (error) {
        if (error instanceof ApiError && error.status === 404) return undefined;
        throw error;
      }
    },

    list(type, { limit, continue: token, mostBytes, ...selection }, signal) {
      const query = selectionQuery(selection);
      query.set("limit", String(limit));
      if (token) query.set("continue", token);
      const path = `${pathOf(type, selection.namespace)}?${query.toString()}`;
      const accept = selection.metadataOnly ? { accept: partial("PartialObjectMetadataList") } : {};
      const mostBytesRead = limit === 1 ? LARGEST_OBJECT : LARGEST_LIST;
      return call("GET", path, signal, { ...accept, mostBytes, mostBytesRead, lane: laneOf(type) });
    },

    async *watch<T extends KubeObject>(
      type: ResourceType,
      {
        resourceVersion,
        timeoutSeconds,
        onOpen,
        ...selection
      }: Selection & { resourceVersion: string; timeoutSeconds: number; onOpen?: () => void },
      signal: AbortSignal,
    ): AsyncIterable<WatchEvent<T>> {
      const query = selectionQuery(selection);
      query.set("watch", "true");
      query.set("allowWatchBookmarks", "true");
      query.set("resourceVersion", resourceVersion);
      query.set("timeoutSeconds", String(timeoutSeconds));
      const response = await transport.send(
        {
          method: "GET",
          path: `${pathOf(type, selection.namespace)}?${query.toString()}`,
          headers: { accept: selection.metadataOnly ? partial("PartialObjectMetadata") : "application/json" },
          lane: "stream",
        },
        signal,
      );
      if ((response.statusCode ?? 0) >= 300) throw toError(response, await readError(response), false);
      onOpen?.();
      try {
        for await (const line of lines(response)) {
          const event = parse(line, parseBounded) as WatchEvent<T> | { type: "ERROR"; object: Status };
          if (event.type === "ERROR") throw statusError(event.object);
          yield event;
        }
      } finally {
        response.destroy();
      }
    },

    apply(type, object, { fieldManager, force, subresource, metadataOnly }, signal) {
      const query = new URLSearchParams({ fieldManager, force: String(force) });
      const { name, namespace } = object.metadata;
      const path = `${pathOf(type, namespace, name)}${subresource ? `/${subresource}` : ""}?${query.toString()}`;
      return call("PATCH", path, signal, {
        body: { apiVersion: apiVersionOf(type), kind: type.kind, ...object },
        contentType: "application/apply-patch+yaml",
        ...(metadataOnly ? { accept: partial("PartialObjectMetadata") } : {}),
        lane: laneOf(type, subresource),
      });
    },

    create(type, object, signal) {
      return call("POST", pathOf(type, object.metadata.namespace), signal, {
        lane: laneOf(type),
        body: { apiVersion: apiVersionOf(type), kind: type.kind, ...object },
      });
    },

    async requestToken({ namespace, name }, { audiences, seconds }, signal) {
      const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/serviceaccounts/${encodeURIComponent(name)}/token`;
      const body = {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenRequest",
        spec: { ...(audiences.length > 0 ? { audiences } : {}), expirationSeconds: seconds },
      };
      try {
        const { metadata, status } = await call<TokenRequest>("POST", path, signal, { body });
        const madeAt = Date.parse(metadata?.creationTimestamp ?? "");
        const lifeMs = Date.parse(status.expirationTimestamp) - madeAt;
        return { token: status.token, lifeMs: lifeMs > 0 ? lifeMs : seconds * 1_000 };
      } catch (error) {
        if (error instanceof ApiError && error.status === 404) return undefined;
        throw error;
      }
    },

    async delete(type, name, namespace, preconditions, signal) {
      try {
        await call("DELETE", pathOf(type, namespace, name), signal, {
          body: { apiVersion: "v1", kind: "DeleteOptions", preconditions },
        });
      } catch (error) {
        if (!(error instanceof ApiError && error.status === 404)) throw error;
      }
    },
  };
}

function laneOf({ kind }: ResourceType, subresource?: string): "lease" | Priority {
  if (kind === "Lease") return "lease";
  if (kind === "Event" || kind === "Pod") return 3;
  return subresource ? 2 : 1;
}

function pathOf({ group, version, plural }: ResourceType, namespace?: string, name?: string): string {
  const root = group ? `/apis/${group}/${version}` : `/api/${version}`;
  const within = namespace === undefined ? "" : `/namespaces/${encodeURIComponent(namespace)}`;
  return `${root}${within}/${plural}${name === undefined ? "" : `/${encodeURIComponent(name)}`}`;
}

function selectionQuery({ labelSelector, fieldSelector }: Selection): URLSearchParams {
  return new URLSearchParams({
    ...(labelSelector ? { labelSelector } : {}),
    ...(fieldSelector ? { fieldSelector } : {}),
  });
}

function parse<T>(text: string, parser: (text: string) => T): T {
  try {
    return parser(text);
  } catch {
    // The parser's own message would quote the text.
    throw new ApiError(0, "BadAnswer", "the apiserver answered with something that is not JSON");
  }
}

/** An apiserver takes requests of 3 MiB; what answers with a larger object is none. */
const LARGEST_OBJECT = 4 * 1024 * 1024;
const LARGEST_LIST = 64 * 1024 * 1024;

/** By events, since an iterator costs more than all the rest of a small answer. */
function readAll(response: IncomingMessage, mostBytes = LARGEST_LIST): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    response.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= mostBytes) return chunks.push(chunk);
      chunks.length = 0;
      reject(new AnswerTooLargeError(`${mostBytes} bytes`));
      return response.destroy();
    });
    response.once("end", () => resolve(Buffer.concat(chunks).toString("utf8")));
    response.once("error", reject);
    response.once("close", () => {
      if (!response.complete) reject(new Error("the answer was cut off"));
    });
  });
}

/** A stream that breaks ends in an error, not in a short read. */
async function* lines(response: IncomingMessage): AsyncIterable<string> {
  let broken: Error | undefined;
  response.once("error", (error) => (broken = error));
  let length = 0;
  response.on("data", (chunk: Buffer) => {
    const end = chunk.lastIndexOf("\n");
    length = end < 0 ? length + chunk.length : chunk.length - end - 1;
    if (length > LARGEST_OBJECT)
      response.destroy(new AnswerTooLargeError(`${LARGEST_OBJECT} bytes in a line`));
  });
  for await (const line of createInterface({ input: response, crlfDelay: Infinity })) {
    if (line !== "") yield line;
  }
  if (broken) throw broken;
  if (!response.complete) throw new Error("the watch was cut off");
}

interface Status {
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

const holdsValues = (path: string): boolean => /\/secrets\b/.test(path);

/** `quotesValues`: what the apiserver says may quote values of the object. */
/** The Status of an error, or nothing of it when it is longer than any of them: then the code must do. */
const readError = (response: IncomingMessage): Promise<string> =>
  readAll(response, LARGEST_ERROR).catch((error: unknown) => {
    if (error instanceof AnswerTooLargeError) return "";
    throw error;
  });

const LARGEST_ERROR = 256 * 1024;
const LONGEST_MESSAGE = 4 * 1024;

function toError(response: IncomingMessage, text: string, quotesValues: boolean): ApiError {
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

const statusError = ({ code = 0, reason = "", message = "", details }: Status): ApiError =>
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
