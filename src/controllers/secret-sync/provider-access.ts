import { createHash } from "node:crypto";
import type { Failure } from "../../api/reasons.ts";
import type { ProviderRef } from "../../api/secret-sync-sources.ts";
import {
  clusterSecretProviderSpec,
  secretProviderSpec,
  type ClusterSecretProviderSpec,
  type ProviderLimits,
  type SecretProviderSpec,
} from "../../api/secret-provider.ts";
import { parseSpec, type Parsed } from "../../api/parse.ts";
import type { ClientPool } from "../../fetch/client-pool.ts";
import type { ProviderClient } from "../../fetch/provider-client.ts";
import { ApiError, type KubeApi, type KubeObject } from "../../kube/kube-api.ts";
import { resources } from "../../kube/resources.ts";
import { globMatches, isSelected, mayRead } from "../../plan/access.ts";
import { providerName } from "../../plan/sources.ts";
import { quoted } from "../../plan/text.ts";
import type { Clock } from "../../runtime/clock.ts";
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

/** Everything that makes one client differ from another. */
export interface AwsTarget {
  readonly region: string;
  readonly endpoint: string | undefined;
  readonly credentials:
    | {
        readonly accessKeyId: string;
        readonly secretAccessKey: string;
        readonly sessionToken: string | undefined;
      }
    | undefined;
}

/** `share`: whose provider it is; empty: the admin's. */
export type ConnectAws = (
  target: AwsTarget,
  share: string,
  limits: ProviderLimits,
) => Promise<ProviderClient>;

export interface ProviderAccessOptions {
  readonly api: KubeApi;
  readonly views: Views;
  readonly clock: Clock;
  readonly pool: ClientPool<ProviderClient>;
  readonly connectAws: ConnectAws;
  /** Whether SecretProviders of namespaces may use the operator's own identity. */
  readonly allowAmbientIdentity: boolean;
  readonly clusterProviders: boolean;
  /** Regions that may be asked, as globs; empty: any. */
  readonly regions: readonly string[];
  /** Told where the credentials of a ClusterSecretProvider are missing, which its users must not learn. */
  readonly onMissingCredentials: (provider: string, detail: string) => void;
}

const CREDENTIALS_MS = 30_000;

