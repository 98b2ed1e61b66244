import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { KubeApi, KubeObject } from "../../src/kube/kube-api.ts";
import { newKubeApi } from "../../src/kube/rest-kube-api.ts";
import { resources } from "../../src/kube/resources.ts";
import { newTransport, type Transport } from "../../src/kube/transport.ts";
import { kubeConfigOf } from "../../src/kube/kubeconfig.ts";
import { openObjects } from "../../src/providers/kubernetes/objects.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { describeProviderContract } from "../contract/provider-contract.ts";
import { run } from "../support/kubectl.ts";
import { canary } from "../support/leaks.ts";
import type { OperatorProcess } from "../support/operator.ts";
import { inNamespace, newAdmin, newTenant, request, signal, unique } from "../support/suite.ts";
import { until } from "../support/wait.ts";

/** Secrets and ConfigMaps of a real apiserver as a store. */

let api: KubeApi;
let transport: Transport;
let operator: OperatorProcess;
let ns: Awaited<ReturnType<typeof newTenant>>;
const source = unique("source");
let provider: string;

({ api, transport } = newAdmin());

const base64 = (value: string | Uint8Array) => Buffer.from(value as string).toString("base64");
const put = (
  name: string,
  data: Record<string, string | Uint8Array>,
  metadata: Partial<KubeObject["metadata"]> = {},
) =>
  api.apply(
    resources.secret,
    {
      metadata: { name, namespace: source, ...metadata },
      data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, base64(value)])),
    } as KubeObject,
    { fieldManager: "owner", force: true },
    signal,
  );
const remove = async (name: string) => {
  const found = await api.get(resources.secret, name, source, signal);
  await api.delete(resources.secret, name, source, { uid: found?.metadata.uid ?? "" }, signal);
};
const sharedWith = (namespaces: string) => ({
  annotations: { "secretsync.dev/shared-with": namespaces },
});

beforeAll(async () => {
  ns = await newTenant(api, "kube", "http://127.0.0.1:1");
  await inNamespace(api, source).create();
  provider = unique("kube");
  const access = [{ namespaces: { names: [ns.namespace] }, keys: ["**"] }];
  await api.create(
    resources.clusterSecretProvider,
    { metadata: { name: provider }, spec: { kubernetes: { namespace: source }, access } } as KubeObject,
    signal,
  );
  operator = await ns.startOperator();
}, 60_000);
afterAll(async () => {
  await operator.stop();
  transport.close();
});

/** The test cluster's kubeconfig, with all that it names inside. */
const flat = () => run("config", "view", "--raw", "--flatten");

const open = (kind: "Secret" | "ConfigMap" = "Secret") =>
  openObjects({
    api,
    clock: systemClock,
    namespace: source,
    kind,
    cluster: "this cluster",
    needsConsent: true,
    onClose: () => undefined,
  });

describeProviderContract({
  name: "Secrets of a namespace",
  open: () => open(),
  lacks: ["batch", "olderVersions", "recovery"],
  seed: {
    create: (name, value, labels) => put(name, { value }, labels ? { labels } : {}),
    rotate: (name, value) => put(name, { value }),
    remove,
    schedule: () => Promise.reject(new Error("it lacks that")),
  },
  unique,
  separator: ".",
  bytesOf: (value) => value.members?.get("value")?.reveal() ?? Buffer.from("none"),
});

describe("a ConfigMap", () => {
  it("has text and bytes", async () => {
    const name = unique("map");
    const object = {
      metadata: { name, namespace: source, ...sharedWith("a, b-*") },
      data: { text: "größe" },
      binaryData: { bytes: base64(Buffer.from([0, 255])) },
    };
    await api.create(resources.configMap, object, signal);
    const result = await open("ConfigMap").read({ key: name }, signal);
    if (result.kind !== "found") throw new Error(result.kind);
    expect(result.value.members?.get("text")?.reveal().toString()).toBe("größe");
    expect([...(result.value.members?.get("bytes")?.reveal() ?? [])]).toEqual([0, 255]);
    expect(result.sharedWith).toEqual(["a", "b-*"]);
  });
});

