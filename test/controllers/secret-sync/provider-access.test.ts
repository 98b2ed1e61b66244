import { beforeEach, describe, expect, it } from "@jest/globals";
import { newProviderAccess, type Connection } from "../../../src/controllers/secret-sync/provider-access.ts";
import { newCredentialReader } from "../../../src/credentials/credentials.ts";
import { globMatches } from "../../../src/plan/access.ts";
import { newCatalog } from "../../../src/providers/catalog.ts";
import { UnusableCredentials } from "../../../src/providers/contract.ts";
import { newViews, projectProvider, type Views } from "../../../src/cluster/views.ts";
import { ClientPool } from "../../../src/fetch/client-pool.ts";
import type { ProviderClient } from "../../../src/fetch/provider-client.ts";
import { ApiError, type KubeApi } from "../../../src/kube/kube-api.ts";
import { FakeClock, settle } from "../../support/fake-clock.ts";

const { signal } = new AbortController();

let views: Views;
let clock: FakeClock;
let connected: Connection[];
let closed: number;
let missing: string[];
/** ServiceAccounts of which a token was asked for. */
let tokens: string[];
let noToken: boolean;
let secrets: Map<string, Record<string, string> | Error>;
let version: number;
/** Why nobody can sign in. */
let unusable: string | undefined;

beforeEach(() => {
  views = newViews({
    mostBytes: 1e9,
    onError: (_kind, error) => fail(error),
    onLeftAlone: () => undefined,
  });
  clock = new FakeClock();
  connected = [];
  closed = 0;
  missing = [];
  tokens = [];
  noToken = false;
  secrets = new Map();
  version = 0;
  unusable = undefined;
});
const clusters = {
  ofKubeconfig: (): never => {
    throw new Error("is no kubeconfig");
  },
  asAccount: (): never => fail(new Error("nothing connects here")),
};
const fail = (error: unknown): never => {
  throw error;
};

function access(
  more: { regions?: readonly string[]; allowAmbientIdentity?: boolean; clusterProviders?: boolean } = {},
) {
  const api = {
    get: (_type: unknown, name: string, namespace: string) => {
      const data = secrets.get(`${namespace}/${name}`);
      if (data instanceof Error) return Promise.reject(data);
      const encoded = Object.entries(data ?? {}).map(([key, value]) => [
        key,
        Buffer.from(value).toString("base64"),
      ]);
      return Promise.resolve(data && { metadata: { name }, data: Object.fromEntries(encoded) });
    },
    requestToken: ({ namespace, name }: { namespace: string; name: string }) => {
      tokens.push(`${namespace}/${name}`);
      return Promise.resolve(noToken ? undefined : { token: "x.e30.y", lifeMs: 600_000 });
    },
  } as unknown as KubeApi;
  const { regions = [], ...others } = more;
  return newProviderAccess({
    views,
    catalog: newCatalog({
      awsRegions: regions,
      matches: (glob, text) => globMatches(glob, "", text),
      fileRoots: [],
      apiWith: () => api,
      loadClusters: () => Promise.resolve(clusters),
    }),
    credentials: newCredentialReader({ api, clock }),
    pool: new ClientPool<ProviderClient>(clock),
    connect: (connection) => {
      connected.push(connection);
      if (unusable !== undefined) throw new UnusableCredentials(unusable);
      return { setLimits: () => undefined, close: () => closed++ } as unknown as ProviderClient;
    },
    allowAmbientIdentity: true,
    clusterProviders: true,
    onMissingCredentials: (provider, detail) => missing.push(`${provider}: ${detail}`),
    ...others,
  });
}

const own = (namespace: string, name: string, spec: Record<string, unknown> = {}) =>
  views.providers.set(
    projectProvider({
      metadata: {
        name,
        namespace,
        uid: `${namespace}/${name}`,
        resourceVersion: String(++version),
        generation: version,
      },
      spec: { aws: { regions: ["eu-west-1"], ...spec } },
    } as never),
  );
const admins = (name: string, spec: Record<string, unknown> = {}) =>
  views.clusterProviders.set(
    projectProvider({
      metadata: { name, uid: name, resourceVersion: String(++version), generation: version },
      spec: {
        aws: { regions: ["eu-west-1"], ...spec },
        access: [{ namespaces: { names: ["shop"] }, keys: ["a/**"] }],
      },
    } as never),
  );
const ref = (name: string) => ({ kind: "SecretProvider", name }) as const;
const clusterRef = (name: string) => ({ kind: "ClusterSecretProvider", name }) as const;

