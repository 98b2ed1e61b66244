import { sleep, type Clock } from "../runtime/clock.ts";
import { Groups, PORTION } from "./groups.ts";
import {
  lastSuccessOf,
  weightOf,
  type Asked,
  type Group,
  type Joining,
  type Left,
  type Member,
  type Poll,
} from "./member.ts";
import { askersOf, Questions, type Question } from "./questions.ts";
import { Room } from "./room.ts";

/**
 * Polling: objects that are in step wait here, and nobody visits them. For each namespace, provider and interval one poll asks which
 * keys have another version than known, and makes due only the objects that read these. Time, last success and the next time belong
 * to the whole group. Groups of one provider and interval ask at the same moments, so one listing serves them all; what it doesn't
 * tell each asks for itself, so no namespace waits for another's questions.
 *
 *   in step ──join──► group ──poll──► news? ──onNews──► queue ──► leave ──► reconcile ──► in step
 *
 * An object that reads several providers is polled with the first, and asks all of them. Objects with finds don't join: a find is work
 * that takes turns with that of others, so they go through the queue each time.
 */
export interface PollingOptions {
  readonly clock: Clock;
  /** Whom to ask as the namespace; undefined: it can't be asked just now. */
  readonly open: (question: Question, signal: AbortSignal) => Promise<Asked | undefined>;
  /** Whether the object's Secret is still as it was. */
  readonly isAsLeft: (member: Member) => boolean;
  /** Something is new for the object, or can't be told, or it is time to read it exactly. */
  readonly onNews: (key: string) => void;
  /** How a poll ended: how many objects it looked after, how many of them it made due, and how long that took. */
  readonly onPolled: (poll: { group: string; members: number; due: number; seconds: number }) => void;
  /** A poll didn't end in time and was given up, or it threw, which is a bug; its objects are made due. */
  readonly onFailed: (poll: { group: string; members: number; late: boolean; error: unknown }) => void;
  /** Of all members with their questions, about; beyond, an object doesn't join. */
  readonly mostBytes: number;
}

/** Each object is read exactly as often, since listings lag, and somebody may have written under our name. */
export const EXACT_MS = 10 * 60_000;
/** Late polls are told from such that wait a moment. */
const LATE_MS = 60_000;
const POLL_MS = 10 * 60_000;
/** Polls of a moment differ by some milliseconds. */
const SLACK_MS = 100;

export class PollingFeed {
  readonly #options: PollingOptions;
  readonly #members = new Map<string, Member>();
  readonly #groups: Groups;
  readonly #questions = new Questions();
  readonly #room: Room;
  #round = 0;
  #closed = false;

  constructor(options: PollingOptions) {
    this.#options = options;
    this.#room = new Room(options.mostBytes);
    this.#groups = new Groups(options.clock, (group) => void this.#run(group));
  }

  get size(): number {
    return this.#members.size;
  }

  has(key: string): boolean {
    return this.#members.has(key);
  }

