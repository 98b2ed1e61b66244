import { isDeepStrictEqual } from "node:util";
import { FIELD_MANAGER } from "../api/group.ts";
import { ApiError, type KubeApi, type KubeObject, type ResourceType } from "../kube/kube-api.ts";
import type { Store, Stored } from "../runtime/store.ts";
import type { Health } from "./health.ts";

/** The last step of a reconcile: one status write, and only when it says something new. */
export interface StatusWriterOptions<T extends WithStatus> {
  readonly api: KubeApi;
  readonly type: ResourceType;
  readonly store: Store<T>;
  /** The object with the metadata that the apiserver answered, and with the status. */
  readonly after: (object: T, written: KubeObject, status: T["status"]) => T;
  /** What readiness calls it. */
  readonly part: string;
  readonly onWrite: (kind: string) => void;
  readonly health: Pick<Health, "failed" | "works">;
}

interface WithStatus extends Stored {
  readonly metadata: KubeObject["metadata"];
  readonly status: object;
}

export function newStatusWriter<T extends WithStatus>(options: StatusWriterOptions<T>) {
  const { api, type, store, after, part, onWrite, health } = options;
  /** Keys of objects whose status couldn't be written yet. */
  const failing = new Set<string>();
  const isSettled = (key: string) => {
    if (failing.delete(key) && failing.size === 0) health.works(part);
  };
  store.listen((before, now) => {
    if (before && !now) isSettled(before.key);
  });

  return async function writeStatus(object: T, status: T["status"], signal: AbortSignal): Promise<void> {
    if (isDeepStrictEqual(status, object.status)) return isSettled(object.key);
    // As it is stored: without what is undefined.
    const wanted = JSON.parse(JSON.stringify(status)) as T["status"];
    if (isDeepStrictEqual(wanted, object.status)) return isSettled(object.key);
    const { name, namespace, uid = "" } = object.metadata;
    // The uid keeps the write from creating an object that was just deleted.
    const metadata = { name, ...(namespace === undefined ? {} : { namespace }), uid };
    const applied = { metadata, status: wanted } as KubeObject;
    const how = {
      fieldManager: FIELD_MANAGER,
      force: true,
      metadataOnly: true,
      subresource: "status",
    } as const;
    let written: KubeObject;
    try {
      written = await api.apply(type, applied, how, signal);
    } catch (error) {
      // It was deleted meanwhile, which the watch is about to tell.
      if (error instanceof ApiError && error.status === 404) return isSettled(object.key);
      failing.add(object.key);
      health.failed(part, error, "status not written", { [type.kind.toLowerCase()]: object.key });
      throw error;
    }
    failing.clear();
    health.works(part);
    onWrite(type.kind);
    // The answer is as of our write, so it may hold an edit that the watch hasn't brought yet. When that is an edit of
    // the spec, which the answer doesn't have, the watch must bring it all.
    if (written.metadata.generation !== object.metadata.generation) return;
    store.set(after(object, written, wanted), "own");
  };
}
