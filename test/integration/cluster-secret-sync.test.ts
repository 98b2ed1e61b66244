import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { ClusterSecretSyncStatus } from "../../src/api/cluster-secret-sync.ts";
import type { KubeApi, KubeObject } from "../../src/kube/kube-api.ts";
import { resources } from "../../src/kube/resources.ts";
import type { Transport } from "../../src/kube/transport.ts";
import { run } from "../support/kubectl.ts";
import { AwsStandIn } from "../support/aws-stand-in.ts";
import { awsEnvironment } from "../support/aws.ts";
import { expectKstatus } from "../support/kstatus.ts";
import { canary } from "../support/leaks.ts";
import { startOperator, type OperatorProcess } from "../support/operator.ts";
import { inNamespace, kubeconfig, logFile, newAdmin, signal, unique } from "../support/suite.ts";
import { until } from "../support/wait.ts";

/** A SecretSync for each of many namespaces, on the real apiserver. */

type ClusterSync = KubeObject & { readonly status?: ClusterSecretSyncStatus };

const aws = new AwsStandIn();
let api: KubeApi;
let transport: Transport;
let operator: OperatorProcess;
const own = unique("fan");
const namespaces = Array.from({ length: 4 }, () => unique("fan"));
const ns = (name: string) => inNamespace(api, name);

beforeAll(async () => {
  ({ api, transport } = newAdmin());
  await ns(own).create();
  for (const name of namespaces) await ns(name).create();
  const endpoint = await aws.start();
  await api.create(
    resources.clusterSecretProvider,
    {
      metadata: { name: own },
      spec: {
        aws: { regions: ["eu-west-1"] },
        access: [{ namespaces: { names: namespaces }, keys: ["**"] }],
      },
    } as KubeObject,
    signal,
  );
  operator = await startOperator({
    kubeconfig,
    logFile: logFile(own),
    env: awsEnvironment(endpoint),
    args: [
      `--operator-namespace=${own}`,
      `--watch-namespaces=${namespaces.join()}`,
      "--cluster-secret-syncs=true",
    ],
    leading: true,
  });
}, 60_000);
afterAll(async () => {
  await operator.stop();
  await aws.stop();
  transport.close();
});

const put = (name: string, more: Record<string, unknown> = {}, spec: Record<string, unknown> = {}) =>
  api.apply<ClusterSync>(
    resources.clusterSecretSync,
    {
      metadata: { name },
      spec: {
        namespaces: { names: namespaces.slice(0, 2) },
        template: {
          spec: {
            providerRef: { kind: "ClusterSecretProvider", name: own },
            data: [{ secretKey: "password", remoteRef: { key: "shared" } }],
            ...spec,
          },
        },
        ...more,
      },
    } as KubeObject,
    { fieldManager: "admin", force: true },
    signal,
  );
const get = (name: string) => api.get<ClusterSync>(resources.clusterSecretSync, name, undefined, signal);
const untilTold = (name: string, reason: string) =>
  until(
    `${name} is ${reason}`,
    async () => {
      const object = await get(name);
      const ready = object?.status?.conditions?.find(({ type }) => type === "Ready");
      if (ready?.reason !== reason || ready.observedGeneration !== object?.metadata.generation)
        throw new Error(`is ${ready?.reason}: ${ready?.message}`);
      expectKstatus(object?.status ?? {}, object?.metadata.generation ?? 0);
      return object?.status;
    },
    { timeoutMs: 20_000 },
  );
const remove = async (name: string) => {
  const found = await get(name);
  if (found)
    await api.delete(resources.clusterSecretSync, name, undefined, { uid: found.metadata.uid ?? "" }, signal);
};

