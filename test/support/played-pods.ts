import type { KubeApi, KubeObject } from "../../src/kube/kube-api.ts";
import { resources } from "../../src/kube/resources.ts";
import type { WorkloadObject } from "../../src/rollout/workload.ts";
import { run } from "./kubectl.ts";
import { restartedFor, signal, unique } from "./suite.ts";
import { until } from "./wait.ts";

/** Workloads whose pods no node runs: the test plays the kubelet, so that it says when containers were started. */

export const consumed = (object: WorkloadObject): string | undefined =>
  object.metadata.annotations?.["secretsync.dev/consumed"];

/** One that reads the Secret's keys, with one pod. */
export async function newWorkload(
  api: KubeApi,
  namespace: string,
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
    api.apply(type, object(of), { fieldManager: "user", force: true }, signal);
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

/** Puts the pod template back; also with annotations of the user's own, which tell who did it. */
export const putBack = (namespace: string, deployment: string, annotations?: Record<string, string>) =>
  run(
    "patch",
    "deployment",
    deployment,
    "-n",
    namespace,
    "--type=json",
    `-p=${JSON.stringify([
      annotations
        ? { op: "replace", path: "/spec/template/metadata/annotations", value: annotations }
        : { op: "remove", path: "/spec/template/metadata/annotations" },
    ])}`,
  );
