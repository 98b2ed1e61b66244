import { ApiError, type KubeApi, type KubeObject } from "../kube/kube-api.ts";
import { resources } from "../kube/resources.ts";
import { quoted } from "../plan/text.ts";
import type { CredentialRef } from "../providers/contract.ts";
import type { Clock } from "../runtime/clock.ts";

/** From what a spec names to what signs in. Each thing is read once for a while, and never more of it than is named. */

export type SecretKeysRef = CredentialRef & { readonly kind: "secretKeys" };

export type FoundKeys =
  | { readonly kind: "found"; readonly values: readonly string[] }
  /** `detail`: what is missing where, for the owner of the credentials. */
  | { readonly kind: "missing"; readonly detail: string };

export interface CredentialReader {
  /** `ownNamespace`: that of the provider object, for references without one. */
  secretKeys(ref: SecretKeysRef, ownNamespace: string, signal: AbortSignal): Promise<FoundKeys>;
}

/** Read again after that time, so that rotated keys are taken up without a restart. */
const KEEP_MS = 30_000;

export function newCredentialReader({ api, clock }: { api: KubeApi; clock: Clock }): CredentialReader {
  /** By namespace, name and keys, the oldest first. */
  const kept = new Map<string, { readonly at: number; readonly found: Promise<FoundKeys> }>();

  async function read(
    namespace: string,
    { name, keys }: SecretKeysRef,
    signal: AbortSignal,
  ): Promise<FoundKeys> {
    const missing = (detail: string): FoundKeys => ({
      kind: "missing",
      detail: `Secret ${namespace}/${name} ${detail}`,
    });
    let secret: (KubeObject & { data?: Readonly<Record<string, string>> }) | undefined;
    try {
      secret = await api.get(resources.secret, name, namespace, signal);
    } catch (error) {
      if (error instanceof ApiError && error.status === 403)
        return missing("can't be read; let the operator's Role get Secrets there");
      throw error;
    }
    if (!secret) return missing(`doesn't exist; create it with the keys ${keys.join(", ")}`);
    const { data = {} } = secret;
    const values = keys.map((key) =>
      Buffer.from((Object.hasOwn(data, key) && data[key]) || "", "base64")
        .toString("utf8")
        .trim(),
    );
    const lacking = keys.find((_key, index) => values[index] === "");
    return lacking === undefined
      ? { kind: "found", values }
      : missing(`has no key ${quoted(lacking)}; add it`);
  }

  return {
    secretKeys(ref, ownNamespace, signal) {
      const { namespace = ownNamespace, name, keys } = ref;
      const id = JSON.stringify([namespace, name, keys]);
      const now = clock.monotonic();
      for (const [oldest, { at }] of kept) {
        if (now - at < KEEP_MS) break;
        kept.delete(oldest);
      }
      const known = kept.get(id);
      if (known) return known.found;
      const found = read(namespace, ref, signal);
      kept.set(id, { at: now, found });
      const forget = () => kept.delete(id);
      // What isn't there yet may be there the next time.
      found.then(({ kind }) => kind === "missing" && forget(), forget);
      return found;
    },
  };
}
