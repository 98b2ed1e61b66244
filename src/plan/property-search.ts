import { isObject, markedName, type Json } from "./exact-json.ts";
import type { Work } from "./work.ts";

/** Units of Work for a look at a name, beside its length. */
const WORK_OF_A_LOOK = 20;

/**
 * The value at a path such as auths.registry.example.com.token: at each step the longest name is tried first, and shorter ones
 * where it leads nowhere. `\.` is a dot that separates nothing. What is null isn't there.
 */
export class PropertySearch {
  /** Between dots that separate. */
  readonly #parts: readonly string[];
  readonly #mark: string | undefined;
  readonly #work: Work;
  metNull = false;

  constructor(path: string, mark: string | undefined, work: Work) {
    this.#parts = path.split(/(?<!\\)\./);
    this.#mark = mark;
    this.#work = work;
  }

  in(json: Json, from = 0): Json | undefined {
    if (from === this.#parts.length) {
      if (json === null) this.metNull = true;
      return json ?? undefined;
    }
    const longest = isObject(json) ? this.#parts.length : from + 1;
    for (let to = longest; to > from; to--) {
      const name = this.#parts.slice(from, to).join(".");
      this.#work.spend(WORK_OF_A_LOOK + name.length);
      if (this.#work.isSpent) return undefined;
      const next = this.#memberOf(json, name);
      const found = next === undefined ? undefined : this.in(next, to);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #memberOf(json: Json, written: string): Json | undefined {
    if (Array.isArray(json))
      return /^\d{1,6}$/.test(written) ? (json as readonly Json[])[Number(written)] : undefined;
    if (!isObject(json)) return undefined;
    const name = written.replaceAll("\\.", ".");
    const stored = markedName(name, this.#mark);
    return Object.hasOwn(json, stored) ? json[stored] : undefined;
  }
}