  /** false: it can't wait here, so it must look after itself. */
  join(joining: Joining): boolean {
    const { sources, versions, intervalMs, left, ...rest } = joining;
    const { key, namespace } = joining;
    this.leave(key);
    if (this.#closed) return false;
    const reads = sources.filter((source) => source.kind === "read");
    if (reads.length < sources.length) return false;
    const group = this.#groups.of(namespace, sources, intervalMs);
    const isAlone = group.members.size === 0;
    const weight = weightOf(reads, versions, isAlone);
    // Who comes back without a look must not wait longer than if it had stayed; a poll under way may have passed it over.
    const isLate = left !== undefined && (group.isPolling || group.dueAt > left.dueAt + SLACK_MS);
    if (isLate || !this.#room.has(namespace, weight)) {
      if (isAlone && !group.isPolling) this.#groups.end(group);
      return false;
    }
    const questions = reads.map((source) =>
      this.#questions.add(key, namespace, source, versions.get(source.id) as string),
    );
    const inStepAt = left?.lastSuccess ?? this.#options.clock.now() / 1000;
    const untold = { toldAt: undefined, toldIn: undefined };
    const member: Member = { ...rest, ...untold, group, questions, weight, inStepAt };
    this.#members.set(key, member);
    group.members.add(member);
    this.#room.take(namespace, weight);
    return true;
  }

  /** The object looks after itself from now on; undefined when it did already. */
  leave(key: string): Left | undefined {
    const member = this.#members.get(key);
    if (!member) return undefined;
    const { group, questions, namespace, weight, toldAt } = member;
    const dueAt = toldAt ?? group.dueAt;
    const lastSuccess = lastSuccessOf(member);
    this.#members.delete(key);
    group.members.delete(member);
    for (const question of questions) this.#questions.remove(key, question);
    this.#room.take(namespace, -weight);
    if (group.members.size === 0 && !group.isPolling) this.#groups.end(group);
    return { member, versions: questions.map(({ version }) => version), dueAt, lastSuccess };
  }

  /** Seconds since 1970 when the object was last known to be in step. */
  lastSuccess(key: string): number | undefined {
    const member = this.#members.get(key);
    return member && lastSuccessOf(member);
  }

  /** Milliseconds since 1970 by when a provider wants to have rotated the first of the object's sources. */
  nextRotation(key: string): number | undefined {
    return this.#members.get(key)?.nextRotation;
  }

  /** Members whose poll is late, or that a poll made due and nobody looks at. */
  overdueCount(): number {
    const since = this.#options.clock.monotonic() - LATE_MS;
    let count = 0;
    for (const { dueAt, members } of this.#groups.values()) {
      if (dueAt < since) count += members.size;
      else for (const { toldAt = Infinity } of members) if (toldAt < since) count++;
    }
    return count;
  }

  /** For how long a poll has been due that hasn't begun, or that should have ended; 0 when none has. */
  stillMs(): number {
    const now = this.#options.clock.monotonic();
    let most = 0;
    for (const { dueAt, isPolling } of this.#groups.values())
      most = Math.max(most, now - dueAt - (isPolling ? POLL_MS : 0));
    return most;
  }

  close(): void {
    this.#closed = true;
    this.#groups.close();
  }

  async #run(group: Group): Promise<void> {
    const { clock, onFailed, onPolled } = this.#options;
    const at = clock.now() / 1000;
    const abort = new AbortController();
    const since = clock.monotonic();
    const members = group.members.size;
    const poll: Poll = { round: ++this.#round, since, signal: abort.signal, due: 0 };
    group.isPolling = true;
    const cancel = clock.after(POLL_MS, () => abort.abort(new Error("the poll took too long")));
    const tooLate = new Promise<never>((_resolve, reject) => {
      abort.signal.addEventListener("abort", () => reject(abort.signal.reason as Error));
    });
    try {
      await Promise.race([this.#poll(group, poll), tooLate]);
      group.lastSuccess = at;
      onPolled({ group: group.name, members, due: poll.due, seconds: (clock.monotonic() - since) / 1000 });
    } catch (error) {
      // The poll itself may end later than this, and is no longer asked for.
      const late = abort.signal.aborted;
      abort.abort(error);
      onFailed({ group: group.name, members, late, error });
      await this.#tellAll(group.members, poll);
    } finally {
      cancel();
      group.isPolling = false;
    }
    if (group.members.size === 0) this.#groups.end(group);
    else this.#groups.schedule(group);
  }

  async #poll(group: Group, poll: Poll): Promise<void> {
    const { isAsLeft } = this.#options;
    const questions: Question[] = [];
    let seen = 0;
    for (const member of Array.from(group.members)) {
      seen += 1 + member.questions.length;
      if (seen > PORTION) {
        await this.#pause(poll);
        seen = 0;
      }
      if (!group.members.has(member)) continue;
      if (poll.since - member.exactAt >= EXACT_MS || !isAsLeft(member)) this.#tell(member, poll);
      else
        for (const question of member.questions) {
          if (question.round === poll.round) continue;
          question.round = poll.round;
          questions.push(question);
        }
    }
    const byProvider = Map.groupBy(questions, ({ providerId }) => providerId);
    const asked = new Map<string, Asked>();
    await Promise.all(
      [...byProvider].map(async ([providerId, about]) => {
        const who = await this.#ask(about, poll);
        if (who) asked.set(providerId, who);
      }),
    );
    await this.#noteRotations(group, asked, poll);
  }

  /** Who was asked; undefined: nobody could be. */
  async #ask(questions: readonly Question[], poll: Poll): Promise<Asked | undefined> {
    const { open } = this.#options;
    const [first] = questions;
    const asked = first && (await open(first, poll.signal));
    const news = asked ? await asked.news(questions, poll.since, poll.signal) : questions;
    let seen = 0;
    for (const question of news) {
      // Who has left meanwhile asks no more, and looks anyway.
      for (const key of askersOf(question)) {
        if (++seen % PORTION === 0) await this.#pause(poll);
        const member = this.#members.get(key);
        if (member) this.#tell(member, poll);
      }
    }
    return asked;
  }

  async #noteRotations({ members }: Group, asked: ReadonlyMap<string, Asked>, poll: Poll): Promise<void> {
    let seen = 0;
    for (const member of Array.from(members)) {
      let first: number | undefined;
      for (const { providerId, ref } of member.questions) {
        if (++seen % PORTION === 0) await this.#pause(poll);
        const next = asked.get(providerId)?.nextRotation(ref.key);
        if (next !== undefined && (first === undefined || next < first)) first = next;
      }
      member.nextRotation = first ?? member.nextRotation;
    }
  }

  async #tellAll(members: Iterable<Member>, poll: Poll): Promise<void> {
    let seen = 0;
    for (const member of Array.from(members)) {
      if (++seen % PORTION === 0) await sleep(this.#options.clock, 0);
      this.#tell(member, poll);
    }
  }

  /** Others have a turn. */
  async #pause({ signal }: Poll): Promise<void> {
    await sleep(this.#options.clock, 0, signal);
    signal.throwIfAborted();
  }

  #tell(member: Member, poll: Poll): void {
    if (member.toldIn === poll) return;
    member.toldIn = poll;
    poll.due++;
    if (member.toldAt === undefined) {
      member.inStepAt = lastSuccessOf(member);
      member.toldAt = poll.since;
    }
    this.#options.onNews(member.key);
  }
}
