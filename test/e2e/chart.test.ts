import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { promisify } from "node:util";
import { parse, stringify } from "yaml";
import type { KubeApi, KubeObject } from "../../src/kube/kube-api.ts";
import { resources } from "../../src/kube/resources.ts";
import type { Transport } from "../../src/kube/transport.ts";
import { ensureTools, toolPath } from "../cluster/tools.ts";
import { awsEnvironment, awsUser } from "../support/aws.ts";
import { run } from "../support/kubectl.ts";
import { canary } from "../support/leaks.ts";
import { startOperator } from "../support/operator.ts";
import {
  awsEndpoint,
  clusterProvider,
  inNamespace,
  kubeconfig,
  logFile,
  newAdmin,
  request,
  signal,
  unique,
} from "../support/suite.ts";
import { until } from "../support/wait.ts";

/** The chart, installed by the real Helm; the operator then runs with exactly the rights that it grants. */

const execute = promisify(execFile);
const namespace = unique("chart");
let transport: Transport;
let api: KubeApi;

const helm = (...args: string[]) =>
  execute(toolPath("helm"), ["--kubeconfig", kubeconfig, "--namespace", namespace, ...args]);

beforeAll(async () => {
  ({ api, transport } = newAdmin());
  await ensureTools("helm");
}, 600_000);
afterAll(() => transport.close());

/** A kubeconfig of the operator's service account. */
async function operatorKubeconfig(): Promise<string> {
  const token = (await run("create", "token", "-n", namespace, "secretsync")).trim();
  const config = parse(readFileSync(kubeconfig, "utf8")) as {
    users: unknown[];
    contexts: { context: { user: string } }[];
  };
  config.users = [{ name: "operator", user: { token } }];
  for (const { context } of config.contexts) context.user = "operator";
  const file = logFile(`${namespace}.kubeconfig`);
  writeFileSync(file, stringify(config), { mode: 0o600 });
  return file;
}

describe("the chart", () => {
  it("installs, grants what the operator needs, and leaves CRDs and Secrets behind when it goes", async () => {
    await helm("install", "secretsync", "charts/secretsync", "--create-namespace", "--set", "replicaCount=0");
    const log = logFile(namespace);
    const ns = inNamespace(api, unique("tenant"));
    const operator = await startOperator({
      kubeconfig: await operatorKubeconfig(),
      logFile: log,
      env: awsEnvironment(awsEndpoint),
      // Other tests run operators of their own in other namespaces.
      args: [`--operator-namespace=${namespace}`, `--watch-namespaces=${ns.namespace}`],
    });
    await ns.create();
    await api.create(resources.clusterSecretProvider, clusterProvider(ns.namespace, [ns.namespace]), signal);
    const aws = awsUser(awsEndpoint);
    const key = unique("k");
    await aws.create(key, canary("one"));
    const spec = {
      providerRef: { kind: "ClusterSecretProvider", name: ns.namespace },
      data: [{ secretKey: "password", remoteRef: { key } }],
    };
    await ns.sync(key, spec);
    await ns.untilReason(key, "Synced");
    const template = {
      metadata: { labels: { app: key } },
      spec: { containers: [{ name: "c", image: "busybox:1.37", envFrom: [{ secretRef: { name: key } }] }] },
    };
    const workload = {
      metadata: { name: key, namespace: ns.namespace },
      spec: { replicas: 0, selector: { matchLabels: { app: key } }, template },
    };
    await api.create<KubeObject>(resources.Deployment, workload, signal);
    const annotations = async () =>
      (await api.get(resources.Deployment, key, ns.namespace, signal))?.metadata.annotations ?? {};
    await until(
      "the workload is adopted",
      async () => (await annotations())["secretsync.dev/consumed"] !== undefined,
    );
    await aws.rotate(key, canary("two"));
    await ns.sync(key, spec, request());
    await until("the value is there", async () => (await ns.values(key))?.["password"] === canary("two"));
    await until(
      "it restarts",
      async () => (await operator.metric("secretsync_restarts_total", { result: "success" })) === 1,
    );
    await until(
      "its events are written",
      async () => (await operator.metric("secretsync_kubernetes_writes_total", { kind: "Event" })) > 0,
    );
    await operator.stop();
    expect(readFileSync(log, "utf8")).not.toMatch(/forbidden/i);

    await helm("uninstall", "secretsync", "--wait");
    expect(await run("get", "crd", "-o", "name")).toContain("secretsyncs.secretsync.dev");
    expect(await ns.values(key)).toEqual({ password: canary("two") });
  }, 180_000);

  it("runs the operator without rights on its machine", async () => {
    const { stdout } = await helm(
      "template",
      "secretsync",
      "charts/secretsync",
      "--kube-version=1.37.0",
      "--set",
      "extraArgs={--log-level=debug}",
    );
    const deployment = stdout
      .split("---")
      .map(
        (text) =>
          parse(text) as { kind?: string; spec?: { template: { spec: { containers: unknown[] } } } } | null,
      )
      .find((each) => each?.kind === "Deployment");
    expect(deployment?.spec?.template.spec).toMatchObject({
      securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
    });
    expect(deployment?.spec?.template.spec.containers[0]).toMatchObject({
      args: ["/operator.mjs", "--log-level=debug"],
      securityContext: {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      },
    });
  });
});
