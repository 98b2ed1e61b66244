import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { writeFileSync } from "node:fs";
import { stringify } from "yaml";
import { installCrds } from "../support/crds.ts";
import { run, runWith } from "../support/kubectl.ts";
import { bundle, startOperator, type OperatorProcess } from "../support/operator.ts";
import { ApiProxy } from "../support/api-proxy.ts";
import { startChild } from "../support/children.ts";
import { accountKubeconfig } from "../support/chart.ts";
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
  const withCrds = () => installCrds(run);
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
    await complains(operator, /"kind":"SecretSync".*a CRD is not installed; run: kubectl apply/);
    expect(await readiness(operator)).toBe(503);
    expect(await (await fetch(`${operator.probesUrl}/readyz`)).text()).toContain("a CRD is not installed");
    await withCrds();
    await until("it is ready", async () => (await readiness(operator)) === 200, { timeoutMs: 60_000 });
    await operator.stop();
  }, 100_000);

  /** What the operator needs in its namespace, each verb of which it can be left without. */
  const rights: readonly (readonly [group: string, resource: string, verbs: readonly string[]])[] = [
    ["secretsync.dev", "secretsyncs", ["list", "watch"]],
    ["secretsync.dev", "secretsyncs/status", ["patch"]],
    ["secretsync.dev", "secretproviders", ["list", "watch"]],
    ["", "secrets", ["get", "list", "watch", "create", "patch", "delete"]],
    ["", "events", ["create"]],
    ["apps", "deployments", ["list", "watch", "patch"]],
    ["apps", "statefulsets", ["list", "watch", "patch"]],
    ["apps", "daemonsets", ["list", "watch", "patch"]],
    ["", "pods", ["list"]],
    ["coordination.k8s.io", "leases", ["get", "create", "patch"]],
  ];
  const roleWithout = (namespace: string, verb?: string, resource?: string) => ({
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "Role",
    metadata: { name: "operator", namespace },
    rules: rights
      .map(([group, name, verbs]) => ({
        apiGroups: [group],
        resources: [name],
        verbs: verbs.filter((each) => name !== resource || each !== verb),
      }))
      .filter(({ verbs }) => verbs.length > 0),
  });

  it.each([
    ["list", "secrets"],
    ["watch", "deployments"],
    ["list", "secretsyncs"],
    ["get", "leases"],
    ["create", "leases"],
    ["get", "secrets"],
    ["create", "secrets"],
    ["patch", "secretsyncs/status"],
  ])(
    "without the right to %s %s",
    async (verb, resource) => {
      await withCrds();
      const namespace = unique("rights");
      await run("create", "namespace", namespace);
      await run("create", "serviceaccount", "operator", "-n", namespace);
      const apply = async (object: unknown) => {
        const { ok, output } = await runWith(stringify(object), "apply", "-f", "-");
        if (!ok) throw new Error(output);
      };
      await apply(roleWithout(namespace, verb, resource));
      await run(
        "create",
        "rolebinding",
        "operator",
        "-n",
        namespace,
        "--role=operator",
        `--serviceaccount=${namespace}:operator`,
      );
      /** Something to write a status of; each time, since an operator of other tests may write it first. */
      let hours = 0;
      const edit = () =>
        apply({
          apiVersion: "secretsync.dev/v1alpha1",
          kind: "SecretSync",
          metadata: { name: "sync", namespace },
          spec: {
            providerRef: { name: "none" },
            refreshInterval: `${++hours}h`,
            data: [{ secretKey: "a", remoteRef: { key: "k" } }],
          },
        });
      await edit();
      const operator = await startOperator({
        kubeconfig: await accountKubeconfig(namespace, "operator"),
        logFile: logFile(unique("rights")),
        args: [
          "--cluster-providers=false",
          `--watch-namespaces=${namespace}`,
          `--operator-namespace=${namespace}`,
        ],
        leading: false,
      });
      const said = new RegExp(`cannot ${verb} resource "${resource}"`);
      const told = () =>
        operator.logs().filter(({ level, detail }) => level === "warn" && said.test(String(detail)));
      const untilSaid = async () => {
        if (told().length > 0) return true;
        await edit();
        return false;
      };
      await until("it says so", untilSaid, { timeoutMs: 60_000, everyMs: 2_000 });
      const readyz = async () => (await fetch(`${operator.probesUrl}/readyz`)).text();
      await until("readiness says so", async () => said.test(await readyz()));
      expect(await readiness(operator)).toBe(503);
      // Once, however often it is tried again.
      const tries = () => operator.logs().filter(({ detail }) => said.test(String(detail))).length;
      const untilTriedAgain = async () => {
        if (tries() > 1) return true;
        await edit();
        return false;
      };
      await until("it was tried again", untilTriedAgain, { timeoutMs: 30_000, everyMs: 2_000 });
      expect(told()).toHaveLength(1);
      await apply(roleWithout(namespace));
      const untilReady = async () => {
        if ((await readiness(operator)) === 200) return true;
        await edit();
        return false;
      };
      await until("it is ready", untilReady, { timeoutMs: 60_000, everyMs: 2_000 });
      await operator.stop();
      await run("delete", "namespace", namespace, "--wait=false");
    },
    100_000,
  );

  it("for a namespace of several that isn't there yet, and serves the others meanwhile", async () => {
    await withCrds();
    const [here, later] = [unique("here"), unique("later")];
    await run("create", "namespace", here);
    await run("create", "serviceaccount", "operator", "-n", here);
    const allow = async (namespace: string) => {
      const { ok, output } = await runWith(stringify(roleWithout(namespace)), "apply", "-f", "-");
      if (!ok) throw new Error(output);
      const account = `--serviceaccount=${here}:operator`;
      await run("create", "rolebinding", "operator", "-n", namespace, "--role=operator", account);
    };
    const make = (namespace: string) =>
      runWith(
        stringify({
          apiVersion: "secretsync.dev/v1alpha1",
          kind: "SecretSync",
          metadata: { name: "sync", namespace },
          spec: { providerRef: { name: "none" }, data: [{ secretKey: "a", remoteRef: { key: "k" } }] },
        }),
        "apply",
        "-f",
        "-",
      );
    const untilServed = (namespace: string) =>
      until(
        `${namespace} is served`,
        async () => {
          const path = "jsonpath={.status.conditions[0].reason}";
          return (await run("get", "ssync", "sync", "-n", namespace, "-o", path)) === "ProviderNotFound";
        },
        { timeoutMs: 90_000 },
      );
    await allow(here);
    await make(here);
    const operator = await startOperator({
      kubeconfig: await accountKubeconfig(here, "operator"),
      logFile: logFile(unique("several")),
      args: [
        "--cluster-providers=false",
        `--watch-namespaces=${here},${later}`,
        `--operator-namespace=${here}`,
      ],
    });
    await untilServed(here);
    const told = await (await fetch(`${operator.probesUrl}/readyz?verbose`)).text();
    expect(told).toMatch(new RegExp(`^ok\\nnamespace ${later} isn't served: .*cannot list resource`));
    expect(await operator.metric("secretsync_namespace_served", { namespace: here })).toBe(1);
    expect(await operator.metric("secretsync_namespace_served", { namespace: later })).toBe(0);
    await run("create", "namespace", later);
    await allow(later);
    await make(later);
    await untilServed(later);
    await until(
      "nothing is amiss",
      async () => (await (await fetch(`${operator.probesUrl}/readyz?verbose`)).text()) === "ok\n",
    );
    await operator.stop();
    await run("delete", "namespace", here, later, "--wait=false");
  }, 200_000);

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