describe("what isn't there", () => {
  it("by name, version or stage is told as such", async () => {
    const store = open();
    for (const ref of [{ key: "A" }, { key: "../x" }, { key: "a", version: "1" }])
      expect(await store.read(ref, signal)).toMatchObject({ failure: { reason: "ProviderRefused" } });
    expect(await store.listing!.page({ tags: { team: "not a label!" } }, undefined, signal)).toMatchObject({
      failure: { reason: "ProviderRefused" },
    });
  });

  it.each<[string, RegExp, string, string]>([
    ["doesn't answer", /server: .*/, "server: https://127.0.0.1:1", "nothing listens at the address"],
    ["isn't trusted", / *certificate-authority-data: .*\n/, "", "isn't trusted"],
  ])("as an apiserver that %s is no missing Secret", async (_what, from, to, told) => {
    const config = kubeConfigOf((await flat()).replace(from, to));
    const away = newTransport(config, systemClock);
    const store = openObjects({
      api: newKubeApi(away),
      clock: systemClock,
      namespace: source,
      kind: "Secret",
      cluster: "the other cluster",
      needsConsent: false,
      onClose: () => away.close(),
    });
    const message = expect.stringContaining(told);
    for (const result of [
      await store.read({ key: "a" }, signal),
      await store.versions!.read({ key: "a" }, signal),
    ])
      expect(result).toMatchObject({
        failure: { reason: "ProviderUnreachable", scope: "provider", message },
      });
    store.close();
  });
});

describe("a Secret of another namespace", () => {
  const spec = (key: string, more: Record<string, unknown> = {}) => ({
    providerRef: { kind: "ClusterSecretProvider", name: provider },
    refreshInterval: "1h",
    dataFrom: [{ extract: { key } }],
    ...more,
  });

  it("is copied byte for byte once its owner lets it go, and follows within a moment", async () => {
    const name = unique("shared");
    const bytes = Buffer.from([0, 255, 7]);
    await put(name, { "tls.key": canary("one"), "store.jks": bytes });
    await ns.sync(name, spec(name));
    const { message } = await ns.untilReason(name, "SecretNotFound");
    expect(message).toContain("secretsync.dev/shared-with");
    expect(await ns.getSecret(name)).toBeUndefined();
    // Nobody else's consent is needed, and no refresh: the store tells.
    await put(name, { "tls.key": canary("one"), "store.jks": bytes }, sharedWith(`other,${ns.namespace}`));
    await ns.untilReason(name, "Synced");
    const copied = await ns.getSecret(name);
    expect(copied?.data).toEqual({ "tls.key": base64(canary("one")), "store.jks": base64(bytes) });
    await put(name, { "tls.key": canary("two"), "store.jks": bytes }, sharedWith(ns.namespace));
    await ns.untilValue(name, "tls.key", canary("two"));
    // Taken back, it stays as it was.
    await put(name, { "tls.key": canary("three"), "store.jks": bytes });
    await ns.untilReason(name, "SecretNotFound");
    expect((await ns.values(name))?.["tls.key"]).toBe(canary("two"));
  });

  it("gives single members, and says what has no text as a whole", async () => {
    const name = unique("members");
    await put(name, { "a.b": canary("v"), bytes: Buffer.from([255]) }, sharedWith("*"));
    const data = (property?: string) => [
      { secretKey: "x", remoteRef: { key: name, ...(property ? { property } : {}) } },
    ];
    await ns.sync(name, spec(name, { dataFrom: undefined, data: data("a.b") }));
    await ns.untilValue(name, "x", canary("v"));
    await ns.sync(name, spec(name, { dataFrom: undefined, data: data() }));
    const { message } = await ns.untilReason(name, "InvalidValue");
    expect(message).toContain('such as "bytes"');
    await ns.sync(name, spec(name, { dataFrom: undefined, data: data("none") }));
    await ns.untilReason(name, "PropertyNotFound");
  });

  it("is found by its labels, if it is shared", async () => {
    const team = unique("team");
    const labels = { team };
    await put(unique("f"), { one: canary("1") }, { labels, ...sharedWith(ns.namespace) });
    const hidden = unique("f");
    await put(hidden, { two: canary("2") }, { labels });
    const name = unique("found");
    await ns.sync(name, spec("", { dataFrom: [{ find: { tags: { team } } }] }));
    await ns.untilReason(name, "Synced");
    const { object } = await ns.untilReason(name, "Synced");
    expect(Object.keys((await ns.values(name)) ?? {})).toHaveLength(1);
    expect(JSON.stringify(object)).not.toContain(hidden);
  });
});

