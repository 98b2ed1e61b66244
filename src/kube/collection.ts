import type { KubeApi, KubeObject, ResourceType, Selection } from "./kube-api.ts";

/** A collection of the apiserver in the shape that a reflector wants, each object cut down to what is kept. */
export function collectionOf<T>(
  api: KubeApi,
  type: ResourceType,
  selection: Selection,
  project: (object: KubeObject) => T,
) {
  return {
    async list(options: { limit: number; continue?: string }, signal: AbortSignal) {
      const { items, metadata } = await api.list(type, { ...selection, ...options }, signal);
      // An empty list of metadata comes with null items.
      return { items: (items ?? []).map(project), ...metadata };
    },

    async *watch(
      options: { resourceVersion: string; timeoutSeconds: number; onOpen?: () => void },
      signal: AbortSignal,
    ) {
      for await (const { type: kind, object } of api.watch(type, { ...selection, ...options }, signal)) {
        if (kind === "BOOKMARK")
          yield { type: "bookmark" as const, resourceVersion: object.metadata.resourceVersion ?? "" };
        else
          yield { type: kind === "DELETED" ? ("deleted" as const) : ("set" as const), item: project(object) };
      }
    },
  };
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
  const read = async (signal: AbortSignal): Promise<readonly T[]> => {
    const found = await Promise.all(
      names.map((name) => api.get(type, name, undefined, signal, { metadataOnly: true })),
    );
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
