import type { Failure } from "../api/reasons.ts";
import type { SecretValue } from "../providers/secret-value.ts";

/** https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size */
export const MOST_BYTES = 1024 * 1024;

/** Nobody needs more, and each takes its time, here and at the apiserver. */
const MOST_KEYS = 10_000;
const MOST_BYTES_OF_NAMES = 256 * 1024;

/** The data of a Secret as it grows, with its sizes. */
export class SecretData {
  readonly values = new Map<string, SecretValue>();
  /** Of keys that a find gave: the name of the remote secret. */
  readonly origins = new Map<string, string>();
  #bytes = 0;
  #bytesOfNames = 0;

  set(key: string, value: SecretValue, origin?: string): void {
    const before = this.values.get(key);
    this.#bytes += value.size - (before?.size ?? 0);
    if (!before) this.#bytesOfNames += key.length;
    this.values.set(key, value);
    if (origin === undefined) this.origins.delete(key);
    else this.origins.set(key, origin);
  }

  problem(): Failure | undefined {
    if (this.#bytes > MOST_BYTES)
      return tooLarge("the values together exceed the 1 MiB that a Secret can hold");
    if (this.values.size > MOST_KEYS) return tooLarge(`there are more than ${MOST_KEYS} keys`);
    if (this.#bytesOfNames > MOST_BYTES_OF_NAMES)
      return tooLarge(`the names of the keys together exceed ${MOST_BYTES_OF_NAMES / 1024} KiB`);
    return undefined;
  }
}

const tooLarge = (what: string): Failure => ({
  reason: "TooLarge",
  message: `spec: ${what}; split them over several SecretSyncs`,
});
