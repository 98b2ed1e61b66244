/** `make demo`: the main job on real parts, told as a story. Ends after it with DEMO_EXIT=1, else on Ctrl-C. */
import { KubeConfig } from "@kubernetes/client-node/dist/config.js";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify, styleText } from "node:util";
import type { ResourceType } from "../src/kube/kube-api.ts";
import { resources } from "../src/kube/resources.ts";
import { newKubeApi } from "../src/kube/rest-kube-api.ts";
import { systemClock } from "../src/runtime/clock.ts";
import { newTransport } from "../src/kube/transport.ts";
import { startCluster } from "../test/cluster/cluster.ts";
import { atEnd, end, untilInterrupted } from "../test/support/at-end.ts";
import { awsEnvironment, awsUser, TEST_REGION } from "../test/support/aws.ts";
import { installCrds } from "../test/support/crds.ts";
import { startMinistack } from "../test/support/ministack.ts";
import { startOperator, sumOf, type OperatorProcess } from "../test/support/operator.ts";
import { step } from "../test/support/progress.ts";
import { until } from "../test/support/wait.ts";

const run = promisify(execFile);
const root = path.resolve(import.meta.dirname, "..");
const manifest = "examples/orders.yaml";
const out = (text = "") => process.stdout.write(`${text}\n`);
const paint = (format: Parameters<typeof styleText>[0], text: string) => styleText(format, text);
const title = (text: string) => out(`\n${paint(["bold", "cyan"], text)}`);
const seconds = (milliseconds: number) => `${(milliseconds / 1000).toFixed(2)} s`.padStart(8);

process.once("SIGINT", () =>
  out(paint("dim", "\nstopping; nothing is left behind unless you interrupt that, too …")),
);

async function story(): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), "secretsync-demo-"));
  atEnd(() => rmSync(folder, { recursive: true, force: true }));
  title("1  A real cluster, an AWS, and the operator");
  const cluster = await startCluster();
  atEnd(() => cluster.stop());
  const kubectl = async (...args: string[]) =>
    (await run(cluster.kubectl, ["--kubeconfig", cluster.kubeconfig, ...args], { cwd: root })).stdout;
  const ministack = await step("start ministack, an emulator of AWS", () =>
    startMinistack(path.join(folder, "aws.log")),
  );
  atEnd(() => ministack.stop());
  const aws = awsUser(ministack.endpoint);
  await aws.create("prod/shop/orders", secret("correct-horse"));
  await installCrds(kubectl);
  const operator = await step("start the operator", () =>
    startOperator({
      kubeconfig: cluster.kubeconfig,
      logFile: path.join(folder, "operator.log"),
      env: awsEnvironment(ministack.endpoint),
      // On a cluster of yours it keeps to its own corner.
      args: cluster.origin === "given" ? ["--watch-namespaces=shop"] : [],
    }),
  );
  atEnd(() => operator.stop());

  // A cluster that is ours goes anyway; one that was given shall be as before.
  if (cluster.origin === "given")
    atEnd(() => kubectl("delete", "--ignore-not-found", "--timeout=60s", "-f", manifest));

  title(`2  kubectl apply -f ${manifest}`);
  const latency = timeToSecret(cluster.kubeconfig);
  out((await kubectl("apply", "-f", manifest)).trim());
  out(`${paint("green", "✔")} the Secret is written ${(await latency).toFixed(0)} ms after its SecretSync`);
  // Its keys only: custom-columns would print the values with them.
  const keys = await kubectl(
    "get",
    "secret",
    "-n",
    "shop",
    "orders-db",
    "-o",
    "go-template={{range $key, $_ := .data}} {{$key}}{{end}}",
  );
  out(`${paint("dim", "  its keys:")}${keys}`);
  if (cluster.noPods) out(paint("yellow", `no pods here: ${cluster.noPods}`));
  else await showPod(kubectl, "correct-horse");

  title("3  Rotate the secret in AWS");
  const before = await metrics(operator.metricsUrl);
  await rotate("battery-staple", () => Promise.resolve(), "the next poll, due every 10 s");
  await rotate(
    "trombone-four",
    async () => {
      await kubectl(
        "annotate",
        "ssync",
        "-n",
        "shop",
        "orders-db",
        `reconcile.secretsync.dev/requestedAt=${Date.now()}`,
        "--overwrite",
      );
    },
    "a request: kubectl annotate … requestedAt",
  );

  title("4  What the admin sees");
  out(await kubectl("get", "secretsyncs.secretsync.dev", "-A"));
  out(
    await kubectl(
      "get",
      "events",
      "-n",
      "shop",
      "--field-selector",
      "involvedObject.kind=SecretSync",
      // As they were written; times of creation are whole seconds.
      "--sort-by=.metadata.resourceVersion",
      "-o",
      "custom-columns=TYPE:.type,REASON:.reason,MESSAGE:.message",
    ),
  );
  const after = await metrics(operator.metricsUrl);
  for (const [name, labels] of moved) {
    const [was, is] = [before, after].map((text) => sumOf(text, name, labels)) as [number, number];
    const label = Object.entries(labels)
      .map(([key, value]) => `${key}="${value}"`)
      .join(",");
    out(`${paint("dim", `${name}{${label}}`.padEnd(66))} ${was} → ${paint("bold", String(is))}`);
  }

  if (process.env["DEMO_EXIT"]) await end(0);
  title("It stays up until Ctrl-C. Try, in another terminal:");
  if (cluster.origin === "given") out(paint("dim", "  (on your cluster it serves namespace shop only)"));
  out(`  export KUBECONFIG=${cluster.kubeconfig} PATH=${path.dirname(cluster.kubectl)}:$PATH`);
  out(`  kubectl get ssync -A -o wide`);
  out(`  kubectl delete secret -n shop orders-db && sleep 1 && kubectl get secret -n shop orders-db`);
  out(`  curl -s ${operator.metricsUrl} | grep ^secretsync_`);
  out(paint("dim", "  another value in AWS, and a new secret; then apply a SecretSync of your own:"));
  for (const line of awsCalls(ministack.endpoint)) out(`  ${line}`);
  void untilGone(operator).then(() =>
    out(paint("red", `the operator has ended:\n${operator.child.tail(3)}`)),
  );
  await untilInterrupted();

  /** Changes the value in AWS and times each stage until a pod runs with it. */
  async function rotate(value: string, nudge: () => Promise<void>, how: string): Promise<void> {
    const generation = () =>
      kubectl("get", "deployment", "-n", "shop", "orders", "-o", "jsonpath={.metadata.generation}");
    const revision = await generation();
    const since = performance.now();
    await aws.rotate("prod/shop/orders", secret(value));
    await nudge();
    const stages: [string, () => Promise<boolean>][] = [
      ["new value in the Secret", async () => (await valueOf(kubectl)) === value],
      ["rollout started", async () => (await generation()) !== revision],
      ...(cluster.noPods
        ? []
        : ([
            ["new pod runs with it", async () => (await podLogs(kubectl)).includes(`DB_password=${value}`)],
          ] satisfies typeof stages)),
    ];
    out(`\nDB password is now ${paint("yellow", value)} in AWS; picked up by ${how}`);
    for (const [what, isTrue] of stages) {
      await until(what, isTrue, { everyMs: 10, timeoutMs: 60_000 });
      out(`  ${seconds(performance.now() - since)}  ${what}`);
    }
    if (!cluster.noPods) await showPod(kubectl, value);
  }
}