export function newProviderAccess(options: ProviderAccessOptions) {
  const { api, views, clock, pool, connectAws, allowAmbientIdentity, clusterProviders, regions } = options;
  const parsedSpecs = new WeakMap<ProviderObject, Parsed<SecretProviderSpec | ClusterSecretProviderSpec>>();
  const ambientIdentities = new WeakMap<object, string>();
  /** By namespace, name and keys; of each Secret only what is named, and for a short time. */
  const secrets = new Map<string, { at: number; data: Promise<NamedKeys | undefined> }>();

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
    const { aws, limits } = parsed.value;
    // The spec's own rule sees to it.
    if (!aws) throw new Error("a provider without a member passed validation");
    const region = aws.regions[0] as string;
    if (regions.length > 0 && !regions.some((glob) => globMatches(glob, "", region))) {
      return no(
        "InvalidProvider",
        `${providerName(ref)}: spec.aws.regions: this operator asks no region ${region}; it may ask ${regions.join(", ")} (--aws-regions)`,
      );
    }
    const { secretRef } = aws.auth;
    if (!secretRef && !isCluster && !allowAmbientIdentity) {
      return no(
        "AmbientIdentityRefused",
        `${providerName(ref)}: spec.aws.auth is empty, which means the operator's own identity; set auth.secretRef, use a ClusterSecretProvider, or start the operator with --allow-ambient-identity`,
      );
    }
    const credentials = secretRef && (await staticKeys(ref, secretRef, namespace, signal));
    if (credentials && "failure" in credentials) return { ok: false, failure: credentials.failure };
    const endpoint = "endpoint" in aws ? aws.endpoint : undefined;
    const target: AwsTarget = { region, endpoint, credentials };
    const share = isCluster ? "" : namespace;
    const user = providerKey(ref.kind, namespace, ref.name);
    const identity = identityFor(parsed.value, target, share);
    const client = await pool.get({ identity, user, share, limits }, (lowest) =>
      connectAws(target, share, lowest),
    );
    return { ok: true, access: { client, ...rightsOf(parsed.value, namespace) } };
  };

  function parsedOf(
    object: ProviderObject,
    isCluster: boolean,
  ): Parsed<SecretProviderSpec | ClusterSecretProviderSpec> {
    let parsed = parsedSpecs.get(object);
    if (!parsed) {
      parsed = isCluster
        ? parseSpec(clusterSecretProviderSpec, object.spec)
        : parseSpec(secretProviderSpec, object.spec);
      parsedSpecs.set(object, parsed);
    }
    return parsed;
  }

  /** Computed once for a provider that holds no credentials of its own: every reconcile asks. */
  function identityFor(
    spec: SecretProviderSpec | ClusterSecretProviderSpec,
    target: AwsTarget,
    share: string,
  ): string {
    if (target.credentials) return identityOf(target, share);
    const known = ambientIdentities.get(spec) ?? identityOf(target, share);
    ambientIdentities.set(spec, known);
    return known;
  }

  function rightsOf(
    spec: SecretProviderSpec | ClusterSecretProviderSpec,
    name: string,
  ): Pick<ProviderAccess, "mayRead" | "mayReadAny"> {
    if (!("access" in spec)) return { mayRead: () => true, mayReadAny: true };
    const namespace = { name, labels: views.namespaces.get(name)?.labels ?? {} };
    return {
      mayRead: (key) => mayRead(spec.access, namespace, key),
      mayReadAny: isSelected(spec.access, namespace),
    };
  }

  async function staticKeys(
    ref: ProviderRef,
    secretRef: NonNullable<NonNullable<SecretProviderSpec["aws"]>["auth"]["secretRef"]> & {
      namespace?: string;
    },
    ownNamespace: string,
    signal: AbortSignal,
  ): Promise<NonNullable<AwsTarget["credentials"]> | { failure: Failure }> {
    const { name, accessKeyIDKey, secretAccessKeyKey, sessionTokenKey, namespace = ownNamespace } = secretRef;
    const provider = providerName(ref);
    // One message for whatever is missing: who may write providers need not be let to look at Secrets. Those who use the
    // admin's providers don't even learn where the credentials are.
    const fail = (detail: string) => {
      const isCluster = ref.kind === "ClusterSecretProvider";
      if (isCluster) options.onMissingCredentials(provider, `Secret ${namespace}/${name} ${detail}`);
      const message = isCluster
        ? `${provider}: its credentials can't be read; its owner finds the cause in the operator's log`
        : `${provider}: spec.aws.auth.secretRef: Secret ${name} doesn't exist, or lacks one of the keys ${wanted.join(", ")}, or may not be read by the operator; create it with these keys`;
      return { failure: { reason: "CredentialsNotFound", message } as const };
    };
    const wanted = [accessKeyIDKey, secretAccessKeyKey, ...(sessionTokenKey ? [sessionTokenKey] : [])];
    let data: NamedKeys | undefined;
    try {
      data = await namedKeys(namespace, name, wanted, signal);
    } catch (error) {
      if (error instanceof ApiError && error.status === 403)
        return fail("can't be read; let the operator's Role get Secrets there");
      throw error;
    }
    if (!data) return fail(`doesn't exist; create it with the keys ${wanted.join(", ")}`);
    const missing = wanted.find((key) => !data.get(key));
    if (missing !== undefined) return fail(`has no key ${quoted(missing)}; add it`);
    return {
      accessKeyId: data.get(accessKeyIDKey) ?? "",
      secretAccessKey: data.get(secretAccessKeyKey) ?? "",
      sessionToken: sessionTokenKey && data.get(sessionTokenKey),
    };
  }

  /** Read again after a while, so that rotated keys are taken up without a restart. */
  function namedKeys(namespace: string, name: string, keys: readonly string[], signal: AbortSignal) {
    const id = JSON.stringify([namespace, name, keys]);
    const now = clock.monotonic();
    for (const [oldest, { at }] of secrets) {
      if (now - at < CREDENTIALS_MS) break;
      secrets.delete(oldest);
    }
    const known = secrets.get(id);
    if (known) return known.data;
    const data = api
      .get<KubeObject & { data?: Record<string, string> }>(resources.secret, name, namespace, signal)
      .then((secret) => {
        if (!secret) return undefined;
        const { data: all = {} } = secret;
        const decode = (key: string) =>
          Buffer.from((Object.hasOwn(all, key) && all[key]) || "", "base64")
            .toString("utf8")
            .trim();
        return new Map(keys.map((key) => [key, decode(key)]));
      });
    secrets.set(id, { at: now, data });
    const forget = () => secrets.delete(id);
    // A Secret that isn't there yet may be there the next time.
    data.then((value) => value ?? forget(), forget);
    return data;
  }
}

type NamedKeys = ReadonlyMap<string, string>;

const no = (reason: Failure["reason"], message: string): AccessResult => ({
  ok: false,
  failure: { reason, message },
});

/** A hash, since it holds credentials and is kept. */
const identityOf = (target: AwsTarget, share: string): string =>
  createHash("sha256")
    .update(JSON.stringify([target, share]))
    .digest("hex");
