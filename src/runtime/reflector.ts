import { backoffDelay, type Backoff } from "./backoff.ts";
import { sleep, type Cancel, type Clock, type Random } from "./clock.ts";
import type { Store, Stored } from "./store.ts";

/**
 * Keeps a store equal to a collection of the apiserver, for ever:
 *
 *   list (pages) ──► watch ──► stream ends, error or silence ──► watch again from the last version
 *     ▲                                                             │
 *     └──────────────────── version expired (410) ◄─────────────────┘
 *
 * https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
 */
export interface Collection<T> {
  /** Throws what isTooLarge() knows when a page of more than one item is larger than can be held. */
  list(options: { limit: number; continue?: string }, signal: AbortSignal): Promise<Page<T>>;
  /** `onOpen`: called when the server has begun to answer; changes may be long in coming. */
  watch(
    options: { resourceVersion: string; timeoutSeconds: number; onOpen?: () => void },
    signal: AbortSignal,
  ): AsyncIterable<Change<T>>;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly resourceVersion: string;
  /** Token of the next page. */
  readonly continue?: string;
}

export type Change<T> =
  | { readonly type: "set"; readonly item: T }
  | { readonly type: "deleted"; readonly item: Stored }
  /** Nothing changed up to this version. */
  | { readonly type: "bookmark"; readonly resourceVersion: string };

/** What list and watch throw when the server no longer has the version or the page token (HTTP 410). */
export const isExpired = (error: unknown): boolean =>
  typeof error === "object" && error !== null && "expired" in error && error.expired === true;

/** What list throws when a page is too large: fewer items may do. */
const isTooLarge = (error: unknown): boolean =>
  typeof error === "object" && error !== null && "tooLarge" in error && error.tooLarge === true;

/** What list and watch throw when the server can't read one of the objects, and therefore tells of none. */
const isUnreadable = (error: unknown): boolean =>
  typeof error === "object" && error !== null && "unreadable" in error && error.unreadable !== undefined;

export interface ReflectorOptions<T extends Stored> {
  readonly name: string;
  readonly collection: Collection<T>;
  readonly store: Store<T>;
  /** Which of the store's items the collection covers, when several reflectors fill one store. */
  readonly inScope?: (item: T) => boolean;
  readonly clock: Clock;
  readonly random: Random;
  /** Called on every failure; the reflector goes on by itself. */
  readonly onError: (error: unknown, retryInMs: number) => void;
  /** Called for every list, with the number of items: relists should be rare. */
  readonly onList?: (items: number) => void;
  /** Called when a watch is open: then all is well. */
  readonly onWatch?: () => void;
  /** Where the server can't read an object, the others are worked on without the list: see isBlind. */
  readonly mayBeBlind?: boolean;
  /** A watch without an event or a bookmark for so long is cut. Bookmarks come about once a minute. */
  readonly idleMs?: number;
}

/** Items are of any size, so pages start small, grow while they are light, and shrink when one is too large. */
const FIRST_PAGE = 32;
const LARGEST_PAGE = 500;
const BACKOFF: Backoff = { firstMs: 800, mostMs: 30_000 };
const IDLE_MS = 150_000;
/** A watch that ends sooner counts as failed, or a broken proxy would make us spin. */
const SHORTEST_WATCH_MS = 1_000;
/** A quiet watch that was open for so long works. */
const WORKS_MS = 5_000;

