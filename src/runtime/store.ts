import { keysOf, withKey, withoutKey, type Few } from "./few.ts";

/** The last known state of a collection, and who wants to hear of changes. */

export interface Stored {
  /** namespace/name, or the name of what has no namespace. */
  readonly key: string;
  readonly uid: string;
  readonly resourceVersion: string;
}

/** Whether the change came from the apiserver's watch, or is the answer to a write of our own. */
export type Origin = "watch" | "own";

/** Called after the store changed. An addition has no `before`, a removal no `after`. */
export type Listener<T> = (before: T | undefined, after: T | undefined, origin: Origin) => void;

export class Store<T extends Stored> {
  readonly #items = new Map<string, T>();
  readonly #listeners: Listener<T>[] = [];
  readonly #formListeners: Listener<T>[] = [];
  readonly #onError: (error: unknown, key: string) => void;

  /** `onError` is told what a listener throws: it concerns that object alone, and the other listeners are still told. */
  constructor(onError: (error: unknown, key: string) => void = rethrow) {
    this.#onError = onError;
  }

  get size(): number {
    return this.#items.size;
  }

  get(key: string): T | undefined {
    return this.#items.get(key);
  }

  values(): IterableIterator<T> {
    return this.#items.values();
  }

  listen(listener: Listener<T>): void {
    this.#listeners.push(listener);
  }

  /** Also told when an item takes another form, see exchange(). */
  listenToForms(listener: Listener<T>): void {
    this.#listeners.push(listener);
    this.#formListeners.push(listener);
  }

  /**
   * Takes the item unless a newer state of the same object is known: our own writes go in at once, and the watch
   * brings them again later. Resource versions of one object are ordered (Kubernetes 1.35, KEP-5504).
   *
   * Only the watch adds: an answer to our own write may come after the watch told that the object is gone, and nothing
   * would ever remove it again.
   */
  set(item: T, origin: Origin = "watch"): void {
    const before = this.#items.get(item.key);
    if (origin === "own" && before?.uid !== item.uid) return;
    if (before?.uid === item.uid) {
      const order = compareResourceVersions(item.resourceVersion, before.resourceVersion);
      if (order <= 0) return;
    }
    this.#items.set(item.key, item);
    this.#tell(before, item, origin);
  }

  /** Puts another form of the same state in the place of the one that is there. Few are told: nothing has changed. */
  exchange(item: T): boolean {
    const before = this.#items.get(item.key);
    if (before?.uid !== item.uid || before.resourceVersion !== item.resourceVersion) return false;
    this.#items.set(item.key, item);
    this.#tell(before, item, "own", this.#formListeners);
    return true;
  }

  /** Removes the object, unless another one has taken its name. */
  delete(key: string, uid: string, origin: Origin = "watch"): void {
    const before = this.#items.get(key);
    if (before?.uid !== uid) return;
    this.#items.delete(key);
    this.#tell(before, undefined, origin);
  }

  /** After a list: what of the collection (or of the part of it that the scope tells) wasn't in it is gone. */
  retain(listed: ReadonlySet<string>, inScope: (item: T) => boolean = () => true): void {
    const gone = [...this.#items.values()].filter((item) => !listed.has(item.key) && inScope(item));
    for (const { key, uid } of gone) this.delete(key, uid);
  }

  #tell(before: T | undefined, after: T | undefined, origin: Origin, listeners = this.#listeners): void {
    for (const listener of listeners) {
      try {
        listener(before, after, origin);
      } catch (error) {
        this.#onError(error, (after ?? before)?.key ?? "");
      }
    }
  }
}

const rethrow = (error: unknown): never => {
  throw error;
};

/** https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions: decimal numbers of any length. */
export function compareResourceVersions(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Which items mention a term, kept up to date with the store. */
export class Index<T extends Stored> {
  readonly #keys = new Map<string, Few>();

  constructor(store: Store<T>, termsOf: (item: T) => Iterable<string>) {
    store.listenToForms((before, after) => {
      if (before) for (const term of termsOf(before)) this.#remove(term, before.key);
      if (after) for (const term of termsOf(after)) this.#add(term, after.key);
    });
  }

  /** Keys of the items that mention the term, as they are now: not to be kept. */
  get(term: string): Iterable<string> {
    return keysOf(this.#keys.get(term));
  }

  #add(term: string, key: string): void {
    this.#keys.set(term, withKey(this.#keys.get(term), key));
  }

  #remove(term: string, key: string): void {
    const left = withoutKey(this.#keys.get(term), key);
    if (left === undefined) this.#keys.delete(term);
    else this.#keys.set(term, left);
  }
}
