import { isObject, markedName, unmarked, type Json, type JsonObject } from "./exact-json.ts";
import { MOST_AT_ONCE, type Work } from "./work.ts";

/** Units of Work for a look at a name, beside its length. */
const WORK_OF_A_LOOK = 20;
/** With more steps left, an object's own names are gone through instead: they are no more than the payload has. */
const FEW_STEPS = 8;

/**
 * The value at a path such as auths.registry.example.com.token: at each step the longest name is tried first, and shorter ones
 * where it leads nowhere. `\.` is a dot that separates nothing. What is null isn't there.
 */
export class PropertySearch {
  /** The path with its escapes taken away. */
  readonly #text: string;
  /** Where in it each step begins, and the step behind each place where one ends. */
  readonly #starts: readonly number[];
  readonly #behind: ReadonlyMap<number, number>;
  readonly #mark: string | undefined;
  readonly #work: Work;
  #spent = 0;
  metNull = false;

  constructor(path: string, mark: string | undefined, work: Work) {
    const steps = path.split(/(?<!\\)\./).map((step) => step.replaceAll("\\.", "."));
    const starts: number[] = [];
    const behind = new Map<number, number>();
    let at = 0;
    for (const [index, step] of steps.entries()) {
      starts.push(at);
      behind.set(at + step.length, index + 1);
      at += step.length + 1;
    }
    this.#text = steps.join(".");
    this.#starts = starts;
    this.#behind = behind;
    this.#mark = mark;
    this.#work = work;
  }

  /** It took so much that it was given up: nothing can be said of what it didn't find. */
  get isGivenUp(): boolean {
    return this.#spent > MOST_AT_ONCE || this.#work.isSpent;
  }

  in(json: Json, step = 0): Json | undefined {
    if (step === this.#starts.length) {
      if (json === null) this.metNull = true;
      return json ?? undefined;
    }
    for (const [next, to] of this.#membersAt(json, step)) {
      const found = this.in(next, to);
      if (found !== undefined || this.isGivenUp) return found;
    }
    return undefined;
  }

  /** What the next steps may mean, each with the step behind it, the longest first. */
  #membersAt(json: Json, step: number): Iterable<readonly [Json, number]> {
    if (Array.isArray(json)) return this.#itemAt(json as readonly Json[], step);
    if (!isObject(json)) return [];
    return this.#starts.length - step > FEW_STEPS ? this.#byName(json, step) : this.#byStep(json, step);
  }

  *#itemAt(items: readonly Json[], step: number): Iterable<readonly [Json, number]> {
    const start = this.#starts[step] ?? 0;
    const written = this.#text.slice(start, this.#endOf(step));
    const item = /^\d{1,6}$/.test(written) ? items[Number(written)] : undefined;
    if (item !== undefined) yield [item, step + 1];
  }

  *#byStep(object: JsonObject, step: number): Iterable<readonly [Json, number]> {
    const start = this.#starts[step] ?? 0;
    for (let to = this.#starts.length; to > step; to--) {
      const name = this.#text.slice(start, this.#endOf(to - 1));
      this.#spend(name);
      const stored = markedName(name, this.#mark);
      const member = Object.hasOwn(object, stored) ? object[stored] : undefined;
      if (member !== undefined) yield [member, to];
    }
  }

  *#byName(object: JsonObject, step: number): Iterable<readonly [Json, number]> {
    const start = this.#starts[step] ?? 0;
    const fitting: (readonly [Json, number])[] = [];
    for (const [stored, member] of Object.entries(object)) {
      const name = unmarked(stored, this.#mark);
      this.#spend(name);
      if (this.isGivenUp) return;
      const to = this.#text.startsWith(name, start) ? this.#behind.get(start + name.length) : undefined;
      if (to !== undefined && to > step) fitting.push([member, to]);
    }
    yield* fitting.sort(([, a], [, b]) => b - a);
  }

  #endOf(step: number): number {
    const next = this.#starts[step + 1];
    return next === undefined ? this.#text.length : next - 1;
  }

  #spend(name: string): void {
    const units = WORK_OF_A_LOOK + name.length;
    this.#spent += units;
    this.#work.spend(units);
  }
}
