import type { Store } from "../runtime/store.ts";
import type { SyncObject } from "./sync-object.ts";
import { isMerging, targetKeyOf } from "./sync-object.ts";

/** Who writes a Secret. However many want to, telling who may takes no look at all of them. */
export class Claims {
  readonly #targets = new Map<string, Target>();

  constructor(syncs: Store<SyncObject>) {
    syncs.listen((before, after) => {
      if (before) this.#remove(before);
      if (after) this.#add(after);
    });
  }

  /**
   * Key of the SecretSync that may write the Secret as a whole: the one that wrote it, as long as it still wants to; else
   * the oldest. undefined when nobody does.
   */
  winner(targetKey: string, owner: string | undefined): string | undefined {
    const target = this.#targets.get(targetKey);
    if (!target) return undefined;
    const owning = owner === undefined ? undefined : `${targetKey.split("/")[0]}/${owner}`;
    if (owning !== undefined && target.whole.has(owning)) return owning;
    target.oldest ??= oldestOf(target.whole);
    return target.oldest;
  }

  /** Keys of the SecretSyncs that merge keys into the Secret, by uid. */
  merging(targetKey: string): ReadonlyMap<string, string> {
    return this.#targets.get(targetKey)?.merging ?? NOBODY;
  }

  /** Who a change of the Secret concerns. */
  *concerned(targetKey: string, owner: string | undefined): Iterable<string> {
    const winner = this.winner(targetKey, owner);
    if (winner !== undefined) yield winner;
    yield* this.merging(targetKey).values();
  }

  #add(object: SyncObject): void {
    if (object.metadata.deletionTimestamp !== undefined) return;
    const key = targetKeyOf(object);
    let target = this.#targets.get(key);
    if (!target)
      this.#targets.set(key, (target = { whole: new Map(), merging: new Map(), oldest: undefined }));
    if (isMerging(object)) {
      target.merging.set(object.uid, object.key);
      return;
    }
    const age = ageOf(object);
    target.whole.set(object.key, age);
    if (target.oldest !== undefined && age < (target.whole.get(target.oldest) ?? ""))
      target.oldest = object.key;
    if (target.whole.size === 1) target.oldest = object.key;
  }

  #remove(object: SyncObject): void {
    const key = targetKeyOf(object);
    const target = this.#targets.get(key);
    if (!target) return;
    target.merging.delete(object.uid);
    target.whole.delete(object.key);
    if (target.oldest === object.key) target.oldest = undefined;
    if (target.whole.size + target.merging.size === 0) this.#targets.delete(key);
  }
}

interface Target {
  /** By key of the SecretSync: what orders them by age. */
  readonly whole: Map<string, string>;
  readonly merging: Map<string, string>;
  /** undefined when it must be looked for. */
  oldest: string | undefined;
}

const NOBODY: ReadonlyMap<string, string> = new Map();

const ageOf = ({ metadata }: SyncObject): string => `${metadata.creationTimestamp ?? ""} ${metadata.name}`;

function oldestOf(whole: ReadonlyMap<string, string>): string | undefined {
  let oldest: string | undefined;
  for (const [key, age] of whole) if (oldest === undefined || age < (whole.get(oldest) ?? "")) oldest = key;
  return oldest;
}