describe("a client", () => {
  it("is shared by providers that sign in alike, but never across namespaces", async () => {
    const to = access();
    for (const namespace of ["shop", "evil"]) for (const name of ["a", "b"]) own(namespace, name);
    admins("c");
    for (const namespace of ["shop", "evil"])
      for (const name of ["a", "b"]) await to(ref(name), namespace, signal);
    await to(clusterRef("c"), "shop", signal);
    await to(clusterRef("c"), "evil", signal);
    expect(connected).toHaveLength(3);
  });

  it("lives as long as a provider object names it", async () => {
    const to = access();
    own("shop", "a");
    await to(ref("a"), "shop", signal);
    own("shop", "a", { regions: ["us-east-1"] });
    await to(ref("a"), "shop", signal);
    await settle();
    expect([connected.length, closed]).toEqual([2, 1]);
    views.providers.delete("shop/a", "shop/a");
    await settle();
    expect(closed).toBe(2);
  });
});

describe("a provider", () => {
  const told = async (to: ReturnType<typeof access>, of: Parameters<typeof to>[0]) => {
    const result = await to(of, "shop", signal);
    return result.ok ? "ok" : `${result.failure.reason}: ${result.failure.message}`;
  };

  it("that isn't there is named, with the one that may be meant", async () => {
    expect(await told(access(), ref("a"))).toBe(
      "ProviderNotFound: SecretProvider/a doesn't exist; create it, or correct providerRef",
    );
    admins("a");
    expect(await told(access(), ref("a"))).toBe(
      "ProviderNotFound: SecretProvider/a doesn't exist; there is a ClusterSecretProvider of that name: set providerRef.kind to ClusterSecretProvider",
    );
    expect(await told(access(), clusterRef("b"))).toBe(
      "ProviderNotFound: ClusterSecretProvider/b doesn't exist; create it, or correct providerRef",
    );
  });

  it("of the whole cluster isn't served, nor offered, where the operator is told so", async () => {
    admins("a");
    const to = access({ clusterProviders: false });
    expect(await told(to, clusterRef("a"))).toMatch(/--cluster-providers=false/);
    expect(await told(to, ref("a"))).toMatch(/create it, or correct providerRef$/);
  });

  it("with a spec that breaks a rule says which", async () => {
    views.providers.set(
      projectProvider({
        metadata: { name: "odd", namespace: "shop", uid: "odd", resourceVersion: "1" },
        spec: { aws: { regions: [] } },
      } as never),
    );
    expect(await told(access(), ref("odd"))).toMatch(
      /^InvalidProvider: SecretProvider\/odd: spec.aws.regions/,
    );
  });
});

describe("what a namespace may read", () => {
  it("is told for each key, and whether there is anything at all", async () => {
    const to = access();
    admins("c");
    const shop = await to(clusterRef("c"), "shop", signal);
    const evil = await to(clusterRef("c"), "evil", signal);
    expect(shop.ok && [shop.access.mayReadAny, shop.access.mayRead("a/b"), shop.access.mayRead("b")]).toEqual(
      [true, true, false],
    );
    expect(evil.ok && [evil.access.mayReadAny, evil.access.mayRead("a/b")]).toEqual([false, false]);
  });
});

describe("a region", () => {
  it("that the admin doesn't list is refused before anything is asked", async () => {
    const to = access({ regions: ["eu-*", "us-east-1"] });
    for (const [region, ok] of [
      ["eu-west-1", true],
      ["us-east-1", true],
      ["us-iso-east-1", false],
    ] as const) {
      own("shop", region, { regions: [region] });
      const result = await to(ref(region), "shop", signal);
      expect(result.ok).toBe(ok);
      if (!result.ok)
        expect(result.failure).toEqual({
          reason: "InvalidProvider",
          message:
            "SecretProvider/us-iso-east-1: spec.aws.regions: this operator asks no region us-iso-east-1; it may ask eu-*, us-east-1 (--aws-regions)",
        });
    }
    expect(connected).toHaveLength(2);
  });
});

