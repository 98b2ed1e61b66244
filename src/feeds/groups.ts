import { nextRefreshMs } from "../plan/schedule.ts";
import { refreshGroup, type Source } from "../plan/sources.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import type { Group, Member } from "./member.ts";

/** When which group is polled. */

/** Members, and what they ask, that are looked at in one turn of the event loop. */
export const PORTION = 2_000;
/** Polls of one moment begin some at a time: so many of them, or of their members, in one turn. */
const BEGUN_AT_ONCE = 200;

export class Groups {
  readonly #clock: Clock;
  readonly #poll: (group: Group) => void;
  readonly #groups = new Map<string, Group>();
  /** Their time has come. */
  readonly #due: Group[] = [];
  #closed = false;

  /** `poll` begins a poll, at whose end the group is scheduled again, or ended. */
  constructor(clock: Clock, poll: (group: Group) => void) {
    this.#clock = clock;
    this.#poll = poll;
  }

  values(): Iterable<Group> {
    return this.#groups.values();
  }

  /** The group that polls what the sources read, made and scheduled if there is none. */
  of(namespace: string, sources: readonly Source[], wantedMs: number): Group {
    const name = refreshGroup(sources);
    // Intervals that differ by milliseconds would make a group each.
    const intervalMs = Math.ceil(wantedMs / 1_000) * 1_000;
    const id = `${namespace} ${name} ${intervalMs}`;
    let group = this.#groups.get(id);
    if (!group) {
      const unpolled = { dueAt: 0, lastSuccess: 0, isPolling: false, cancel: () => undefined };
      group = { id, name, intervalMs, members: new Set<Member>(), ...unpolled };
      this.#groups.set(id, group);
      this.schedule(group);
    }
    return group;
  }

  /** For its next moment. */
  schedule(group: Group): void {
    if (this.#closed) return;
    const clock = this.#clock;
    const inMs = nextRefreshMs(clock.now(), group.intervalMs, group.name);
    group.dueAt = clock.monotonic() + inMs;
    // A timer counts 25 days at most; it is set again then.
    const wait = () => {
      const leftMs = group.dueAt - clock.monotonic();
      group.cancel = clock.after(leftMs, () =>
        group.dueAt > clock.monotonic() ? wait() : this.#begin(group),
      );
    };
    wait();
  }

  /** Nobody is in it. */
  end(group: Group): void {
    group.cancel();
    if (this.#groups.get(group.id) === group) this.#groups.delete(group.id);
  }

  close(): void {
    this.#closed = true;
    for (const group of this.#groups.values()) group.cancel();
  }

  #begin(group: Group): void {
    this.#due.push(group);
    // Others of that moment come by then.
    if (this.#due.length === 1) this.#clock.after(0, () => void this.#beginAll());
  }

  async #beginAll(): Promise<void> {
    let [polls, members] = [0, 0];
    for (let group = this.#due[0]; group; group = this.#due[0]) {
      if (++polls > BEGUN_AT_ONCE || members > PORTION) {
        await sleep(this.#clock, 0);
        [polls, members] = [1, 0];
      }
      members += group.members.size;
      // Who was the last one has left since.
      if (group.members.size > 0 && !this.#closed) this.#poll(group);
      this.#due.shift();
    }
  }
}