export class Reflector<T extends Stored> {
  readonly #options: ReflectorOptions<T>;
  #version: string | undefined;
  #lastSign: number;
  #failures = 0;
  /** Monotonic time of the first failure since all was well. */
  #failingSince: number | undefined;
  #markSynced: () => void = () => undefined;
  #markTried: (synced: boolean) => void = () => undefined;
  #isSynced = false;
  #isBlind = false;
  /** Resolves when the first list is in the store, or can't be had for the sake of one object. */
  readonly synced: Promise<void>;
  /** How the first try ended: with the list in the store, or not. */
  readonly firstTry: Promise<boolean>;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#lastSign = options.clock.monotonic();
    this.synced = new Promise((resolve) => (this.#markSynced = resolve));
    this.firstTry = new Promise((resolve) => (this.#markTried = resolve));
  }

  get name(): string {
    return this.#options.name;
  }

  /** Whether the first list is in the store. */
  get isSynced(): boolean {
    return this.#isSynced;
  }

  /** The server tells nothing, for the sake of an object that it can't read: what is in the store may be old, or missing. */
  get isBlind(): boolean {
    return this.#isBlind;
  }

  /** Milliseconds since the reflector last did anything: an answer, an event, a bookmark or a failed try. */
  silentMs(): number {
    return this.#options.clock.monotonic() - this.#lastSign;
  }

  /** Milliseconds since all was well; 0 while it is. */
  failingMs(): number {
    return this.#failingSince === undefined ? 0 : this.#options.clock.monotonic() - this.#failingSince;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, onError } = this.#options;
    while (!signal.aborted) {
      try {
        if (this.#version === undefined) await this.#list(signal);
        await this.#watch(signal);
      } catch (error) {
        if (signal.aborted) return;
        if (isExpired(error)) this.#version = undefined;
        this.#sign();
        this.#failures++;
        this.#failingSince ??= clock.monotonic();
        if (this.#options.mayBeBlind && isUnreadable(error)) this.#goBlind();
        this.#markTried(false);
        const delay = backoffDelay(BACKOFF, this.#failures, random);
        onError(error, delay);
        await sleep(clock, delay, signal);
      }
    }
  }

  #goBlind(): void {
    this.#isBlind = true;
    this.#beSynced();
  }

  #beSynced(): void {
    this.#isSynced = true;
    this.#markSynced();
    this.#markTried(true);
  }

  #sign(): void {
    this.#lastSign = this.#options.clock.monotonic();
  }

  /** Each page goes into the store while the server makes the next one, so that no more than two are held. */
  async #list(signal: AbortSignal): Promise<void> {
    const { clock, collection, store, inScope, onList } = this.#options;
    const listed = new Set<string>();
    let limit = FIRST_PAGE;
    let wasTooLarge = false;
    let token: string | undefined;
    const ask = () => {
      const page = collection.list({ limit, ...(token ? { continue: token } : {}) }, signal);
      // It may fail before it is waited for.
      page.catch(() => undefined);
      return page;
    };
    let version: string | undefined;
    for (let next: Promise<Page<T>> | undefined = ask(); next;) {
      let page: Page<T>;
      try {
        page = await next;
      } catch (error) {
        if (!isTooLarge(error) || limit === 1) throw error;
        limit = Math.ceil(limit / 4);
        wasTooLarge = true;
        next = ask();
        continue;
      } finally {
        this.#sign();
      }
      // Where heavy ones are, trying for more costs the server much, and is mostly in vain.
      limit = Math.min(LARGEST_PAGE, wasTooLarge ? limit + 1 : limit * 2);
      token = page.continue;
      version = page.resourceVersion;
      next = token ? ask() : undefined;
      // The request goes out in a turn of its own.
      if (next) await sleep(clock, 0, signal);
      for (const item of page.items) {
        listed.add(item.key);
        store.set(item);
      }
    }
    store.retain(listed, inScope);
    this.#version = version;
    onList?.(listed.size);
    this.#isBlind = false;
    this.#beSynced();
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { clock, collection, random, onWatch, idleMs = IDLE_MS } = this.#options;
    const works = () => {
      this.#failingSince = undefined;
      this.#isBlind = false;
    };
    let cancelWorks: Cancel = () => undefined;
    // One that opens and breaks at once, again and again, doesn't work.
    const onOpen = () => {
      cancelWorks = clock.after(WORKS_MS, works);
      onWatch?.();
    };
    const cut = new AbortController();
    const timeoutSeconds = Math.round(300 + 300 * random());
    const started = clock.monotonic();
    let cancelIdle = clock.after(idleMs, () => cut.abort(new Error("the watch was silent for too long")));
    try {
      const changes = collection.watch(
        { resourceVersion: this.#version as string, timeoutSeconds, onOpen },
        AbortSignal.any([signal, cut.signal]),
      );
      for await (const change of changes) {
        cancelIdle();
        cancelIdle = clock.after(idleMs, () => cut.abort(new Error("the watch was silent for too long")));
        this.#sign();
        this.#failures = 0;
        works();
        this.#take(change);
      }
    } finally {
      cancelIdle();
      cancelWorks();
    }
    this.#sign();
    if (signal.aborted) return;
    if (clock.monotonic() - started < SHORTEST_WATCH_MS) throw new Error("the watch ended at once");
  }

  #take(change: Change<T>): void {
    const { store } = this.#options;
    switch (change.type) {
      case "set":
        store.set(change.item);
        this.#follow(change.item.resourceVersion);
        return;
      case "deleted":
        store.delete(change.item.key, change.item.uid);
        this.#follow(change.item.resourceVersion);
        return;
      case "bookmark":
        this.#follow(change.resourceVersion);
    }
  }

  /** An odd object may name no version; then the next one does. */
  #follow(version: string): void {
    if (version !== "") this.#version = version;
  }
}