describe("credentials that can't be read", () => {
  const auth = (namespace?: string) => ({
    auth: { secretRef: { name: "keys", ...(namespace ? { namespace } : {}) } },
  });
  const cases = [
    ["doesn't exist", undefined],
    ["has no key", { accessKeyID: "x" }],
    ["is not to be read", new ApiError(403, "Forbidden", "no")],
  ] as const;

  it("are told to their owner in the same words, whatever is missing", async () => {
    const messages = new Set<string>();
    for (const [, data] of cases) {
      secrets = new Map(data ? [["shop/keys", data]] : []);
      own("shop", "a", auth());
      const result = await access()(ref("a"), "shop", signal);
      messages.add(result.ok ? "" : result.failure.message);
    }
    expect([...messages]).toEqual([
      "SecretProvider/a: spec.aws.auth.secretRef: Secret keys doesn't exist, or lacks one of the keys accessKeyID, secretAccessKey, or may not be read by the operator; create it with these keys",
    ]);
  });

  it("of the admin's are told to nobody but the log", async () => {
    for (const [, data] of cases) {
      secrets = new Map(data ? [["vault/keys", data]] : []);
      admins("c", auth("vault"));
      const result = await access()(clusterRef("c"), "shop", signal);
      expect(result.ok ? "" : result.failure.message).toBe(
        "ClusterSecretProvider/c: its credentials can't be read; its owner finds the cause in the operator's log",
      );
    }
    expect(missing.map((line) => line.slice(0, 52))).toEqual([
      "ClusterSecretProvider/c: Secret vault/keys doesn't e",
      "ClusterSecretProvider/c: Secret vault/keys has no ke",
      "ClusterSecretProvider/c: Secret vault/keys can't be ",
    ]);
  });
});

describe("a ServiceAccount", () => {
  const as = (namespace: string, name: string, account = "reader") =>
    views.providers.set(
      projectProvider({
        metadata: { name, namespace, uid: `${namespace}/${name}`, resourceVersion: String(++version) },
        spec: { kubernetes: { namespace: "shared", serviceAccountRef: { name: account } } },
      } as never),
    );

  it("is that of the provider's own namespace, and has a client of its own there", async () => {
    const to = access();
    for (const namespace of ["shop", "evil"])
      for (const name of ["a", "b"]) {
        as(namespace, name);
        expect(await to(ref(name), namespace, signal)).toMatchObject({ ok: true });
      }
    expect(connected).toHaveLength(2);
    expect(tokens).toEqual(["shop/reader", "evil/reader"]);
  });

  it("beyond those that a namespace may open is refused in words of its own", async () => {
    const to = access();
    for (let index = 0; index < 97; index++) as("shop", `p${index}`, `account-${index}`);
    for (let index = 0; index < 96; index++)
      expect(await to(ref(`p${index}`), "shop", signal)).toMatchObject({ ok: true });
    const result = await to(ref("p96"), "shop", signal);
    expect(result.ok ? "" : `${result.failure.reason}: ${result.failure.message}`).toBe(
      "RateLimited: SecretProvider/p96: namespace shop opens too many connections: it has more than 64 providers in use, or changes them all the time; use fewer, or refresh their SecretSyncs less often",
    );
  });

  it("that gives no token is told with its field", async () => {
    noToken = true;
    as("shop", "a");
    const result = await access()(ref("a"), "shop", signal);
    expect(result.ok ? "" : `${result.failure.reason}: ${result.failure.message}`).toBe(
      "CredentialsNotFound: SecretProvider/a: spec.kubernetes.serviceAccountRef: ServiceAccount shop/reader doesn't exist; create it",
    );
    expect(connected).toEqual([]);
  });
});

describe("the operator's own identity", () => {
  it("isn't a namespace's own unless the admin says so, and what to set instead is told", async () => {
    own("shop", "a");
    const result = await access({ allowAmbientIdentity: false })(ref("a"), "shop", signal);
    expect(result.ok ? "" : `${result.failure.reason}: ${result.failure.message}`).toBe(
      "AmbientIdentityRefused: SecretProvider/a: spec.aws.auth.secretRef isn't set, which means the operator's own identity; set it, use a ClusterSecretProvider, or start the operator with --allow-ambient-identity",
    );
    expect((await access()(ref("a"), "shop", signal)).ok).toBe(true);
  });
});

describe("credentials that nothing can be signed in with", () => {
  it("are told in the log, and not tried again for as long as they stay the same", async () => {
    unusable = "its region is none";
    const keys = (accessKeyID: string) => new Map([["vault/keys", { accessKeyID, secretAccessKey: "x" }]]);
    secrets = keys("old");
    admins("b", { auth: { secretRef: { name: "keys", namespace: "vault" } } });
    const to = access();
    for (let times = 0; times < 3; times++)
      expect(await to(clusterRef("b"), "shop", signal)).toMatchObject({
        failure: { reason: "CredentialsNotFound" },
      });
    expect(connected).toHaveLength(1);
    expect(missing).toEqual(Array(3).fill("ClusterSecretProvider/b: its region is none"));
    secrets = keys("new");
    unusable = undefined;
    await clock.advance(60_000);
    expect(await to(clusterRef("b"), "shop", signal)).toMatchObject({ ok: true });
  });
});
