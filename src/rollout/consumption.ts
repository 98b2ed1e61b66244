import { listOf, recordOf } from "../api/loose.ts";

/** Which Secrets, and which of their keys, the pods of a workload consume. */

export type ConsumedKeys = readonly string[] | "all";

/** Secrets that a workload may consume; who consumes more is not restarted for the rest. */
export const MOST_SECRETS = 64;
/** Bytes of names of keys; beyond, every key of a Secret counts. */
const MOST_BYTES_OF_KEYS = 16 * 1024;

/** What a pod, or one of its containers, reads of one Secret. */
interface Reference {
  readonly name: unknown;
  /** Absent: all keys. */
  readonly key?: unknown;
  readonly optional: boolean;
}

/**
 * The parts of a pod's spec that name Secrets:
 * https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
 */
export function consumptionOf(podSpec: unknown): {
  readonly consumes: Readonly<Record<string, ConsumedKeys>>;
  readonly requires: Readonly<Record<string, readonly string[]>>;
  readonly optional: readonly string[];
  readonly isCut: boolean;
} {
  const consumption = new Consumption();
  const { containers, initContainers, volumes } = recordOf(podSpec);
  for (const container of [...listOf(initContainers), ...listOf(containers)])
    for (const reference of referencesOf(container)) consumption.add(reference);
  for (const volume of listOf(volumes))
    for (const reference of referencesOfVolume(volume)) consumption.add(reference);
  return consumption;
}

export interface Reading {
  readonly keys: ConsumedKeys;
  /** It can have been started without the Secret. */
  readonly optional: boolean;
}

/** What each container of a pod reads of a Secret, by environment or by a volume that it mounts. */
export function readersOf(podSpec: unknown, secretName: string): ReadonlyMap<string, Reading> {
  const { containers, initContainers, volumes } = recordOf(podSpec);
  const mounted = new Map(
    listOf(volumes).map((volume) => [recordOf(volume)["name"], [...referencesOfVolume(volume)]] as const),
  );
  const readers = new Map<string, Reading>();
  for (const container of [...listOf(initContainers), ...listOf(containers)]) {
    const { name, volumeMounts } = recordOf(container);
    const references = [
      ...referencesOf(container),
      ...listOf(volumeMounts).flatMap((mount) => mounted.get(recordOf(mount)["name"]) ?? []),
    ].filter((reference) => reference.name === secretName);
    if (typeof name === "string" && references.length > 0)
      readers.set(name, {
        keys: keysOf(references),
        optional: references.every(({ optional }) => optional),
      });
  }
  return readers;
}

function keysOf(references: readonly Reference[]): ConsumedKeys {
  const keys = references.map(({ key }) => key);
  return keys.every((key) => typeof key === "string") ? keys : "all";
}

function* referencesOf(container: unknown): Iterable<Reference> {
  const { env, envFrom } = recordOf(container);
  for (const variable of listOf(env)) {
    const { name, key, optional } = recordOf(recordOf(recordOf(variable)["valueFrom"])["secretKeyRef"]);
    if (typeof key === "string") yield { name, key, optional: optional === true };
  }
  for (const source of listOf(envFrom)) {
    const { name, optional } = recordOf(recordOf(source)["secretRef"]);
    yield { name, optional: optional === true };
  }
}

function* referencesOfVolume(volume: unknown): Iterable<Reference> {
  const { secret, projected } = recordOf(volume);
  const { secretName, items, optional } = recordOf(secret);
  yield* ofItems(secretName, items, optional === true);
  for (const source of listOf(recordOf(projected)["sources"])) {
    const { name, items: some, optional: mayLack } = recordOf(recordOf(source)["secret"]);
    yield* ofItems(name, some, mayLack === true);
  }
}

/** `items`: absent for all. */
function* ofItems(name: unknown, items: unknown, optional: boolean): Iterable<Reference> {
  if (!Array.isArray(items)) yield { name, optional };
  else
    for (const item of items) {
      const { key } = recordOf(item);
      if (typeof key === "string") yield { name, key, optional };
    }
}

class Consumption {
  readonly #found = new Map<string, Set<string> | "all">();
  readonly #required = new Map<string, Set<string>>();
  readonly #optional = new Set<string>();
  #bytes = 0;
  isCut = false;

  add({ name, key, optional }: Reference): void {
    if (!this.#isTaken(name)) return;
    if (optional) this.#optional.add(name);
    else this.#require(name, key);
    const keys = this.#found.get(name) ?? new Set();
    if (keys === "all") return;
    if (typeof key !== "string") this.#found.set(name, "all");
    else {
      if (!keys.has(key)) this.#bytes += key.length;
      this.#found.set(name, this.#bytes > MOST_BYTES_OF_KEYS ? "all" : keys.add(key));
    }
  }

  get consumes(): Readonly<Record<string, ConsumedKeys>> {
    return Object.fromEntries(
      [...this.#found].map(([name, keys]) => [name, keys === "all" ? keys : [...keys].sort()]),
    );
  }

  get requires(): Readonly<Record<string, readonly string[]>> {
    return Object.fromEntries([...this.#required].map(([name, keys]) => [name, [...keys].sort()]));
  }

  get optional(): readonly string[] {
    return [...this.#optional];
  }

  #require(name: string, key: unknown): void {
    const keys = this.#required.get(name) ?? new Set();
    if (typeof key === "string" && this.#bytes <= MOST_BYTES_OF_KEYS) keys.add(key);
    this.#required.set(name, keys);
  }

  #isTaken(name: unknown): name is string {
    if (typeof name !== "string" || name === "" || name.length > 253) return false;
    if (this.#found.has(name) || this.#found.size < MOST_SECRETS) return true;
    this.isCut = true;
    return false;
  }
}
