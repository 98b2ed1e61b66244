import { hasKey, withKey, withoutKey, type Few } from "../runtime/few.ts";
import type { Store } from "../runtime/store.ts";
import type { SyncObject } from "./sync-object.ts";
import { isMerging, targetKeyOf } from "./sync-object.ts";

/** Who writes a Secret. However many want to, telling who may takes no look at all of them. */
export class Claims {
  readonly #syncs: Store<SyncObject>;
  /** Keys of the SecretSyncs that want to write a Secret as a whole, by the Secret's. */
  readonly #whole = new Map<string, Few>();
  /** By the Secret's key: the oldest of several, once it was looked for. */
  readonly #oldest = new Map<string, string>();
  /** By the Secret's key: keys of those that merge, by uid. */
  readonly #merging = new Map<string, Map<string, string>>();

  constructor(syncs: Store<SyncObject>) {
    this.#syncs = syncs;
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
    const whole = this.#whole.get(targetKey);
    const owning = owner === undefined ? undefined : `${targetKey.split("/")[0]}/${owner}`;
    if (owning !== undefined && hasKey(whole, owning)) return owning;
    if (whole === undefined || typeof whole === "string") return whole;
    let oldest = this.#oldest.get(targetKey);
    if (oldest === undefined) {
      oldest = [...whole].reduce((a, b) => (this.#isOlder(b, a) ? b : a));
      this.#oldest.set(targetKey, oldest);
    }
    return oldest;
  }

  /** Keys of the SecretSyncs that merge keys into the Secret, by uid. */
  merging(targetKey: string): ReadonlyMap<string, string> {
    return this.#merging.get(targetKey) ?? NOBODY;
  }

  /** Who a change of the Secret concerns. */
  *concerned(targetKey: string, owner: string | undefined): Iterable<string> {
    const winner = this.winner(targetKey, owner);
    if (winner !== undefined) yield winner;
    yield* this.merging(targetKey).values();
  }

  #add(object: SyncObject): void {
    if (object.metadata.deletionTimestamp !== undefined) return;
    const targetKey = targetKeyOf(object);
    if (isMerging(object)) {
      const merging = this.#merging.get(targetKey) ?? new Map<string, string>();
      this.#merging.set(targetKey, merging.set(object.uid, object.key));
      return;
    }
    this.#whole.set(targetKey, withKey(this.#whole.get(targetKey), object.key));
    const oldest = this.#oldest.get(targetKey);
    if (oldest !== undefined && this.#isOlder(object.key, oldest)) this.#oldest.set(targetKey, object.key);
  }

  #remove(object: SyncObject): void {
    const targetKey = targetKeyOf(object);
    const merging = this.#merging.get(targetKey);
    merging?.delete(object.uid);
    if (merging?.size === 0) this.#merging.delete(targetKey);
    const left = withoutKey(this.#whole.get(targetKey), object.key);
    if (left === undefined) this.#whole.delete(targetKey);
    else this.#whole.set(targetKey, left);
    if (left === undefined || typeof left === "string" || this.#oldest.get(targetKey) === object.key)
      this.#oldest.delete(targetKey);
  }

  #isOlder(key: string, than: string): boolean {
    return this.#ageOf(key) < this.#ageOf(than);
  }

  #ageOf(key: string): string {
    const { creationTimestamp = "", name = "" } = this.#syncs.get(key)?.metadata ?? {};
    return `${creationTimestamp} ${name}`;
  }
}

const NOBODY: ReadonlyMap<string, string> = new Map();
