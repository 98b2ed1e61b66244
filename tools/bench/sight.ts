import type { KubeApi, KubeObject, ResourceType } from "../../src/kube/kube-api.ts";

/** What a user's watch of a collection shows, and when. Polling would take the CPU from what is measured. */
export class Sight<T extends KubeObject> {
  readonly #objects = new Map<string, T>();
  readonly #waiting = new Set<() => void>();
  readonly #stop = new AbortController();
  #failure: unknown;

  static async open<T extends KubeObject>(
    api: KubeApi,
    type: ResourceType,
    { metadataOnly = false }: { metadataOnly?: boolean } = {},
  ): Promise<Sight<T>> {
    const sight = new Sight<T>();
    let next: string | undefined;
    let version: string;
    do {
      const { metadata, items } = await api.list<T>(
        type,
        { limit: 500, metadataOnly, ...(next ? { continue: next } : {}) },
        sight.#stop.signal,
      );
      for (const item of items ?? []) sight.#objects.set(idOf(item.metadata), item);
      ({ resourceVersion: version, continue: next } = metadata);
    } while (next);
    void sight.#watch(api, type, { metadataOnly, resourceVersion: version });
    return sight;
  }

  async #watch(
    api: KubeApi,
    type: ResourceType,
    from: { metadataOnly: boolean; resourceVersion: string },
  ): Promise<void> {
    try {
      const options = { ...from, timeoutSeconds: 3600 };
      for await (const { type: what, object } of api.watch<T>(type, options, this.#stop.signal)) {
        if (what === "BOOKMARK") continue;
        if (what === "DELETED") this.#objects.delete(idOf(object.metadata));
        else this.#objects.set(idOf(object.metadata), object);
        for (const look of this.#waiting) look();
      }
      this.#failure = new Error("the watch ended");
    } catch (error) {
      this.#failure = error;
    }
    for (const look of this.#waiting) look();
  }

  get(name: string, namespace: string): T | undefined {
    return this.#objects.get(idOf({ name, namespace }));
  }

  /** Resolves with the time, of performance.now(), at which the watch showed it. */
  async until(name: string, namespace: string, isTrue: (object: T | undefined) => boolean): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const look = () => {
      if (isTrue(this.get(name, namespace))) resolve(performance.now());
      else if (this.#failure !== undefined) reject(this.#failure);
    };
    const timer = setTimeout(() => reject(new Error(`waited in vain for ${namespace}/${name}`)), 30_000);
    this.#waiting.add(look);
    look();
    return promise.finally(() => {
      clearTimeout(timer);
      this.#waiting.delete(look);
    });
  }

  close(): void {
    this.#stop.abort();
  }
}

const idOf = ({ namespace = "", name }: { name: string; namespace?: string }) => `${namespace}/${name}`;
