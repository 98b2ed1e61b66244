import { backoffDelay, type Backoff } from "./backoff.ts";
import type { Cancel, Clock, Random } from "./clock.ts";
import { DueTimes } from "./due-times.ts";
import { FairLine } from "./fair-line.ts";

/**
 * Keys that need work. Invariants:
 * - a key is handed out to one worker at a time; what is added meanwhile is handed out again after done();
 * - a key waits once: of several due times the earliest counts, of several lanes the first;
 * - lanes are served in their order; within one, shares (such as namespaces) take turns, and within a share it is first
 *   come, first served;
 * - lanes from `bulkFrom` on never take all workers, so that a flood there can't hold up the lanes before; and one of four
 *   turns begins with one of them, so that no flood before can hold them up for good;
 * - so many keys are handed out in one turn of the event loop at most, so that a flood can't hold up what those before
 *   are waiting for.
 */
export interface WorkQueueOptions<Lane extends string> {
  readonly lanes: readonly Lane[];
  /** Lanes from this one on get at most `bulkWorkers` workers together. */
  readonly bulkFrom: Lane;
  readonly bulkWorkers: number;
  readonly mostPerTurn: number;
  /** Who a key belongs to. */
  readonly shareOf: (key: string) => string;
  /** Keys whose times lie so close together become due together. */
  readonly togetherMs: number;
  readonly backoff: Backoff;
  readonly clock: Clock;
  readonly random: Random;
  /** Told how long a key was ready before a worker took it, in seconds. */
  readonly onWait?: (lane: Lane, seconds: number) => void;
}

interface Entry<Lane> {
  /** Present while the key is ready. */
  readyLane?: Lane | undefined;
  readySince: number;
  working: boolean;
  workingLane?: Lane | undefined;
  failures: number;
}

export interface Taken<Lane extends string> {
  readonly key: string;
  readonly lane: Lane;
  /** Monotonic time when the key became due: what was observed since then is fresh enough for it. */
  readonly dueSince: number;
}

export class WorkQueue<Lane extends string> {
  readonly #options: WorkQueueOptions<Lane>;
  readonly #entries = new Map<string, Entry<Lane>>();
  readonly #ready: ReadonlyMap<Lane, FairLine<string>>;
  /** The lanes in the orders in which turns look at them. */
  readonly #orders: readonly (readonly Lane[])[];
  #turns = 0;
  readonly #due: DueTimes<Lane>;
  readonly #takers: ((taken: Taken<Lane> | undefined) => void)[] = [];
  #bulkWorking = 0;
  #handedOut = 0;
  #cancelTurn: Cancel = () => undefined;
  /** Monotonic time when a key was last handed out or given back; undefined before anybody asked for one. */
  #movedAt: number | undefined;
  #closed = false;

