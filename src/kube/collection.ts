import { recordOf, textOf } from "../api/loose.ts";
import { ApiError, type KubeApi, type KubeObject, type ResourceType, type Selection } from "./kube-api.ts";

/** Told of an object that can't be projected: it is passed over, as if it weren't there. */
export type OnOddObject = (object: KubeObject, error: unknown) => void;

interface Kept {
  readonly key: string;
  readonly uid: string;
  readonly resourceVersion: string;
}

/** Bytes of a page, so that parsing one takes no longer than a turn of the event loop may. */
const LARGEST_PAGE = 4 * 1024 * 1024;

/** A collection of the apiserver in the shape that a reflector wants, each object cut down to what is kept. */
export function collectionOf<T extends Kept>(
  api: KubeApi,
  type: ResourceType,
  selection: Selection,
  project: (object: KubeObject) => T,
  onOdd: OnOddObject,
) {
  return {
    async list(options: { limit: number; continue?: string }, signal: AbortSignal) {
      // A single object must be taken as it is.
      const bound = options.limit > 1 ? { mostBytes: LARGEST_PAGE } : {};
      const { items, metadata } = await api.list(type, { ...selection, ...options, ...bound }, signal);
      // An empty list of metadata comes with null items.
      const kept = (items ?? []).map((object) => projected(object, project, onOdd));
      return { items: kept.filter((item) => item !== undefined), ...metadata };
    },

    async *watch(
      options: { resourceVersion: string; timeoutSeconds: number; onOpen?: () => void },
      signal: AbortSignal,
    ) {
      for await (const { type: kind, object } of api.watch(type, { ...selection, ...options }, signal)) {
        if (kind === "BOOKMARK") {
          yield { type: "bookmark" as const, resourceVersion: object.metadata.resourceVersion ?? "" };
          continue;
        }
        const item = kind === "DELETED" ? undefined : projected(object, project, onOdd);
        yield item === undefined
          ? { type: "deleted" as const, item: identityOf(object) }
          : { type: "set" as const, item };
      }
    },
  };
}

/** Whatever a projection throws concerns that one object, and must not end the watch of all others. */
function projected<T>(
  object: KubeObject,
  project: (object: KubeObject) => T,
  onOdd: OnOddObject,
): T | undefined {
  try {
    return project(object);
  } catch (error) {
    onOdd(object, error);
    return undefined;
  }
}

function identityOf(object: KubeObject): Kept {
  const { namespace, name, uid, resourceVersion } = recordOf(object.metadata);
  const parts = [textOf(namespace), textOf(name) ?? ""].filter((part) => part !== undefined);
  return { key: parts.join("/"), uid: textOf(uid) ?? "", resourceVersion: textOf(resourceVersion) ?? "" };
}

/**
 * Objects by their names, read again after each pause: for an operator that may get them but neither list nor watch. An
 * object that is gone is kept.
 */
export function namedObjects<T>(
  api: KubeApi,
  type: ResourceType,
  names: readonly string[],
  project: (object: KubeObject) => T,
  pause: (signal: AbortSignal) => Promise<void>,
) {
  /** One that may not be read counts as not there: it is the others' no trouble. */
  const get = (name: string, signal: AbortSignal) =>
    api.get(type, name, undefined, signal, { metadataOnly: true }).catch((error: unknown) => {
      if (error instanceof ApiError && error.status === 403) return undefined;
      throw error;
    });
  const read = async (signal: AbortSignal): Promise<readonly T[]> => {
    const found = await Promise.all(names.map((name) => get(name, signal)));
    return found.filter((object) => object !== undefined).map(project);
  };
  return {
    list: async (_options: unknown, signal: AbortSignal) => ({
      items: await read(signal),
      resourceVersion: "0",
    }),

    async *watch({ onOpen }: { onOpen?: () => void }, signal: AbortSignal) {
      onOpen?.();
      for (;;) {
        await pause(signal);
        if (signal.aborted) return;
        for (const item of await read(signal)) yield { type: "set" as const, item };
      }
    },
  };
}

/** One object of the collection, as it is now, for who may list but not get; undefined when it isn't there. */
export async function listedObject<T extends KubeObject>(
  api: KubeApi,
  type: ResourceType,
  name: string,
  namespace: string,
  signal: AbortSignal,
  options: Pick<Selection, "metadataOnly"> = {},
): Promise<T | undefined> {
  const selection = { namespace, fieldSelector: `metadata.name=${name}`, limit: 1, ...options };
  const { items } = await api.list<T>(type, selection, signal);
  return items?.[0];
}
