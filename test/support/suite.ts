import { KubeConfig } from "@kubernetes/client-node/dist/config.js";
import { randomBytes } from "node:crypto";
import path from "node:path";
import type { KubeApi, KubeObject } from "../../src/kube/kube-api.ts";
import { newKubeApi } from "../../src/kube/rest-kube-api.ts";
import { resources } from "../../src/kube/resources.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { newTransport, type Transport } from "../../src/kube/transport.ts";
import type { HistoryEntry, SecretSyncStatus } from "../../src/api/secret-sync-status.ts";
import type { WorkloadObject } from "../../src/rollout/workload.ts";
import { awsEnvironment } from "./aws.ts";
import { expectKstatus } from "./kstatus.ts";
import { startOperator, type OperatorProcess } from "./operator.ts";
import { until } from "./wait.ts";

/** What tests on a cluster share: the admin's client, names of their own, and looks at what users look at. */

/** What cluster-setup.ts tells the tests. */
export const suiteVariable = (name: string): string => process.env[`SECRETSYNC_SUITE_${name}`] ?? "";
export const kubeconfig = suiteVariable("KUBECONFIG");
export const awsEndpoint = suiteVariable("AWS");
export const noPods = suiteVariable("NO_PODS");
export const clusterOrigin = suiteVariable("ORIGIN");
export const logFile = (name: string): string => path.join(suiteVariable("FOLDER"), "logs", `${name}.log`);

export const signal = new AbortController().signal;
export const unique = (prefix: string): string => `${prefix}-${randomBytes(3).toString("hex")}`;

export function newAdmin(file = kubeconfig): { api: KubeApi; transport: Transport } {
  const config = new KubeConfig();
  config.loadFromFile(file);
  const transport = newTransport(config, systemClock);
  return { api: newKubeApi(transport), transport };
}

export interface SecretObject extends KubeObject {
  readonly type?: string;
  readonly immutable?: boolean;
  readonly data?: Readonly<Record<string, string>>;
}
export type SyncObject = KubeObject & {
  readonly spec?: Record<string, unknown>;
  readonly status?: SecretSyncStatus;
};

/** A namespace of a test, and what is in it. */
export function inNamespace(api: KubeApi, namespace: string) {
  const getSecret = (name: string) => api.get<SecretObject>(resources.secret, name, namespace, signal);
  const getSync = (name: string) => api.get<SyncObject>(resources.secretSync, name, namespace, signal);
  return {
    namespace,
    getSecret,
    getSync,
    syncs: async () =>
      (await api.list<SyncObject>(resources.secretSync, { namespace, limit: 500 }, signal)).items ?? [],
    create: () => api.create(resources.namespace, { metadata: { name: namespace } }, signal),
    /** Creates or changes a SecretSync, as kubectl apply --server-side does. */
    sync: (name: string, spec: Record<string, unknown>, annotations: Record<string, string> = {}) =>
      api.apply<SyncObject>(
        resources.secretSync,
        { metadata: { name, namespace, annotations }, spec } as KubeObject,
        { fieldManager: "user", force: true },
        signal,
      ),
    async values(name: string): Promise<Record<string, string> | undefined> {
      const secret = await getSecret(name);
      if (!secret) return undefined;
      return Object.fromEntries(
        Object.entries(secret.data ?? {}).map(([key, value]) => [
          key,
          Buffer.from(value, "base64").toString(),
        ]),
      );
    },
    /** Waits for the reason of Ready, checks the conditions' form and returns the object. */
    untilReason: (name: string, reason: string, timeoutMs = 20_000) =>
      until(
        `${name} has the reason ${reason}`,
        async () => {
          const object = await getSync(name);
          const ready = object?.status?.conditions?.find(({ type }) => type === "Ready");
          if (ready?.reason !== reason || ready.observedGeneration !== object?.metadata.generation) {
            throw new Error(`is ${ready?.reason}: ${ready?.message}`);
          }
          expectKstatus(object?.status ?? {}, object?.metadata.generation ?? 0);
          return {
            object: object as SyncObject,
            message: ready?.message ?? "",
            history: historyOf(object as SyncObject),
          };
        },
        { timeoutMs },
      ),
  };
}

