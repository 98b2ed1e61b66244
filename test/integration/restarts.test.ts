import { afterAll, afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import type { KubeApi, KubeObject } from "../../src/kube/kube-api.ts";
import { resources } from "../../src/kube/resources.ts";
import type { Transport } from "../../src/kube/transport.ts";
import type { WorkloadObject } from "../../src/restart/consumption.ts";
import { AwsStandIn } from "../support/aws-stand-in.ts";
import { run } from "../support/kubectl.ts";
import { canary } from "../support/leaks.ts";
import type { OperatorProcess } from "../support/operator.ts";
import { newAdmin, newTenant, request, restartedFor, signal, unique } from "../support/suite.ts";
import { until } from "../support/wait.ts";

/**
 * Restarts follow what pods run with. Pods here are real objects that no node runs: the test plays the kubelet, so that it says
 * when containers were started.
 */

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

const consumed = (object: WorkloadObject): string | undefined =>
  object.metadata.annotations?.["secretsync.dev/consumed"];

/** One that reads the Secret's keys, with one pod. */
async function workload(
  secretName: string,
  {
    keys = ["password"],
    optional = false,
    kind = "Deployment",
    spec = {},
  }: {
    keys?: readonly string[] | "all";
    optional?: boolean;
    kind?: "Deployment" | "StatefulSet";
    spec?: Record<string, unknown>;
  } = {},
) {
  const name = unique("w");
  const { namespace } = ns;
  const type = resources[kind];
  const container = (of: readonly string[] | "all") => ({
    name: "c",
    image: "example.invalid/none",
    ...(of === "all"
      ? { envFrom: [{ secretRef: { name: secretName, optional } }] }
      : {
          env: of.map((key) => ({
            name: key.toUpperCase(),
            valueFrom: { secretKeyRef: { name: secretName, key, optional } },
          })),
        }),
  });
  const object = (of: readonly string[] | "all") => ({
    metadata: { name, namespace },
    spec: {
      replicas: 1,
      ...(kind === "StatefulSet" ? { serviceName: name } : {}),
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: { schedulerName: "nobody", containers: [container(of)] },
      },
      ...spec,
    },
  });
  const apply = (of: readonly string[] | "all") =>
    api.apply(type, object(of) as KubeObject, { fieldManager: "user", force: true }, signal);
  await apply(keys);
  const pods = async () =>
    (await api.list(resources.pod, { namespace, labelSelector: `app=${name}`, limit: 100 }, signal)).items ??
    [];
  const get = async () => (await api.get<WorkloadObject>(type, name, namespace, signal)) as WorkloadObject;
  return {
    name,
    get,
    apply,
    pods,
    told: `${kind}/${name}`,
    mark: async () => restartedFor(await get()),
    /** Its controller's pods, each of which runs from now on if it didn't yet. */
    async start(): Promise<void> {
      const found = await until("there is a pod", async () => {
        const all = await pods();
        return all.length > 0 && all;
      });
      const running = { startedAt: new Date().toISOString().replace(/\.\d+/, "") };
      const conditions = [{ type: "Ready", status: "True" }];
      for (const pod of found) {
        const { status } = pod as { status?: { phase?: string } };
        if (status?.phase === "Running") continue;
        const containerStatuses = [
          { name: "c", ready: true, restartCount: 0, image: "", imageID: "", state: { running } },
        ];
        await api.apply(
          resources.pod,
          {
            metadata: { name: pod.metadata.name, namespace },
            status: { phase: "Running", conditions, containerStatuses },
          } as KubeObject,
          { fieldManager: "kubelet", force: true, subresource: "status" },
          signal,
        );
      }
      // Times of containers have whole seconds, and a second is what clocks may differ.
      await new Promise((resolve) => setTimeout(resolve, 2_100));
    },
    untilNoted: (before?: string) =>
      until("it is noted", async () => {
        const now = consumed(await get());
        return now !== undefined && now !== "{}" && now !== before && now;
      }),
    untilRestarted: (before?: string) =>
      until("it restarts", async () => {
        const mark = restartedFor(await get());
        return mark !== before && mark;
      }),
  };
}

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

/** Also with annotations of the user's own, which tell who did it. */
const putBack = (name: string, annotations?: Record<string, string>) =>
  run(
    "patch",
    "deployment",
    name,
    "-n",
    ns.namespace,
    "--type=json",
    `-p=${JSON.stringify([
      annotations
        ? { op: "replace", path: "/spec/template/metadata/annotations", value: annotations }
        : { op: "remove", path: "/spec/template/metadata/annotations" },
    ])}`,
  );

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
    await putBack(reader.name);
    await reader.untilRestarted();
    await putBack(reader.name, { "example.com/of": unique("git") });
    const told = await until("it is told", async () => {
      const condition = await restartedOf(name);
      return condition?.status === "False" && condition.message;
    });
    expect(told).toContain(`${reader.told}: "kubectl-patch" takes back what the operator writes`);
    expect(first).toBeDefined();
    await until("it is done again", async () => (await reader.mark()) !== undefined, { timeoutMs: 30_000 });
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
    await putBack(reader.name);
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
    await api.apply(resources.secret, secret as KubeObject, { fieldManager: "editor", force: true }, signal);
    await new Promise((resolve) => setTimeout(resolve, 1_100));
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
      message: `${reader.told} has updateStrategy OnDelete, so pods of before the change stay until they are deleted`,
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
    const { object } = await ns.untilReason(name, "Synced");
    expect(object.status?.history).toHaveLength(2);
  }, 90_000);
});