  constructor(options: WorkQueueOptions<Lane>) {
    this.#options = options;
    const { lanes } = options;
    this.#ready = new Map(lanes.map((lane) => [lane, new FairLine<string>()]));
    const beginningWith = (first: Lane) => [first, ...lanes.filter((lane) => lane !== first)];
    this.#orders = lanes
      .slice(this.#rank(options.bulkFrom))
      .flatMap((bulk) => [lanes, lanes, lanes, beginningWith(bulk)]);
    this.#due = new DueTimes({ ...options, onDue: (key, lane, at) => this.#makeReady(key, lane, at) });
  }

  /** The key is due now. */
  add(key: string, lane: Lane): void {
    this.#makeReady(key, lane, Infinity);
  }

  /**
   * `dueAt`: whoever comes late, since it was still worked on, is due since its time all the same: so one look at a provider
   * serves it together with those that were in time.
   */
  #makeReady(key: string, lane: Lane, dueAt: number): void {
    if (this.#closed) return;
    const entry = this.#entry(key);
    this.#due.delete(key);
    const before = entry.readyLane;
    if (before !== undefined && this.#rank(before) <= this.#rank(lane)) return;
    if (before === undefined) entry.readySince = Math.min(dueAt, this.#options.clock.monotonic());
    else this.#leave(before, key);
    entry.readyLane = lane;
    if (!entry.working) {
      this.#enter(lane, key);
      this.#serve();
    }
  }

  /** The key is due after so many milliseconds, unless it is due sooner already. */
  addAfter(key: string, milliseconds: number, lane: Lane): void {
    this.addAt(key, this.#options.clock.monotonic() + milliseconds, lane);
  }

  /** The key is due at that monotonic time, unless it is due sooner already. */
  addAt(key: string, at: number, lane: Lane): void {
    if (this.#closed || this.#entries.get(key)?.readyLane !== undefined) return;
    this.#due.set(key, at, lane);
  }

  /** The key failed: due again after a wait that doubles with each failure. Returns the wait in milliseconds. */
  retry(key: string, lane: Lane, atLeastMs = 0, atMostMs = Infinity): number {
    const entry = this.#entry(key);
    entry.failures++;
    const backoff = backoffDelay(this.#options.backoff, entry.failures, this.#options.random);
    const delay = Math.max(atLeastMs, Math.min(backoff, atMostMs));
    this.addAfter(key, delay, lane);
    return delay;
  }

  /** The key succeeded: its next failure starts from the shortest wait. */
  forget(key: string): void {
    const entry = this.#entries.get(key);
    if (entry) entry.failures = 0;
  }

  /** The key's object is gone. */
  remove(key: string): void {
    this.#due.delete(key);
    const entry = this.#entries.get(key);
    if (!entry) return;
    if (entry.readyLane !== undefined) this.#leave(entry.readyLane, key);
    entry.readyLane = undefined;
    entry.failures = 0;
    if (!entry.working) this.#entries.delete(key);
  }

  /** The next key; undefined once the queue is closed. */
  async take(): Promise<Taken<Lane> | undefined> {
    if (this.#closed) return undefined;
    if (this.#movedAt === undefined) this.#open();
    const taken = this.#pick();
    if (taken) return taken;
    return new Promise((resolve) => this.#takers.push(resolve));
  }

  /** The key that was taken occupies no worker any more; it must be given back all the same. */
  free(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry?.working || entry.workingLane === undefined) return;
    if (this.#isBulk(entry.workingLane)) this.#bulkWorking--;
    entry.workingLane = undefined;
    this.#serve();
  }

  /** Every key that was taken must be given back. */
  done(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry?.working) return;
    entry.working = false;
    this.#movedAt = this.#options.clock.monotonic();
    if (this.#isBulk(entry.workingLane)) this.#bulkWorking--;
    entry.workingLane = undefined;
    if (entry.readyLane !== undefined) this.#enter(entry.readyLane, key);
    else if (entry.failures === 0) this.#entries.delete(key);
    this.#serve();
  }

  close(): void {
    this.#closed = true;
    this.#due.close();
    this.#cancelTurn();
    for (const taker of this.#takers.splice(0)) taker(undefined);
  }

  /** Keys that are ready and not taken, by lane. */
  depth(): ReadonlyMap<Lane, number> {
    return new Map([...this.#ready].map(([lane, keys]) => [lane, keys.size]));
  }

  /** Keys that are ready and not taken. */
  get readyCount(): number {
    let count = 0;
    for (const keys of this.#ready.values()) count += keys.size;
    return count;
  }

  /** Of these, the keys in lanes before the bulk. */
  get urgentCount(): number {
    let count = 0;
    for (const [lane, keys] of this.#ready) if (!this.#isBulk(lane)) count += keys.size;
    return count;
  }

  /** Milliseconds since the oldest ready key became ready; 0 when none waits. */
  oldestReadyMs(): number {
    const now = this.#options.clock.monotonic();
    let oldest = 0;
    for (const keys of this.#ready.values())
      for (const key of keys.first()) oldest = Math.max(oldest, now - this.#entry(key).readySince);
    return oldest;
  }

  /** Ready keys that have waited longer than that. */
  *waitingLongerThan(milliseconds: number): Iterable<string> {
    const since = this.#options.clock.monotonic() - milliseconds;
    for (const keys of this.#ready.values())
      for (const key of keys) if (this.#entry(key).readySince < since) yield key;
  }

  /**
   * For how long the queue has stood still although there was something to do: no key came or went while some were ready,
   * or the time of one has passed and it didn't become ready. 0 while it moves, however slowly.
   */
  stillMs(): number {
    const now = this.#options.clock.monotonic();
    const late = Math.max(0, now - (this.#due.earliest() ?? Infinity));
    if (this.readyCount === 0 || this.#movedAt === undefined) return late;
    return Math.max(late, Math.min(this.oldestReadyMs(), now - this.#movedAt));
  }

  /** Nobody could be served before, so nobody has waited yet. */
  #open(): void {
    const now = this.#options.clock.monotonic();
    this.#movedAt = now;
    for (const keys of this.#ready.values()) for (const key of keys) this.#entry(key).readySince = now;
  }

  #entry(key: string): Entry<Lane> {
    let entry = this.#entries.get(key);
    if (!entry) {
      entry = { readySince: 0, working: false, failures: 0 };
      this.#entries.set(key, entry);
    }
    return entry;
  }

  #rank(lane: Lane): number {
    return this.#options.lanes.indexOf(lane);
  }

  #enter(lane: Lane, key: string): void {
    this.#lane(lane).add(this.#options.shareOf(key), key);
  }

  #leave(lane: Lane, key: string): void {
    this.#lane(lane).delete(this.#options.shareOf(key), key);
  }

  #lane(lane: Lane): FairLine<string> {
    const keys = this.#ready.get(lane);
    if (!keys) throw new Error(`no lane ${lane}`);
    return keys;
  }

  #isBulk(lane: Lane | undefined): boolean {
    return lane !== undefined && this.#rank(lane) >= this.#rank(this.#options.bulkFrom);
  }

  #pick(): Taken<Lane> | undefined {
    if (this.#handedOut >= this.#options.mostPerTurn) return undefined;
    for (const lane of this.#orders[this.#turns % this.#orders.length] ?? []) {
      if (this.#isBulk(lane) && this.#bulkWorking >= this.#options.bulkWorkers) continue;
      const key = this.#lane(lane).take();
      if (key === undefined) continue;
      this.#turns++;
      const entry = this.#entry(key);
      entry.readyLane = undefined;
      entry.working = true;
      this.#movedAt = this.#options.clock.monotonic();
      entry.workingLane = lane;
      if (this.#isBulk(lane)) this.#bulkWorking++;
      this.#countTurn();
      this.#options.onWait?.(lane, (this.#options.clock.monotonic() - entry.readySince) / 1000);
      return { key, lane, dueSince: entry.readySince };
    }
    return undefined;
  }

  /** The next turn of the event loop starts anew. */
  #countTurn(): void {
    if (this.#handedOut++ > 0) return;
    this.#cancelTurn = this.#options.clock.after(0, () => {
      this.#handedOut = 0;
      this.#serve();
    });
  }

  #serve(): void {
    while (this.#takers.length > 0) {
      const taken = this.#pick();
      if (!taken) return;
      this.#takers.shift()?.(taken);
    }
  }
}
