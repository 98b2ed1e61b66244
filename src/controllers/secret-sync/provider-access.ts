import { createHash } from "node:crypto";
import type { Failure } from "../../api/reasons.ts";
import type { ProviderRef } from "../../api/secret-sync-sources.ts";
import {
  clusterSecretProviderSpec,
  memberOf,
  secretProviderSpec,
  type ClusterSecretProviderSpec,
  type ProviderLimits,
  type ProviderName,
  type SecretProviderSpec,
} from "../../api/secret-provider.ts";
import { parseSpec, type Parsed } from "../../api/parse.ts";
import type { CredentialReader, SecretKeysRef } from "../../credentials/credentials.ts";
import type { ClientPool } from "../../fetch/client-pool.ts";
import type { ProviderClient } from "../../fetch/provider-client.ts";
import { isSelected, mayRead } from "../../plan/access.ts";
import { providerName } from "../../plan/sources.ts";
import type { Catalog } from "../../providers/catalog.ts";
import { UnusableCredentials, type Credentials, type ProviderModule } from "../../providers/contract.ts";
import { providerKey, type ProviderObject, type Views } from "../../cluster/views.ts";

/** From a providerRef to a client that may be asked, or the reason why not. */

export interface ProviderAccess {
  readonly client: ProviderClient;
  /** Whether the SecretSync's namespace may read the key. */
  readonly mayRead: (key: string) => boolean;
  /** Whether there is anything that it may read. */
  readonly mayReadAny: boolean;
}

export type AccessResult =
  { readonly ok: true; readonly access: ProviderAccess } | { readonly ok: false; readonly failure: Failure };

/** A connection that is to be made. */
export interface Connection {
  readonly name: ProviderName;
  readonly module: ProviderModule;
  readonly target: unknown;
  readonly credentials: Credentials;
  /** Whose provider it is; empty: the admin's. */
  readonly share: string;
  readonly limits: ProviderLimits;
  /** The provider objects that use it just now, as providerKey() names them. */
  readonly users: () => readonly string[];
}

export interface ProviderAccessOptions {
  readonly views: Views;
  readonly catalog: Catalog;
  readonly credentials: CredentialReader;
  readonly pool: ClientPool<ProviderClient>;
  /** Throws UnusableCredentials. */
  readonly connect: (connection: Connection) => ProviderClient;
  /** Whether SecretProviders of namespaces may use the operator's own identity. */
  readonly allowAmbientIdentity: boolean;
  readonly clusterProviders: boolean;
  /** Told where the credentials of a ClusterSecretProvider are missing, which its users must not learn. */
  readonly onMissingCredentials: (provider: string, detail: string) => void;
}

type ProviderSpec = SecretProviderSpec | ClusterSecretProviderSpec;