describe("another cluster", () => {
  const provided = async (text: string) => {
    const name = unique("remote");
    const secretRef = { namespace: source, name, key: "kubeconfig" };
    await put(name, { kubeconfig: text });
    await api.create(
      resources.clusterSecretProvider,
      {
        metadata: { name },
        spec: {
          kubernetes: { namespace: source, kubeconfig: { secretRef } },
          access: [{ namespaces: { names: [ns.namespace] }, keys: ["**"] }],
        },
      } as KubeObject,
      signal,
    );
    return { kind: "ClusterSecretProvider", name };
  };

  it("is read by a kubeconfig, whose rights are its consent", async () => {
    const providerRef = await provided(await flat());
    const name = unique("far");
    await put(name, { password: canary("far") });
    await ns.sync(name, {
      providerRef,
      refreshInterval: "1h",
      data: [{ secretKey: "password", remoteRef: { key: name, property: "password" } }],
    });
    await ns.untilValue(name, "password", canary("far"));
    await put(name, { password: canary("nearer") });
    await ns.untilValue(name, "password", canary("nearer"));
  });

  it("isn't, by one that would run a program here; its owner is told why", async () => {
    const providerRef = await provided(
      `apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/true}}}]
`,
    );
    const name = unique("exec");
    await ns.sync(name, { ...spec(name), providerRef });
    const { message } = await ns.untilReason(name, "CredentialsNotFound");
    expect(message).toContain("its owner finds the cause in the operator's log");
    await until("the log tells", () =>
      operator.logs().some(({ detail }) => String(detail).includes("runs a program or plug-in to sign in")),
    );
  });

  const spec = (key: string) => ({ refreshInterval: "1h", dataFrom: [{ extract: { key } }] });
});

describe("another namespace, as a ServiceAccount", () => {
  const reader = "reader";
  const spec = (key: string, provider: string) => ({
    providerRef: { name: provider },
    refreshInterval: "1h",
    data: [{ secretKey: "password", remoteRef: { key, property: "password" } }],
  });
  const kubectl = (...args: string[]) => run(...args);
  async function provided(account: string): Promise<string> {
    const name = unique("own");
    await api.create(
      resources.secretProvider,
      {
        metadata: { name, namespace: ns.namespace },
        spec: { kubernetes: { namespace: source, serviceAccountRef: { name: account } } },
      } as KubeObject,
      signal,
    );
    return name;
  }

  beforeAll(async () => {
    await kubectl("create", "serviceaccount", reader, "-n", ns.namespace);
    await kubectl("create", "role", reader, "-n", source, "--verb=get,list,watch", "--resource=secrets");
    const subject = `--serviceaccount=${ns.namespace}:${reader}`;
    await kubectl("create", "rolebinding", reader, "-n", source, `--role=${reader}`, subject);
  });

  it("is read by a tenant's own provider as far as its Roles allow, and followed by watch", async () => {
    const provider = await provided(reader);
    const name = unique("role");
    await put(name, { password: canary("one") });
    await ns.sync(name, spec(name, provider));
    await ns.untilValue(name, "password", canary("one"));
    await put(name, { password: canary("two") });
    await ns.untilValue(name, "password", canary("two"));

    await kubectl("delete", "rolebinding", reader, "-n", source);
    await ns.sync(name, spec(name, provider), request());
    const { message } = await ns.untilReason(name, "AccessDenied");
    expect(message).toContain(`get, list and watch secrets in namespace ${source}`);
    expect(await ns.values(name)).toEqual({ password: canary("two") });
  }, 60_000);

  it("isn't, by an account that may not, although the operator may, nor by one that isn't there", async () => {
    await kubectl("create", "serviceaccount", "nobody", "-n", ns.namespace);
    const name = unique("role");
    await put(name, { password: canary("hidden") }, sharedWith(ns.namespace));
    await ns.sync(name, spec(name, await provided("nobody")));
    await ns.untilReason(name, "AccessDenied");
    const other = unique("role");
    await ns.sync(other, spec(name, await provided("gone")));
    const { message } = await ns.untilReason(other, "CredentialsNotFound");
    expect(message).toContain(`ServiceAccount ${ns.namespace}/gone doesn't exist`);
    expect([await ns.values(name), await ns.values(other)]).toEqual([undefined, undefined]);
  });
});
