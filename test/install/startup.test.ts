import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { writeFileSync } from "node:fs";
import { stringify } from "yaml";
import { ensureTools } from "../cluster/tools.ts";
import { run, runWith } from "../support/kubectl.ts";
import { bundle, startOperator, type OperatorProcess } from "../support/operator.ts";
import { ApiProxy } from "../support/api-proxy.ts";
import { startChild } from "../support/children.ts";
import { accountKubeconfig, chart, newRelease } from "../support/chart.ts";
import { kubeconfig, logFile, unique } from "../support/suite.ts";
import { until } from "../support/wait.ts";

/** What the operator says and does when it can't work yet, or not at all. */

/** The only line that an operator writes that can't start, and its exit code. */
async function failure(args: readonly string[], env: Record<string, string>) {
  const log = logFile(unique("failing"));
  const child = startChild("operator", process.execPath, [bundle, ...args], {
    logFile: log,
    env: { ...process.env, ...env },
  });
  await until("it has ended", () => child.exited);
  const lines = child.tail(100).trim().split("\n");
  return { code: child.process.exitCode, lines };
}
const ports = ["--metrics-bind-address=127.0.0.1:0", "--health-probe-bind-address=127.0.0.1:0"];

describe("the operator ends at once, with one line that says why,", () => {
  it.each([
    [
      "a kubeconfig that isn't there",
      () => logFile("none.kubeconfig"),
      /the kubeconfig can't be read: .*none.kubeconfig/,
    ],
    [
      "a kubeconfig that is no YAML",
      () => {
        const file = logFile(unique("bad.kubeconfig"));
        writeFileSync(file, "clusters: [");
        return file;
      },
      /the kubeconfig can't be read/,
    ],
    [
      "a kubeconfig without a cluster",
      () => {
        const file = logFile(unique("empty.kubeconfig"));
        writeFileSync(
          file,
          stringify({
            apiVersion: "v1",
            kind: "Config",
            clusters: [],
            users: [],
            contexts: [],
            "current-context": "",
          }),
        );
        return file;
      },
      /names no cluster; set current-context/,
    ],
  ])("for %s", async (_case, file, message) => {
    const { code, lines } = await failure(ports, { KUBECONFIG: file() });
    expect(code).toBe(1);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(message);
  });

  it("for a port that is in use", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const { code, lines } = await failure(
      [`--metrics-bind-address=127.0.0.1:${port}`, "--health-probe-bind-address=0"],
      { KUBECONFIG: kubeconfig },
    );
    server.close();
    expect(code).toBe(1);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(`127.0.0.1:${port} is in use`);
  });

  it("for a flag that it doesn't know", async () => {
    const { code, lines } = await failure(["--nonsense"], {});
    expect(code).toBe(2);
    expect(lines.join(" ")).toContain("--nonsense");
  });
});

describe("the operator isn't ready, says why, and gets ready by itself,", () => {
  const readiness = async ({ probesUrl }: OperatorProcess) => (await fetch(`${probesUrl}/readyz`)).status;
  const complains = (operator: OperatorProcess, text: RegExp) =>
    until(`it says ${text.source}`, () => operator.logs().some((line) => text.test(JSON.stringify(line))));
  const withCrds = () => run("apply", "--server-side", "--force-conflicts", "-f", "crds/");
  const withoutCrds = () => run("delete", "--ignore-not-found", "-f", "crds/");

  beforeAll(withoutCrds, 60_000);
  afterAll(withoutCrds, 60_000);

  it("without the CRDs", async () => {
    const operator = await startOperator({
      kubeconfig,
      logFile: logFile(unique("crds")),
      args: ["--leader-elect=false"],
      leading: false,
    });
    await complains(operator, /"kind":"SecretSync".*404/);
    expect(await readiness(operator)).toBe(503);
    await withCrds();
    await until("it is ready", async () => (await readiness(operator)) === 200, { timeoutMs: 60_000 });
    await operator.stop();
  }, 100_000);

  it("without a right", async () => {
    await withCrds();
    const namespace = unique("rights");
    await run("create", "namespace", namespace);
    await run("create", "serviceaccount", "operator", "-n", namespace);
    const role = (...verbs: string[]) =>
      runWith(
        stringify({
          apiVersion: "rbac.authorization.k8s.io/v1",
          kind: "Role",
          metadata: { name: "operator", namespace },
          rules: [
            {
              apiGroups: ["secretsync.dev"],
              resources: ["secretsyncs", "secretproviders"],
              verbs: ["list", "watch"],
            },
            { apiGroups: [""], resources: ["secrets"], verbs: ["get", "create", ...verbs] },
            {
              apiGroups: ["apps"],
              resources: ["deployments", "statefulsets", "daemonsets"],
              verbs: ["list", "watch"],
            },
          ],
        }),
        "apply",
        "-f",
        "-",
      );
    await role();
    await run(
      "create",
      "rolebinding",
      "operator",
      "-n",
      namespace,
      "--role=operator",
      `--serviceaccount=${namespace}:operator`,
    );
    const operator = await startOperator({
      kubeconfig: await accountKubeconfig(namespace, "operator"),
      logFile: logFile(unique("rights")),
      args: [
        "--leader-elect=false",
        "--cluster-providers=false",
        `--watch-namespaces=${namespace}`,
        `--operator-namespace=${namespace}`,
      ],
      leading: false,
    });
    await complains(operator, /"kind":"Secret".*cannot list resource \\"secrets\\"/);
    expect(await readiness(operator)).toBe(503);
    await role("list", "watch");
    await until("it is ready", async () => (await readiness(operator)) === 200, { timeoutMs: 60_000 });
    await operator.stop();
  }, 100_000);

  it("without an apiserver", async () => {
    await withCrds();
    const proxy = new ApiProxy(kubeconfig);
    const file = await proxy.start(logFile(unique("away.kubeconfig")));
    await proxy.stop();
    const operator = await startOperator({
      kubeconfig: file,
      logFile: logFile(unique("away")),
      args: ["--leader-elect=false", "--watch-namespaces=default"],
      leading: false,
    });
    await complains(operator, /ECONNREFUSED/);
    expect(await readiness(operator)).toBe(503);
    expect((await fetch(`${operator.probesUrl}/healthz`)).status).toBe(200);
    await proxy.restart();
    await until("it is ready", async () => (await readiness(operator)) === 200, { timeoutMs: 60_000 });
    await operator.stop();
    await proxy.stop();
  }, 100_000);
});

describe("a wrong value of the chart", () => {
  beforeAll(() => ensureTools("helm"), 600_000);

  it.each([
    ["replicaCount=many", "/replicaCount"],
    ["image.tag.x=1", "/image/tag"],
    ["imagePullPolicy=Always", "imagePullPolicy"],
    ["image.digest=latest", "/image/digest"],
    ["watchNamespaces={Not_A_Namespace}", "/watchNamespaces/0"],
    ["crds.enabled=maybe", "/crds/enabled"],
    ["extraArgs={concurrent=3}", "/extraArgs/0"],
    ["logLevel=loud", "/logLevel"],
    ["admissionPolicies.minRefreshInterval=often", "/admissionPolicies/minRefreshInterval"],
    ["networkPolicy.egressPorts={99999}", "/networkPolicy/egressPorts/0"],
    ["resources=small", "/resources"],
    ["serviceMonitor.interval=soon", "/serviceMonitor/interval"],
  ])("%s fails with a message that names it", async (value, name) => {
    const { call } = newRelease("helm", "secretsync", "default");
    await expect(call("template", "secretsync", chart, "--set", value)).rejects.toThrow(name);
  });
});
