import type { Keeping, KeptBytes } from "./kept-bytes.ts";

/**
 * By when a provider wants to have rotated its secrets, of those that somebody asks about: a store may have half a million others.
 * Of very many, those that were asked about first are forgotten. Times are milliseconds since 1970.
 */
export class Rotations implements Keeping {
  readonly #kept: KeptBytes;
  /** undefined: it isn't rotated by schedule, or nobody has told yet. */
  readonly #next = new Map<string, number | undefined>();

  constructor(kept: KeptBytes) {
    this.#kept = kept;
  }

  /** What the next listing tells of it is noted. */
  ask(name: string): number | undefined {
    if (!this.#next.has(name)) this.note(name, undefined);
    return this.#next.get(name);
  }

  note(name: string, next: number | undefined): void {
    const isNew = !this.#next.has(name);
    this.#next.set(name, next);
    if (isNew) this.#kept.add(this, weightOf(name));
  }

  /** Of a listing, which shows much that nobody asks about. */
  noteIfAsked(name: string, next: number | undefined): void {
    if (this.#next.has(name)) this.#next.set(name, next);
  }

  forgetOldest(): void {
    const [oldest] = this.#next.keys();
    if (oldest === undefined) return;
    this.#next.delete(oldest);
    this.#kept.add(this, -weightOf(oldest));
  }

  forgetAll(): void {
    while (this.#next.size > 0) this.forgetOldest();
  }
}

const weightOf = (name: string): number => name.length + 100;
