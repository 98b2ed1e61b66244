import type { Clock } from "../../runtime/clock.ts";

/**
 * Somebody else who writes the same Secret as eagerly as we do would make a war of it. The first repairs come at once;
 * who goes on is answered later and later.
 */
export class Damper {
  readonly #clock: Clock;
  readonly #repairs = new Map<string, { count: number; at: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Milliseconds that the next repair of the object shall wait. */
  waitMs(key: string): number {
    const now = this.#clock.monotonic();
    const last = this.#repairs.get(key);
    const count = last && now - last.at < PEACE_MS ? last.count + 1 : 1;
    this.#repairs.set(key, { count, at: now });
    return count <= AT_ONCE ? 0 : Math.min(1_000 * 2 ** (count - AT_ONCE - 1), LONGEST_MS);
  }

  forget(key: string): void {
    this.#repairs.delete(key);
  }
}

/** As many as a note tells of; a merging SecretSync that is made anew is another one. */
const MOST_SECRETS_OF_ONE = 128;
const AT_ONCE = 5;
const LONGEST_MS = 60_000;
/** After so long without a change of somebody else it starts anew. */
const PEACE_MS = 5 * 60_000;

/**
 * Somebody else who takes back what is written into a workload, such as a tool that keeps it as it is in Git, would make endless
 * rollouts of it. The first answers come at once; then they come later and later, those that start new pods sooner so.
 */
export class RewriteDamper {
  readonly #clock: Clock;
  /** By uid of the workload, then by name of the Secret. */
  readonly #written = new Map<string, Map<string, Written>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `at`: of the change of the content that would be written. undefined: it may be written now. */
  pause(
    uid: string,
    secretName: string,
    at: string,
  ): { readonly waitMs: number; readonly writtenAt: number } | undefined {
    const last = this.#written.get(uid)?.get(secretName);
    const waitMs = last?.at === at ? last.until - this.#clock.monotonic() : 0;
    return last && waitMs > 0 ? { waitMs, writtenAt: last.writtenAt } : undefined;
  }

  /** Whether something was written of that Secret. */
  knows(uid: string, secretName: string): boolean {
    return this.#written.get(uid)?.has(secretName) ?? false;
  }

  wrote(uid: string, secretName: string, at: string, restart: boolean): void {
    const now = this.#clock.monotonic();
    const secrets = this.#written.get(uid) ?? new Map<string, Written>();
    const last = secrets.get(secretName);
    const count = last?.at === at && now - last.until < PEACE_MS ? last.count + 1 : 1;
    const [atOnce, firstMs, longestMs] = restart
      ? [RESTARTS_AT_ONCE, 5_000, 10 * 60_000]
      : [AT_ONCE, 1_000, LONGEST_MS];
    const waitMs = count < atOnce ? 0 : Math.min(firstMs * 2 ** (count - atOnce), longestMs);
    secrets.delete(secretName);
    const [oldest] = secrets.keys();
    if (secrets.size >= MOST_SECRETS_OF_ONE && oldest !== undefined) secrets.delete(oldest);
    secrets.set(secretName, { at, count, until: now + waitMs, writtenAt: this.#clock.now() });
    this.#written.set(uid, secrets);
  }

  /** Of one Secret, or of all. */
  forget(uid: string, secretName?: string): void {
    if (secretName === undefined) this.#written.delete(uid);
    else this.#written.get(uid)?.delete(secretName);
  }
}

interface Written {
  /** Of the change of the content. */
  readonly at: string;
  readonly count: number;
  /** Monotonic. */
  readonly until: number;
  /** Milliseconds since 1970. */
  readonly writtenAt: number;
}

/** The restart itself, and one for whoever took it back once. */
const RESTARTS_AT_ONCE = 2;