export function newProviderAccess(options: ProviderAccessOptions) {
  const { views, catalog, pool, connect, allowAmbientIdentity, clusterProviders } = options;
  /** Why nobody can sign in with these values; looking at them again would only take time. */
  const unusables = new WeakMap<object, string>();
  const parsedSpecs = new WeakMap<ProviderObject, Parsed<ProviderSpec>>();

  for (const [store, kind] of [
    [views.providers, "SecretProvider"],
    [views.clusterProviders, "ClusterSecretProvider"],
  ] as const) {
    store.listen((before, after) => {
      if (before && !after)
        pool.release(providerKey(kind, before.metadata.namespace ?? "", before.metadata.name));
    });
  }

  return async function access(
    ref: ProviderRef,
    namespace: string,
    signal: AbortSignal,
  ): Promise<AccessResult> {
    const result = await open(ref, namespace, signal);
    // Who may no longer sign in keeps no connection of before.
    if (!result.ok) pool.release(providerKey(ref.kind, namespace, ref.name));
    return result;
  };

  async function open(ref: ProviderRef, namespace: string, signal: AbortSignal): Promise<AccessResult> {
    const isCluster = ref.kind === "ClusterSecretProvider";
    const object = isCluster
      ? views.clusterProviders.get(ref.name)
      : views.providers.get(`${namespace}/${ref.name}`);
    if (isCluster && !clusterProviders) {
      return no(
        "ProviderNotFound",
        `${providerName(ref)}: this operator serves no ClusterSecretProviders (--cluster-providers=false); use a SecretProvider`,
      );
    }
    if (!object) {
      const other = !isCluster && clusterProviders && views.clusterProviders.get(ref.name);
      return no(
        "ProviderNotFound",
        `${providerName(ref)} doesn't exist; ${other ? "there is a ClusterSecretProvider of that name: set providerRef.kind to ClusterSecretProvider" : "create it, or correct providerRef"}`,
      );
    }
    const parsed = parsedOf(object, isCluster);
    if (!parsed.ok) return no("InvalidProvider", `${providerName(ref)}: ${parsed.problems.join("; ")}`);
    const { limits } = parsed.value;
    const [name, spec] = memberOf(parsed.value);
    const module = await catalog[name]();
    const problem = module.problemOf(spec);
    if (problem !== undefined) return no("InvalidProvider", `${providerName(ref)}: ${problem}`);
    const credentials: Credentials[number][] = [];
    const identities: unknown[] = [];
    for (const wanted of module.credentials(spec)) {
      if (wanted.kind === "ambient") {
        if (!isCluster && !allowAmbientIdentity)
          return no(
            "AmbientIdentityRefused",
            `${providerName(ref)}: ${wanted.field} isn't set, which means the operator's own identity; set it, use a ClusterSecretProvider, or start the operator with --allow-ambient-identity`,
          );
        credentials.push(undefined);
        identities.push(undefined);
        continue;
      }
      if (wanted.kind === "serviceAccountToken") {
        const found = await options.credentials.accountToken(wanted, namespace, signal);
        if (found.kind === "missing") return unusable(ref, `${wanted.field}: ${found.detail}`);
        credentials.push(found.source);
        identities.push(found.identity);
        continue;
      }
      const found = await options.credentials.secretKeys(wanted, namespace, signal);
      if (found.kind === "missing") return missingKeys(ref, wanted, found.detail);
      credentials.push(found.values);
      identities.push(found.values);
    }
    const target = module.target(spec);
    const share = isCluster ? "" : namespace;
    const identity = identityOf([name, target, identities, share]);
    const user = providerKey(ref.kind, namespace, ref.name);
    const users = () => pool.usersOf(identity);
    // The same array for as long as they are kept.
    const told = credentials[0] && unusables.get(credentials[0]);
    if (told !== undefined) return unusable(ref, told);
    try {
      const client = pool.get({ identity, user, share, limits }, (lowest) =>
        connect({ name, module, target, credentials, share, users, limits: lowest }),
      );
      if (!client) {
        return no(
          "RateLimited",
          `${providerName(ref)}: namespace ${namespace} opens too many connections: it has more than ${pool.mostOfAShare} providers in use, or changes them all the time; use fewer, or refresh their SecretSyncs less often`,
        );
      }
      return { ok: true, access: { client, ...rightsOf(parsed.value, namespace) } };
    } catch (error) {
      if (!(error instanceof UnusableCredentials)) throw error;
      if (credentials[0]) unusables.set(credentials[0], error.message);
      return unusable(ref, error.message);
    }
  }

  function unusable(ref: ProviderRef, detail: string): AccessResult {
    const provider = providerName(ref);
    const isCluster = ref.kind === "ClusterSecretProvider";
    if (isCluster) options.onMissingCredentials(provider, detail);
    return no("CredentialsNotFound", `${provider}: ${isCluster ? ownerKnows : detail}`);
  }

  /**
   * One message for whatever is missing: who may write providers need not be let to look at Secrets. Those who use the admin's
   * providers don't even learn where the credentials are.
   */
  function missingKeys(ref: ProviderRef, { field, name, keys }: SecretKeysRef, detail: string): AccessResult {
    const provider = providerName(ref);
    const isCluster = ref.kind === "ClusterSecretProvider";
    if (isCluster) options.onMissingCredentials(provider, detail);
    const wanted = `${field}: Secret ${name} doesn't exist, or lacks one of the keys ${keys.join(", ")}, or may not be read by the operator; create it with these keys`;
    return no("CredentialsNotFound", `${provider}: ${isCluster ? ownerKnows : wanted}`);
  }

  function parsedOf(object: ProviderObject, isCluster: boolean): Parsed<ProviderSpec> {
    let parsed = parsedSpecs.get(object);
    if (!parsed) {
      parsed = isCluster
        ? parseSpec(clusterSecretProviderSpec, object.spec)
        : parseSpec(secretProviderSpec, object.spec);
      parsedSpecs.set(object, parsed);
    }
    return parsed;
  }

  function rightsOf(spec: ProviderSpec, name: string): Pick<ProviderAccess, "mayRead" | "mayReadAny"> {
    if (!("access" in spec)) return { mayRead: () => true, mayReadAny: true };
    const namespace = { name, labels: views.namespaces.get(name)?.labels };
    return {
      mayRead: (key) => mayRead(spec.access, namespace, key),
      mayReadAny: isSelected(spec.access, namespace),
    };
  }
}

const ownerKnows = "its credentials can't be read; its owner finds the cause in the operator's log";

const no = (reason: Failure["reason"], message: string): AccessResult => ({
  ok: false,
  failure: { reason, message },
});

/** A hash, since it holds credentials and is kept. */
const identityOf = (parts: readonly unknown[]): string =>
  createHash("sha256").update(JSON.stringify(parts)).digest("hex");