describe("a ClusterSecretSync", () => {
  it("makes a SecretSync in each namespace that is meant, and tells when all are ready", async () => {
    aws.put("shared", canary("one"));
    const name = unique("c");
    await put(name);
    const status = await untilTold(name, "Synced");
    expect(status?.namespaces).toEqual({ matched: 2, ready: 2, failed: 0 });
    for (const namespace of namespaces.slice(0, 2))
      expect(await ns(namespace).values(name)).toEqual({ password: canary("one") });
    expect(await ns(namespaces[2]!).getSync(name)).toBeUndefined();
    // One more is meant, one isn't any more.
    await put(name, { namespaces: { names: namespaces.slice(1, 3) } });
    await until("one has come and one has gone", async () => {
      const there = await Promise.all(namespaces.map((each) => ns(each).getSync(name)));
      return there.map((each) => each !== undefined).join() === "false,true,true,false";
    });
    // Its clean-up is the garbage collector's.
    const sync = await ns(namespaces[1]!).getSync(name);
    expect(sync?.metadata.ownerReferences).toMatchObject([
      { kind: "ClusterSecretSync", name, uid: (await get(name))?.metadata.uid, controller: true },
    ]);
    await remove(name);
  });

  it("follows what its template says, and puts back what somebody changes", async () => {
    aws.put("shared", canary("one"));
    aws.put("other", canary("two"));
    const name = unique("c");
    await put(name);
    await untilTold(name, "Synced");
    await put(name, {}, { data: [{ secretKey: "password", remoteRef: { key: "other" } }] });
    await until("the Secrets follow", async () => {
      const all = await Promise.all(namespaces.slice(0, 2).map((each) => ns(each).values(name)));
      return all.every((values) => values?.["password"] === canary("two"));
    });
    const [first = ""] = namespaces;
    await ns(first).sync(name, { data: [{ secretKey: "password", remoteRef: { key: "shared" } }] });
    await until("it is put back", async () => {
      const { spec } = (await ns(first).getSync(name)) ?? {};
      return JSON.stringify(spec?.["data"]).includes('"other"');
    });
    const found = await ns(first).getSync(name);
    await api.delete(resources.secretSync, name, first, { uid: found?.metadata.uid ?? "" }, signal);
    await until("it is made again", async () => {
      const again = await ns(first).getSync(name);
      return again !== undefined && again.metadata.uid !== found?.metadata.uid;
    });
    await remove(name);
  });

  it("writes nothing while all is as it should be", async () => {
    aws.put("shared", canary("one"));
    const name = unique("c");
    await put(name);
    await untilTold(name, "Synced");
    const versions = async () => [
      (await get(name))?.metadata.resourceVersion,
      ...(await Promise.all(
        namespaces.slice(0, 2).map(async (each) => (await ns(each).getSync(name))?.metadata.resourceVersion),
      )),
    ];
    const before = await versions();
    const count = () => operator.metric("secretsync_reconcile_total", { kind: "ClusterSecretSync" });
    const seen = await count();
    // Somebody else's SecretSync of that name goes, so it is looked at.
    const { metadata } = await ns(namespaces[3]!).sync(name, {
      providerRef: { kind: "ClusterSecretProvider", name: own },
      suspend: true,
      data: [{ secretKey: "mine", remoteRef: { key: "shared" } }],
    });
    await api.delete(resources.secretSync, name, namespaces[3], { uid: metadata.uid ?? "" }, signal);
    await until("it was looked at", async () => (await count()) > seen);
    expect(await versions()).toEqual(before);
    await remove(name);
  });

  it("leaves a name that is taken to its owner, and takes it when it is free", async () => {
    aws.put("shared", canary("one"));
    const name = unique("c");
    const [first = ""] = namespaces;
    await ns(first).sync(name, {
      providerRef: { kind: "ClusterSecretProvider", name: own },
      suspend: true,
      data: [{ secretKey: "mine", remoteRef: { key: "shared" } }],
    });
    await put(name);
    const status = await untilTold(name, "NamespacesFailing");
    expect(status?.failing).toMatchObject([{ namespace: first, reason: "NameTaken" }]);
    await until("the other one is ready", async () => (await get(name))?.status?.namespaces?.ready === 1);
    expect((await get(name))?.status?.namespaces).toEqual({ matched: 2, ready: 1, failed: 1 });
    expect((await ns(first).getSync(name))?.spec?.["suspend"]).toBe(true);
    const mine = await ns(first).getSync(name);
    await api.delete(resources.secretSync, name, first, { uid: mine?.metadata.uid ?? "" }, signal);
    await untilTold(name, "Synced");
    await remove(name);
  });

  it("takes over what one that is gone has left, and its Secret stays", async () => {
    aws.put("shared", canary("one"));
    const name = unique("c");
    const [first = ""] = namespaces;
    await put(name);
    await untilTold(name, "Synced");
    const secret = await ns(first).getSecret(name);
    await run("delete", "cssync", name, "--cascade=orphan");
    await until("it is left", async () => {
      const left = await ns(first).getSync(name);
      return left && (left.metadata.ownerReferences ?? []).length === 0;
    });
    await put(name);
    await untilTold(name, "Synced");
    const { uid } = (await get(name))?.metadata ?? {};
    const taken = await ns(first).getSync(name);
    expect(taken?.metadata.ownerReferences).toMatchObject([{ kind: "ClusterSecretSync", uid }]);
    expect((await ns(first).getSecret(name))?.metadata.uid).toBe(secret?.metadata.uid);
    await remove(name);
  });

  it("names who fails, and why", async () => {
    const name = unique("c");
    await put(name, {}, { data: [{ secretKey: "a", remoteRef: { key: unique("none") } }] });
    const status = await untilTold(name, "NamespacesFailing");
    expect(status?.failing).toHaveLength(2);
    expect(status?.failing?.[0]).toMatchObject({ reason: "SecretNotFound" });
    await remove(name);
  });

  it("keeps what isn't meant any more, when it shall", async () => {
    aws.put("shared", canary("one"));
    const name = unique("c");
    await put(name, { deletionPolicy: "Retain" });
    await untilTold(name, "Synced");
    await put(name, { deletionPolicy: "Retain", namespaces: { names: namespaces.slice(1, 2) } });
    await until("one is meant", async () => (await get(name))?.status?.namespaces?.matched === 1);
    expect(await ns(namespaces[0]!).getSync(name)).toBeDefined();
    await remove(name);
  });
});
