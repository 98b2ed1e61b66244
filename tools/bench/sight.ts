import { collectionOf } from "../../src/kube/collection.ts";
import type { KubeApi, KubeObject, ResourceType, Selection } from "../../src/kube/kube-api.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { Reflector } from "../../src/runtime/reflector.ts";
import { Store, type Stored } from "../../src/runtime/store.ts";

/** What a user's watch of a collection shows, and when. Polling would take the CPU from what is measured. */
export class Sight<T extends KubeObject> {
  readonly #store = new Store<Stored & { readonly object: T }>();
  readonly #waiting = new Set<() => void>();
  readonly #stop = new AbortController();

  static async open<T extends KubeObject>(
    api: KubeApi,
    type: ResourceType,
    selection: Selection = {},
  ): Promise<Sight<T>> {
    const sight = new Sight<T>();
    sight.#store.listen(() => {
      for (const look of sight.#waiting) look();
    });
    const reflector = new Reflector<Stored & { readonly object: T }>({
      name: type.plural,
      collection: collectionOf(
        api,
        type,
        selection,
        (object): Stored & { readonly object: T } => {
          const { name, namespace = "", uid = "", resourceVersion = "" } = object.metadata;
          return { key: `${namespace}/${name}`, uid, resourceVersion, object: object as T };
        },
        ({ metadata }, error) => process.stderr.write(`    ${metadata.name}: ${String(error)}\n`),
      ),
      store: sight.#store,
      clock: systemClock,
      random: Math.random,
      onError: (error) => process.stderr.write(`    watching ${type.plural}: ${String(error)}\n`),
    });
    void reflector.run(sight.#stop.signal);
    await reflector.synced;
    return sight;
  }

  get(name: string, namespace: string): T | undefined {
    return this.#store.get(`${namespace}/${name}`)?.object;
  }

  /** Resolves with the time, of performance.now(), at which the watch showed it. */
  async until(name: string, namespace: string, isTrue: (object: T | undefined) => boolean): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const look = () => {
      if (isTrue(this.get(name, namespace))) resolve(performance.now());
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
