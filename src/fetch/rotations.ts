import type { Keeping, KeptBytes } from "./kept-bytes.ts";

/**
 * By when a provider wants to have rotated its secrets, of those that somebody asks about: a store may have half a million others.
 * Of very many, those that were asked about first are forgotten. Times are milliseconds since 1970.
 */
export class Rotations implements Keeping {
  readonly #kept: KeptBytes;
  /** undefined: it isn't rotated by schedule, or nobody has told yet. */
  readonly #next = new Map<string, number | undefined>();
  /** How many of these are known. */
  #known = 0;

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
    this.#set(name, next);
    if (isNew) this.#kept.add(this, weightOf(name));
  }

  /** Of a listing, which shows much that nobody asks about, and mostly tells nothing new: that must cost next to nothing. */
  noteIfAsked(name: string, next: number | undefined): void {
    if (next === undefined && this.#known === 0) return;
    if (this.#next.has(name)) this.#set(name, next);
  }

  forgetOldest(): void {
    const [oldest] = this.#next.keys();
    if (oldest === undefined) return;
    this.#set(oldest, undefined);
    this.#next.delete(oldest);
    this.#kept.add(this, -weightOf(oldest));
  }

  #set(name: string, next: number | undefined): void {
    this.#known += (next === undefined ? 0 : 1) - (this.#next.get(name) === undefined ? 0 : 1);
    this.#next.set(name, next);
  }

  forgetAll(): void {
    while (this.#next.size > 0) this.forgetOldest();
  }
}

const weightOf = (name: string): number => name.length + 100;