type Kubectl = (...args: string[]) => Promise<string>;

const moved: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
  ["secretsync_reconcile_total", { result: "success" }],
  ["secretsync_provider_calls_total", { provider: "aws" }],
  ["secretsync_kubernetes_writes_total", { kind: "Secret" }],
  ["secretsync_restarts_total", { kind: "Deployment", result: "success" }],
];

/** As the AWS CLI would make them; curl is everywhere. */
function awsCalls(endpoint: string): readonly string[] {
  const call = (operation: string, body: unknown) =>
    `curl -s ${endpoint} --aws-sigv4 aws:amz:${TEST_REGION}:secretsmanager --user test:test -H 'X-Amz-Target: secretsmanager.${operation}' -H 'Content-Type: application/x-amz-json-1.1' -d '${JSON.stringify(body)}'`;
  return [
    call("PutSecretValue", { SecretId: "prod/shop/orders", SecretString: secret("my-own") }),
    call("CreateSecret", { Name: "prod/shop/mine", SecretString: '{"token":"t"}' }),
  ];
}

async function untilGone({ child }: OperatorProcess): Promise<void> {
  while (!child.exited) await sleep(1_000);
}

const secret = (password: string): string => JSON.stringify({ username: "orders", password });
const metrics = async (url: string): Promise<string> => (await fetch(url)).text();
/** Milliseconds from the first look that shows the SecretSync to the first that shows its Secret. */
async function timeToSecret(kubeconfig: string): Promise<number> {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  const transport = newTransport(config, systemClock);
  const api = newKubeApi(transport);
  const get = (type: ResourceType) => api.get(type, "orders-db", "shop", new AbortController().signal);
  const seen = async (what: string, look: () => Promise<unknown>) => {
    await until(what, async () => (await look()) !== undefined, { everyMs: 1, timeoutMs: 60_000 });
    return performance.now();
  };
  const since = await seen("the SecretSync is there", () => get(resources.secretSync));
  const written = await seen("the Secret is there", () => get(resources.secret));
  transport.close();
  return written - since;
}
const valueOf = async (kubectl: Kubectl) =>
  Buffer.from(
    await kubectl("get", "secret", "-n", "shop", "orders-db", "-o", "jsonpath={.data.password}"),
    "base64",
  ).toString();
/** Of pods that run; one that is being replaced may be unreadable for a moment. */
const podLogs = (kubectl: Kubectl) =>
  kubectl("logs", "-n", "shop", "-l", "app=orders", "--prefix=false").catch(() => "");

async function showPod(kubectl: Kubectl, value: string): Promise<void> {
  const logs = await until("the pod shows the value", async () => {
    const text = await podLogs(kubectl);
    return text.includes(value) && text;
  });
  out(paint("dim", "  the pod says:"));
  const lines = logs
    .split("\n")
    .filter((line) => line.includes(value))
    .slice(-2);
  for (const line of lines) out(`    ${line.replace(value, paint("yellow", value))}`);
}

try {
  await story();
} catch (error) {
  process.stderr.write(`${paint("red", `the demo failed: ${(error as Error).message}`)}\n`);
  await end(1);
}
