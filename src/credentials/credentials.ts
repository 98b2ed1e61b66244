import { ApiError, type KubeApi, type KubeObject } from "../kube/kube-api.ts";
import { resources } from "../kube/resources.ts";
import { quoted } from "../plan/text.ts";
import type { CredentialRef, TokenSource } from "../providers/contract.ts";
import type { Clock } from "../runtime/clock.ts";
import { newTokens, type AccountRef } from "./tokens.ts";

/** From what a spec names to what signs in. Each thing is read once for a while, and never more of it than is named. */

export type SecretKeysRef = CredentialRef & { readonly kind: "secretKeys" };

export type AccountTokenRef = CredentialRef & { readonly kind: "serviceAccountToken" };

/** `detail`: what is missing where, for the owner of the credentials. */
export type MissingCredentials = { readonly kind: "missing"; readonly detail: string };
export type FoundKeys = { readonly kind: "found"; readonly values: readonly string[] } | MissingCredentials;
export type FoundAccount =
  | {
      readonly kind: "found";
      /** Who it is: other parts of it make another one. */
      readonly identity: readonly unknown[];
      readonly source: TokenSource;
    }
  | MissingCredentials;

export interface CredentialReader {
  /** `ownNamespace`: that of the provider object, for references without one. */
  secretKeys(ref: SecretKeysRef, ownNamespace: string, signal: AbortSignal): Promise<FoundKeys>;
  accountToken(ref: AccountTokenRef, ownNamespace: string, signal: AbortSignal): Promise<FoundAccount>;
}

/** Read again after that time, so that rotated keys are taken up without a restart. */
const KEEP_MS = 30_000;

export function newCredentialReader({ api, clock }: { api: KubeApi; clock: Clock }): CredentialReader {
  /** By namespace, name and keys, the oldest first. */
  const kept = new Map<string, { readonly at: number; readonly found: Promise<FoundKeys> }>();
  const tokens = newTokens({ api, clock });

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
      if (!(error instanceof ApiError)) throw error;
      if (error.status === 403) return missing("can't be read; let the operator's Role get Secrets there");
      // Whoever uses the provider shall not learn from it where its credentials are.
      if (error.unreadable !== undefined) return missing("can't be decrypted by the apiserver");
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
    async accountToken({ namespace: given, name, audiences }, ownNamespace, signal) {
      const namespace = given ?? ownNamespace;
      const account = { namespace, name, audiences };
      const missing = (detail: string): MissingCredentials => ({
        kind: "missing",
        detail: `ServiceAccount ${namespace}/${name} ${detail}`,
      });
      try {
        const made = await tokens.of(account, signal);
        if (!made) return missing("doesn't exist; create it");
        const identity = ["ServiceAccount", namespace, name, made.uid, audiences];
        return { kind: "found", identity, source: newSource(account) };
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        if (error.status === 403)
          return missing(
            "gives the operator no token; let it create serviceaccounts/token there (serviceAccountTokens in the chart)",
          );
        if (error.unreadable !== undefined) return missing("can't be decrypted by the apiserver");
        throw error;
      }
    },

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

  function newSource(account: AccountRef): TokenSource {
    return {
      async token(signal) {
        const made = await tokens.of(account, signal);
        if (!made) throw new Error(`ServiceAccount ${account.namespace}/${account.name} is gone`);
        return made.token;
      },
      refused: () => tokens.refused(account),
    };
  }
}
