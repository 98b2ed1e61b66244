import { afterAll, afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import type { KubeApi } from "../../src/kube/kube-api.ts";
import { resources } from "../../src/kube/resources.ts";
import type { Transport } from "../../src/kube/transport.ts";
import { AwsStandIn } from "../support/aws-stand-in.ts";
import { run } from "../support/kubectl.ts";
import { canary } from "../support/leaks.ts";
import type { OperatorProcess } from "../support/operator.ts";
import { consumed, newWorkload, putBack } from "../support/played-pods.ts";
import { newAdmin, newTenant, request, signal, unique } from "../support/suite.ts";
import { until } from "../support/wait.ts";

/** Restarts follow what pods run with. */

const aws = new AwsStandIn();
let transport: Transport;
let api: KubeApi;
let operator: OperatorProcess;
let ns: Awaited<ReturnType<typeof newTenant>>;

beforeAll(async () => {
  ({ api, transport } = newAdmin());
  ns = await newTenant(api, "restarts", await aws.start());
  operator = await ns.startOperator();
}, 60_000);
afterEach(() => {
  aws.fault = () => undefined;
});
afterAll(async () => {
  await operator.stop();
  await aws.stop();
  transport.close();
});

const workload = (secretName: string, more: Parameters<typeof newWorkload>[3] = {}) =>
  newWorkload(api, ns.namespace, secretName, more);

async function synced(more: Record<string, unknown> = {}) {
  const name = unique("s");
  aws.put(name, canary("one"));
  await ns.sync(name, ns.spec(name, more));
  await ns.untilReason(name, "Synced");
  return name;
}

const rotate = async (name: string, value: string, more: Record<string, unknown> = {}) => {
  aws.put(name, canary(value));
  await ns.sync(name, ns.spec(name, more), request());
  await ns.untilValue(name, "password", canary(value));
};

const restartedOf = async (name: string) =>
  (await ns.getSync(name))?.status?.conditions?.find(({ type }) => type === "Restarted");

describe("a restart", () => {
  it("that somebody takes back is done again, and it is told who takes it back all the time", async () => {
    const name = await synced();
    const reader = await workload(name);
    await reader.untilNoted();
    await reader.start();
    await rotate(name, "two");
    const first = await reader.untilRestarted();
    await putBack(ns.namespace, reader.name);
    await reader.untilRestarted();
    await putBack(ns.namespace, reader.name, { "example.com/of": unique("git") });
    const told = await until("it is told", async () => {
      const condition = await restartedOf(name);
      return condition?.status === "False" && condition.message;
    });
    expect(told).toContain(`${reader.told}: "kubectl-patch" takes back what the operator writes`);
    expect(first).toBeDefined();
    await until("it is done again", async () => (await reader.mark()) !== undefined, { timeoutMs: 30_000 });
  }, 90_000);

  it("is none of a note that somebody removes all the time, and that is told", async () => {
    const name = await synced();
    const reader = await workload(name);
    await reader.untilNoted();
    const told = await until(
      "it is told",
      async () => {
        await run("annotate", "deployment", reader.name, "-n", ns.namespace, "secretsync.dev/consumed-");
        const condition = await restartedOf(name);
        return condition?.status === "False" && condition.message;
      },
      { timeoutMs: 60_000 },
    );
    expect(told).toMatch(/takes back what the operator writes into it/);
    expect(await reader.mark()).toBeUndefined();
  }, 90_000);

  it("isn't made of a rollback: the pods of the old template start with the new content", async () => {
    const name = await synced();
    const reader = await workload(name);
    const noted = await reader.untilNoted();
    await reader.start();
    await rotate(name, "two");
    await reader.untilRestarted();
    const after = consumed(await reader.get());
    expect(after).not.toBe(noted);
    // The rollout is over: pods of before are gone.
    for (const pod of await reader.pods())
      if (pod.metadata.annotations?.["secretsync.dev/restarted-for"] === undefined)
        await api.delete(
          resources.pod,
          pod.metadata.name,
          ns.namespace,
          { uid: pod.metadata.uid ?? "" },
          signal,
        );
    await putBack(ns.namespace, reader.name);
    await reader.untilNoted(after);
    expect(await reader.mark()).toBeUndefined();
  }, 60_000);

  it("comes for pods that were started without an optional Secret, once", async () => {
    const name = unique("s");
    const reader = await workload(name, { keys: "all", optional: true });
    await reader.start();
    aws.put(name, canary("one"));
    await ns.sync(name, ns.spec(name));
    const mark = await reader.untilRestarted();
    await ns.untilReason(name, "Synced");
    await ns.sync(name, ns.spec(name), request());
    await ns.untilHandled(name);
    expect(await reader.mark()).toBe(mark);
  }, 60_000);

  it("doesn't come for pods that waited for what they need", async () => {
    const name = unique("s");
    const reader = await workload(name);
    await until("its pod waits", async () => (await reader.pods()).length > 0);
    aws.put(name, canary("one"));
    aws.put(`${name}-later`, canary("one"));
    await ns.sync(name, ns.spec(name));
    const noted = await reader.untilNoted();
    // And with one key more, in the Secret and in the workload at once.
    const data = [
      { secretKey: "password", remoteRef: { key: name } },
      { secretKey: "later", remoteRef: { key: `${name}-later` } },
    ];
    await Promise.all([ns.sync(name, ns.spec(name, { data })), reader.apply(["password", "later"])]);
    await ns.untilValue(name, "later", canary("one"));
    await reader.untilNoted(noted);
    await ns.sync(name, ns.spec(name, { data }), request());
    await ns.untilHandled(name);
    expect(await reader.mark()).toBeUndefined();
  }, 60_000);

  it("isn't lost when a workload begins to read another key while the store takes its time", async () => {
    const name = unique("s");
    const data = ["password", "user"].map((key) => ({
      secretKey: key,
      remoteRef: { key: `${name}-${key}` },
    }));
    for (const key of ["password", "user"]) aws.put(`${name}-${key}`, canary("one"));
    await ns.sync(name, ns.spec(name, { data }));
    await ns.untilReason(name, "Synced");
    const reader = await workload(name);
    await reader.untilNoted();
    await reader.start();
    let answer = (): void => undefined;
    const held = new Promise<void>((resolve) => (answer = resolve));
    aws.fault = async () => {
      await held;
      return undefined;
    };
    aws.put(`${name}-password`, canary("two"));
    await ns.sync(name, ns.spec(name, { data }), request());
    await reader.apply(["password", "user"]);
    // Pods of the new template start before the answer comes, with the old content.
    await until("there are pods of both templates", async () => (await reader.pods()).length > 1);
    await reader.start();
    answer();
    await ns.untilValue(name, "password", canary("two"));
    await reader.untilRestarted();
  }, 60_000);

  it("comes for pods that were started with what somebody had written into a suspended Secret", async () => {
    const name = await synced();
    const reader = await workload(name);
    await reader.untilNoted();
    await ns.sync(name, ns.spec(name, { suspend: true }));
    await ns.untilReason(name, "Suspended");
    const secret = { metadata: { name, namespace: ns.namespace }, data: { password: "ZWRpdGVk" } };
    await api.apply(resources.secret, secret, { fieldManager: "editor", force: true }, signal);
    await reader.start();
    await ns.sync(name, ns.spec(name));
    await ns.untilValue(name, "password", canary("one"));
    await reader.untilRestarted();
    const { object } = await ns.untilReason(name, "Synced");
    expect(object.status?.history?.[0]).toMatchObject({ trigger: "Drift", keys: [] });
  }, 60_000);

  it("is told as waiting where pods stay until somebody acts", async () => {
    const name = await synced();
    const reader = await workload(name, {
      kind: "StatefulSet",
      spec: { updateStrategy: { type: "OnDelete" } },
    });
    await reader.untilNoted();
    await reader.start();
    await rotate(name, "two");
    await reader.untilRestarted();
    const told = await until("it is told", async () => {
      const condition = await restartedOf(name);
      return condition?.reason === "RestartWaiting" && condition;
    });
    expect(told).toMatchObject({
      status: "False",
      message: `${reader.told} has updateStrategy OnDelete, so pods of before the change stay until they are deleted: delete them`,
    });
    for (const pod of await reader.pods())
      await api.delete(
        resources.pod,
        pod.metadata.name,
        ns.namespace,
        { uid: pod.metadata.uid ?? "" },
        signal,
      );
    await until("it is told as restarted", async () => (await restartedOf(name))?.status === "True");
  }, 60_000);

  it("is held while a key is gone that the workload can't start without", async () => {
    const name = unique("s");
    const data = ["password", "user"].map((key) => {
      aws.put(`${name}-${key}`, canary("one"));
      return { secretKey: key, remoteRef: { key: `${name}-${key}` } };
    });
    const more = { data, target: { deletionPolicy: "Merge" } };
    await ns.sync(name, ns.spec(name, more));
    await ns.untilReason(name, "Synced");
    const reader = await workload(name, { keys: ["password", "user"] });
    await reader.untilNoted();
    await reader.start();
    aws.remove(`${name}-user`);
    await ns.sync(name, ns.spec(name, more), request());
    await ns.untilValue(name, "user", undefined);
    const told = await until("it is told", async () => {
      const condition = await restartedOf(name);
      return condition?.reason === "RestartWaiting" && condition.message;
    });
    expect(told).toContain(`${reader.told} keeps its pods, as it can't start without "user"`);
    expect(await reader.mark()).toBeUndefined();
    const events = await run("get", "events", "-n", ns.namespace, "-o", "jsonpath={.items[*].message}");
    expect(events).toContain("removed user");
    aws.put(`${name}-user`, canary("two"));
    await ns.sync(name, ns.spec(name, more), request());
    await reader.untilRestarted();
  }, 60_000);

  it("comes although the key of the digests is another one, if the source has changed", async () => {
    const name = await synced();
    const [changed, same] = [await workload(name), await workload(await synced())];
    const noted = [await changed.untilNoted(), await same.untilNoted()];
    await changed.start();
    await same.start();
    await operator.stop();
    await run("delete", "secret", "secretsync-digest-key", "-n", ns.namespace);
    aws.put(name, canary("two"));
    operator = await ns.startOperator();
    await ns.untilValue(name, "password", canary("two"));
    await changed.untilRestarted();
    await same.untilNoted(noted[1]);
    expect(await same.mark()).toBeUndefined();
    // Status is written after the restarts.
    await until("the change is told", async () => (await ns.getSync(name))?.status?.history?.length === 2);
  }, 90_000);
});
