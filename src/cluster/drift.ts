import type { Clock } from "../runtime/clock.ts";
import { namespaceOf } from "./sync-object.ts";

/** Since when Secrets that the operator wrote are gone or changed by somebody, as far as it saw that happen. */
export class DriftTimes {
  readonly #clock: Clock;
  /** Milliseconds since 1970, by namespace, and by namespace/name. */
  readonly #since = new Map<string, Map<string, number>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The first time counts, until the operator writes it again. */
  note(targetKey: string): void {
    const namespace = namespaceOf(targetKey);
    const times = this.#since.get(namespace) ?? new Map<string, number>();
    this.#since.set(namespace, times);
    if (times.has(targetKey)) return;
    times.set(targetKey, this.#clock.now());
    const [oldest] = times.keys();
    if (times.size > MOST_OF_A_NAMESPACE && oldest !== undefined) times.delete(oldest);
  }

  forget(targetKey: string): void {
    const namespace = namespaceOf(targetKey);
    const times = this.#since.get(namespace);
    times?.delete(targetKey);
    if (times?.size === 0) this.#since.delete(namespace);
  }

  /** RFC 3339. */
  since(targetKey: string): string | undefined {
    const since = this.#since.get(namespaceOf(targetKey))?.get(targetKey);
    return since === undefined ? undefined : new Date(since).toISOString();
  }
}

/** Of what is forgotten only the time isn't known. */
const MOST_OF_A_NAMESPACE = 1_000;