const historyOf = ({ status }: SyncObject): readonly HistoryEntry[] => status?.history ?? [];

/** A cluster-wide provider that lets these namespaces read everything. */
export const clusterProvider = (
  name: string,
  namespaces: readonly string[],
  more: Record<string, unknown> = {},
): KubeObject =>
  ({
    metadata: { name },
    spec: {
      aws: { regions: ["eu-west-1"] },
      access: [{ namespaces: { names: namespaces }, keys: ["**"] }],
      ...more,
    },
  }) as KubeObject;

/** Annotations that ask for a refresh now. */
export const request = (): Record<string, string> => ({
  "reconcile.secretsync.dev/requestedAt": unique("at"),
});

/**
 * A namespace with a provider of its own that lets it read every key, and the operators that a test runs on it: they
 * see nothing else, so that tests may run side by side.
 */
export async function newTenant(api: KubeApi, prefix: string, aws: string) {
  const namespace = unique(prefix);
  const ns = inNamespace(api, namespace);
  await ns.create();
  await api.create(resources.clusterSecretProvider, clusterProvider(namespace, [namespace]), signal);
  const providerRef = { kind: "ClusterSecretProvider", name: namespace };
  return {
    ...ns,
    providerRef,
    /** One key, refreshed once an hour. */
    spec: (key: string, more: Record<string, unknown> = {}) => ({
      providerRef,
      refreshInterval: "1h",
      data: [{ secretKey: "password", remoteRef: { key } }],
      ...more,
    }),
    startOperator(
      options: {
        config?: string;
        leading?: boolean;
        args?: readonly string[];
        env?: Readonly<Record<string, string>>;
      } = {},
    ): Promise<OperatorProcess> {
      return startOperator({
        kubeconfig: options.config ?? kubeconfig,
        logFile: logFile(unique(namespace)),
        env: { ...awsEnvironment(aws), ...options.env },
        args: [
          `--operator-namespace=${namespace}`,
          `--watch-namespaces=${namespace}`,
          "--cluster-secret-syncs=false",
          ...(options.args ?? []),
        ],
        leading: options.leading ?? true,
      });
    },
    untilValue: (secret: string, key: string, value: string | undefined, timeoutMs = 20_000) =>
      until(
        `${secret}.${key} is as wanted`,
        async () => ((await ns.values(secret))?.[key] === value ? { done: true } : false),
        { timeoutMs },
      ),
    untilHandled: (name: string) =>
      until(`the request on ${name} is handled`, async () => {
        const object = await ns.getSync(name);
        return (
          object?.status?.lastHandledReconcileAt ===
          object?.metadata.annotations?.["reconcile.secretsync.dev/requestedAt"]
        );
      }),
    /** Creates a workload without pods that takes the Secret's password as env, and waits for its adoption. */
    async adopted(secret: string): Promise<() => Promise<WorkloadObject>> {
      const name = unique("d");
      const env = [{ name: "A", valueFrom: { secretKeyRef: { name: secret, key: "password" } } }];
      const template = {
        metadata: { labels: { app: name } },
        spec: { containers: [{ name: "c", image: "busybox", env }] },
      };
      const object = {
        metadata: { name, namespace },
        spec: { replicas: 0, selector: { matchLabels: { app: name } }, template },
      };
      await api.create(resources.Deployment, object, signal);
      const get = async () =>
        (await api.get<WorkloadObject>(resources.Deployment, name, namespace, signal)) as WorkloadObject;
      await until(
        "the workload is adopted",
        async () => (await get()).metadata.annotations?.["secretsync.dev/consumed"] !== undefined,
      );
      return get;
    },
  };
}

/** Changes with each restart; undefined before the first. */
export const restartedFor = ({ spec }: WorkloadObject): string | undefined =>
  spec?.template?.metadata?.annotations?.["secretsync.dev/restarted-for"];
