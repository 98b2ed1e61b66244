import { LARGEST_LIST, LARGEST_OBJECT, lines, readAll, readPaced } from "./answers.ts";
import { holdsValues, readError, statusError, toError, type Status } from "./api-errors.ts";
import { parseBounded, parsePage } from "./bounded-json.ts";
import { apiVersionOf } from "./resources.ts";
import {
  AnswerTooLargeError,
  ApiError,
  type AnswerPace,
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

/** `fence` is asked before each write; leader election's own requests go without. `pace`: for objects of strangers. */
export function newKubeApi(transport: Transport, fence?: Fence, pace?: AnswerPace): KubeApi {
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
      mostObjects?: number;
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
    const mostBytes = extra.mostBytes ?? extra.mostBytesRead;
    const text = pace
      ? await readPaced(response, pace.admitAnswer(), mostBytes)
      : await readAll(response, mostBytes);
    if (extra.mostBytes === undefined && extra.mostObjects === undefined)
      return parse(text, parseBounded) as T;
    const parsed = parse(text, (page) => parsePage(page, extra.mostObjects));
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

    list(type, { limit, continue: token, mostBytes, strict = false, ...selection }, signal) {
      const query = selectionQuery(selection);
      query.set("limit", String(limit));
      if (token) query.set("continue", token);
      const path = `${pathOf(type, selection.namespace)}?${query.toString()}`;
      const accept = selection.metadataOnly ? { accept: partial("PartialObjectMetadataList") } : {};
      const mostBytesRead = limit === 1 ? LARGEST_OBJECT : LARGEST_LIST;
      const mostObjects = strict ? { mostObjects: limit } : {};
      return call("GET", path, signal, {
        ...accept,
        ...mostObjects,
        mostBytes,
        mostBytesRead,
        lane: laneOf(type),
      });
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
      const admit = pace?.streamPace();
      try {
        for await (const line of lines(response)) {
          await admit?.(line.length);
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
