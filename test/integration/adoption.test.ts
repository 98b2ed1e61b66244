import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { KubeApi, KubeObject } from "../../src/kube/kube-api.ts";
import { resources } from "../../src/kube/resources.ts";
import type { Transport } from "../../src/kube/transport.ts";
import { AwsStandIn } from "../support/aws-stand-in.ts";
import { run, runWith } from "../support/kubectl.ts";
import { canary } from "../support/leaks.ts";
import type { OperatorProcess } from "../support/operator.ts";
import { newWorkload } from "../support/played-pods.ts";
import { newAdmin, newTenant, request, signal, unique } from "../support/suite.ts";
import { until } from "../support/wait.ts";

/** Secrets that were there before their SecretSync: pods run with what they held. */

const aws = new AwsStandIn();
let transport: Transport;
let api: KubeApi;
let operator: OperatorProcess;
let ns: Awaited<ReturnType<typeof newTenant>>;

beforeAll(async () => {
  ({ api, transport } = newAdmin());
  ns = await newTenant(api, "adoption", await aws.start());
  operator = await ns.startOperator();
}, 60_000);
afterAll(async () => {
  await operator.stop();
  await aws.stop();
  transport.close();
});

const workload = (secretName: string, more: Parameters<typeof newWorkload>[3] = {}) =>
  newWorkload(api, ns.namespace, secretName, more);

const madeByHand = (name: string, data: Record<string, string>, annotations = {}) =>
  api.create(
    resources.secret,
    { metadata: { name, namespace: ns.namespace, annotations }, stringData: data } as KubeObject,
    signal,
  );
const owned = (name: string) => ({ "secretsync.dev/owner": name });

describe("a Secret that is taken over", () => {
  it.each([
    ["Deployment", ["password"]],
    ["StatefulSet", "all"],
  ] as const)("with another value restarts the %s that reads it, once", async (kind, keys) => {
    const name = unique("taken");
    await madeByHand(name, { password: canary("old"), extra: canary("extra") }, owned(name));
    const reader = await workload(name, { kind, keys });
    await reader.start();
    aws.put(name, canary("new"));
    await ns.sync(name, ns.spec(name));
    await ns.untilValue(name, "password", canary("new"));
    const mark = await reader.untilRestarted();
    const [entry] = (await ns.untilReason(name, "Synced"), (await ns.getSync(name))?.status?.history ?? []);
    expect(entry?.keys).toContain("password");
    await ns.sync(name, ns.spec(name), request());
    await ns.untilHandled(name);
    expect(await reader.mark()).toBe(mark);
  });

  it("with the same value restarts nobody, nor who reads a key that stays", async () => {
    const [same, other] = [unique("same"), unique("other")];
    await madeByHand(same, { password: canary("new") }, owned(same));
    await madeByHand(other, { password: canary("new"), key: canary("old") }, owned(other));
    const readers = [await workload(same), await workload(other)];
    const affected = await workload(other, { keys: ["key"] });
    for (const reader of [...readers, affected]) await reader.start();
    for (const name of [same, other]) aws.put(name, canary("new"));
    await ns.sync(same, ns.spec(same));
    const data = ["password", "key"].map((secretKey) => ({ secretKey, remoteRef: { key: other } }));
    await ns.sync(other, ns.spec(other, { data }));
    await affected.untilRestarted();
    for (const reader of readers) await reader.untilNoted();
    expect(await Promise.all(readers.map((reader) => reader.mark()))).toEqual([undefined, undefined]);
  });
});

describe("keys that are merged into a Secret", () => {
  it("restart who runs with all of it, also at the first time", async () => {
    const name = unique("merged");
    await madeByHand(name, { own: canary("own") });
    const all = await workload(name, { keys: "all" });
    const own = await workload(name, { keys: ["own"] });
    for (const reader of [all, own]) await reader.start();
    aws.put(name, canary("one"));
    await ns.sync(name, ns.spec(name, { target: { creationPolicy: "Merge" } }));
    await ns.untilValue(name, "password", canary("one"));
    await all.untilRestarted();
    expect(await own.mark()).toBeUndefined();
  });
});

describe("a Secret that is restored from a backup", () => {
  it.each([
    ["the same value", "one"],
    ["an older value", "zero"],
  ])("with %s restarts whoever that is news for", async (_what, restored) => {
    const name = unique("restored");
    aws.put(name, canary("zero"));
    await ns.sync(name, ns.spec(name));
    await ns.untilReason(name, "Synced");
    const backup = await get("secret", name);
    aws.put(name, canary("one"));
    await ns.sync(name, ns.spec(name), request());
    await ns.untilValue(name, "password", canary("one"));
    const secret = restored === "one" ? await get("secret", name) : backup;
    const sync = await get("ssync", name);
    await run("delete", "ssync", "-n", ns.namespace, name);
    await until("its Secret is gone", async () => (await ns.getSecret(name)) === undefined);
    await create(secret);
    const reader = await workload(name);
    await reader.start();
    await create(sync);
    await ns.untilReason(name, "Synced");
    await ns.untilValue(name, "password", canary("one"));
    if (restored === "one") {
      await reader.untilNoted();
      expect(await reader.mark()).toBeUndefined();
    } else await reader.untilRestarted();
  });

  /** As backup tools keep it. */
  async function get(kind: string, name: string): Promise<KubeObject> {
    const object = JSON.parse(
      await run("get", kind, "-n", ns.namespace, name, "-o", "json"),
    ) as KubeObject & {
      status?: unknown;
    };
    const { labels = {}, annotations = {} } = object.metadata;
    const { status: _, ...rest } = object;
    return { ...rest, metadata: { name, namespace: ns.namespace, labels, annotations } };
  }

  async function create(object: KubeObject): Promise<void> {
    const { ok, output } = await runWith(JSON.stringify(object), "create", "-f", "-");
    if (!ok) throw new Error(output);
  }
});
