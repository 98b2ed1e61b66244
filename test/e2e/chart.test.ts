import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { promisify } from "node:util";
import { parse, stringify } from "yaml";
import type { KubeApi } from "../../src/kube/kube-api.ts";
import type { Transport } from "../../src/kube/transport.ts";
import { ensureTools, toolPath } from "../cluster/tools.ts";
import { awsUser } from "../support/aws.ts";
import { run } from "../support/kubectl.ts";
import { canary } from "../support/leaks.ts";
import { awsEndpoint, kubeconfig, logFile, newAdmin, newTenant, request, unique } from "../support/suite.ts";
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
    const ns = await newTenant(api, "tenant", awsEndpoint);
    const operator = await ns.startOperator({
      config: await operatorKubeconfig(),
      args: [`--operator-namespace=${namespace}`],
    });
    const aws = awsUser(awsEndpoint);
    const key = unique("k");
    await aws.create(key, canary("one"));
    await ns.sync(key, ns.spec(key));
    await ns.untilReason(key, "Synced");
    await ns.adopted(key);
    await aws.rotate(key, canary("two"));
    await ns.sync(key, ns.spec(key), request());
    await ns.untilValue(key, "password", canary("two"));
    await until(
      "it restarts",
      async () => (await operator.metric("secretsync_restarts_total", { result: "success" })) === 1,
    );
    await until(
      "its events are written",
      async () => (await operator.metric("secretsync_kubernetes_writes_total", { kind: "Event" })) > 0,
    );
    await operator.stop();
    expect(ns.logs.map((file) => readFileSync(file, "utf8")).join("\n")).not.toMatch(/forbidden/i);

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
