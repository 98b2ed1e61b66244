/**
 * `make bench`: the operator against its goals, on a real control plane and an AWS stand-in that takes 10 ms for
 * each call. Prints a table and writes docs/benchmarks.md and docs/benchmarks.json. BENCH_SIZES=1000 for less.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { KubeApi, KubeObject } from "../src/kube/kube-api.ts";
import { newKubeApi } from "../src/kube/rest-kube-api.ts";
import { resources } from "../src/kube/resources.ts";
import { systemClock } from "../src/runtime/clock.ts";
import { newTransport } from "../src/kube/transport.ts";
import type { WorkloadObject } from "../src/restart/consumption.ts";
import { startCluster } from "../test/cluster/cluster.ts";
import { AwsStandIn } from "../test/support/aws-stand-in.ts";
import { awsEnvironment } from "../test/support/aws.ts";
import { startOperator, type OperatorProcess } from "../test/support/operator.ts";
import { LAG_INTERVAL_MS } from "../src/telemetry/metrics.ts";
import { step } from "../test/support/progress.ts";
import { packOperatorImage } from "./image/operator-image.ts";
import { until } from "../test/support/wait.ts";
import { KubeConfig } from "@kubernetes/client-node";

interface Figure {
  readonly name: string;
  readonly size: number | undefined;
  readonly value: number;
  readonly goal: number | undefined;
  readonly unit: string;
}

const LATENCY_MS = 10;
const NAMESPACES = 10;
const signal = new AbortController().signal;
const sizes = (process.env["BENCH_SIZES"] ?? "1000,10000").split(",").map(Number);
const only = process.env["BENCH_ONLY"];
const figures: Figure[] = [];
const note = (
  name: string,
  size: number | undefined,
  value: number,
  goal: number | undefined,
  unit: string,
) => {
  figures.push({ name, size, value, goal, unit });
  const verdict = goal === undefined ? "" : value <= goal ? "✔" : "✘";
  process.stderr.write(
    `    ${name}${size ? ` (${size})` : ""}: ${format(value)} ${unit} ${goal === undefined ? "" : `(goal ${goal}) ${verdict}`}\n`,
  );
};
const format = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);

interface Bench {
  readonly folder: string;
  readonly kubeconfig: string;
  readonly api: KubeApi;
  readonly aws: AwsStandIn;
  readonly endpoint: string;
}

/** What a pull transfers, and how long an operator takes until its probe answers. */
async function image(): Promise<void> {
  const { compressedBytes } = await step("pack the image", () => Promise.resolve(packOperatorImage()));
  note("image to pull", undefined, compressedBytes / 2 ** 20, undefined, "MiB");
}

async function main(): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), "secretsync-bench-"));
  try {
    await image();
    for (const size of sizes) await benchSize(folder, size);
  } finally {
    if (!process.env["BENCH_KEEP"]) rmSync(folder, { recursive: true, force: true });
  }
  report();
}

/** A fresh cluster for each size, so that one can't slow the next. */
async function benchSize(folder: string, size: number): Promise<void> {
  process.stderr.write(`\n▸ ${size} objects\n`);
  const cluster = await startCluster({ node: false, builtin: true });
  const aws = new AwsStandIn();
  aws.latencyMs = LATENCY_MS;
  const endpoint = await aws.start();
  const config = new KubeConfig();
  config.loadFromFile(cluster.kubeconfig);
  const transport = newTransport(config, systemClock);
  const bench: Bench = { folder, kubeconfig: cluster.kubeconfig, api: newKubeApi(transport), aws, endpoint };
  try {
    execFileSync(
      cluster.kubectl,
      ["--kubeconfig", cluster.kubeconfig, "apply", "--server-side", "-f", "crds/"],
      { stdio: "ignore" },
    );
    execFileSync(
      cluster.kubectl,
      ["--kubeconfig", cluster.kubeconfig, "wait", "--for=condition=Established", "-f", "crds/"],
      { stdio: "ignore" },
    );
    await prepare(bench, size);
    await ceiling(bench, size);
    if (size === sizes[0]) await idle(bench);
    await coldStart(bench, size);
  } finally {
    transport.close();
    await aws.stop();
    await cluster.stop();
  }
}

const namespaceOf = (index: number) => `bench-${index % NAMESPACES}`;

async function prepare({ api, aws }: Bench, size: number): Promise<void> {
  for (let index = 0; index < NAMESPACES; index++) {
    await api.create(resources.namespace, { metadata: { name: namespaceOf(index) } }, signal);
  }
  await api.create(
    resources.clusterSecretProvider,
    {
      metadata: { name: "bench" },
      spec: {
        aws: { regions: ["eu-west-1"] },
        access: [{ namespaces: { all: true }, keys: ["**"] }],
        limits: { requestsPerSecond: 1000, maxConcurrent: 32 },
      },
    } as KubeObject,
    signal,
  );
  for (let index = 0; index < size; index++)
    aws.put(`bench/secret-${index}`, JSON.stringify({ password: `value-${index}` }));
}

const syncOf = (index: number, refreshInterval = "30s", name = `sync-${index}`): KubeObject =>
  ({
    metadata: { name, namespace: namespaceOf(index) },
    spec: {
      providerRef: { kind: "ClusterSecretProvider", name: "bench" },
      refreshInterval,
      data: [{ secretKey: "password", remoteRef: { key: `bench/secret-${index}`, property: "password" } }],
    },
  }) as KubeObject;

async function inParallel(
  count: number,
  concurrency: number,
  work: (index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
}

/** What the apiserver can take from a client that does nothing else: the measure for all that follows. */
async function ceiling({ api }: Bench, size: number): Promise<void> {
  const count = 2_000;
  const rate = await step("measure the apiserver's write ceiling", async () => {
    const since = performance.now();
    await inParallel(count, 16, (index) =>
      api.apply(
        resources.secret,
        {
          metadata: { name: `ceiling-${index}`, namespace: "default" },
          data: { password: "dmFsdWU=" },
        } as KubeObject,
        { fieldManager: "bench", force: true, metadataOnly: true },
        signal,
      ),
    );
    return count / ((performance.now() - since) / 1000);
  });
  note("apiserver write ceiling", size, rate, undefined, "writes/s");
}

const start = (bench: Bench, leading = true): Promise<OperatorProcess> =>
  startOperator({
    kubeconfig: bench.kubeconfig,
    logFile: path.join(bench.folder, `operator-${performance.now()}.log`),
    // As in the image.
    env: { ...awsEnvironment(bench.endpoint), MALLOC_ARENA_MAX: "2" },
    nodeArgs: (process.env["BENCH_NODE_ARGS"] ?? "--max-semi-space-size=4 --optimize-for-size").split(" "),
    args: ["--log-level=info", "--metrics-per-object=false"],
    leading,
  });

async function idle(bench: Bench): Promise<void> {
  const since = performance.now();
  const operator = await start(bench, false);
  await until("it is ready", async () => (await fetch(`${operator.probesUrl}/readyz`)).ok, { everyMs: 1 });
  note("operator start to ready", undefined, performance.now() - since, undefined, "ms");
  await sleep(3_000);
  note("memory, idle", undefined, rss(operator), 80, "MiB");
  await operator.stop();
}

async function coldStart(bench: Bench, size: number): Promise<void> {
  const { api, aws } = bench;
  await step(`create ${size} SecretSyncs`, () =>
    inParallel(size, 16, (index) => api.create(resources.secretSync, syncOf(index), signal)),
  );
  aws.resetCalls();
  const since = Date.now();
  const operator = await start(bench, false);
  const written = await step("cold start: all Secrets written", () =>
    until(
      "all Secrets are written",
      () => {
        // The log costs the operator nothing more; a scrape of its metrics would.
        const times = operator
          .logs()
          .filter(({ msg }) => msg === "secret written")
          .map(({ time }) => Date.parse(String(time)));
        return times.length >= size && times;
      },
      { timeoutMs: 600_000, everyMs: size > 1000 ? 1_000 : 250 },
    ),
  );
  const all = (Math.max(...written) - since) / 1000;
  const first = Math.min(...written) - since;
  const share = (size / all / ceilingOf(size)) * 100;
  note("cold start share of the write ceiling", size, share, undefined, "%");
  note(
    "cold start to all Secrets written",
    size,
    all,
    size === 1000 ? 4 : size === 10_000 ? 45 : undefined,
    "s",
  );
  note("operator start to first Secret", size, first, 500, "ms");
  await until(
    "every status is written",
    async () => (await operator.metric("secretsync_objects", { ready: "true" })) >= size,
    { timeoutMs: 600_000, everyMs: 500 },
  );
  note("provider calls, cold start", size, aws.callCount, size === 1000 ? 60 : undefined, "calls");
  process.stderr.write(
    `    ${[...aws.calls].map(([operation, count]) => `${operation} ${count}`).join(", ")}\n`,
  );
  const writes = await writesOf(operator);
  note("writes for each new object", size, writes / size, 2, "writes");
  if (only === "cold") {
    note("memory", size, rss(operator), undefined, "MiB");
    return operator.stop();
  }
  await steady(bench, operator, size);
  if (only === "steady") {
    note("memory", size, rss(operator), undefined, "MiB");
    return operator.stop();
  }
  await change(bench, operator, size);
  await newObject(bench, operator, size);
  await drift(bench, size);
  await restarts(bench, operator, size);
  note("memory", size, rss(operator), size === 1000 ? 110 : size === 10_000 ? 200 : undefined, "MiB");
  if (size === sizes[0]) {
    await badPayloads(bench, operator, size);
    await outage(bench, operator, size);
  }
  await operator.stop();
}

const ceilingOf = (size: number): number =>
  figures.find((figure) => figure.name === "apiserver write ceiling" && figure.size === size)?.value ?? NaN;
const writesOf = (operator: OperatorProcess) => operator.metric("secretsync_kubernetes_writes_total");

/** A minute in which nothing changes. */
async function steady({ aws }: Bench, operator: OperatorProcess, size: number): Promise<void> {
  await sleep(5_000);
  const before = { cpu: cpuSeconds(operator), writes: await writesOf(operator), calls: aws.callCount };
  await step("a minute of steady state", () => sleep(60_000));
  note(
    "steady state at 30 s: CPU",
    size,
    cpuSeconds(operator) - before.cpu,
    size === 1000 ? 1 : undefined,
    "CPU-s/min",
  );
  note("steady state at 30 s: writes", size, (await writesOf(operator)) - before.writes, 0, "writes/min");
  note(
    "steady state: provider calls for each refresh",
    size,
    (aws.callCount - before.calls) / 2,
    size === 1000 ? 10 : undefined,
    "calls",
  );
}

/** A rotation that the operator is told of by the requestedAt annotation, as an event would. */
async function change({ api, aws }: Bench, operator: OperatorProcess, size: number): Promise<void> {
  const times: number[] = [];
  const writes = await writesOf(operator);
  const rounds = 100;
  await step(`${rounds} rotations, one by one`, async () => {
    for (let round = 0; round < rounds; round++) {
      const index = (round * 37) % size;
      aws.put(`bench/secret-${index}`, JSON.stringify({ password: `rotated-${round}` }));
      const versionBefore = (await secretOf(api, `sync-${index}`, namespaceOf(index)))?.metadata
        .resourceVersion;
      const since = performance.now();
      await api.apply(
        resources.secretSync,
        {
          metadata: {
            name: `sync-${index}`,
            namespace: namespaceOf(index),
            annotations: { "reconcile.secretsync.dev/requestedAt": String(round) },
          },
        },
        { fieldManager: "bench", force: true },
        signal,
      );
      await until(
        "the Secret has changed",
        async () =>
          (await secretOf(api, `sync-${index}`, namespaceOf(index)))?.metadata.resourceVersion !==
          versionBefore,
        { everyMs: 1 },
      );
      times.push(performance.now() - since);
    }
  });
  await sleep(500);
  note("event to Secret written, p50", size, percentile(times, 50), 50, "ms");
  note("event to Secret written, p99", size, percentile(times, 99), 250, "ms");
  const events = await operator.metric("secretsync_kubernetes_writes_total", { kind: "Event" });
  note(
    "writes for each change (without its event)",
    size,
    ((await writesOf(operator)) - writes - events) / rounds,
    2,
    "writes",
  );
}

async function newObject({ api, aws }: Bench, _operator: OperatorProcess, size: number): Promise<void> {
  const create = async (index: number): Promise<number> => {
    const name = `new-${index}`;
    aws.put(`bench/secret-${index}`, JSON.stringify({ password: "new" }));
    const since = performance.now();
    await api.create(resources.secretSync, syncOf(index, "1h", name), signal);
    await until(
      "the Secret is written",
      async () => (await secretOf(api, name, namespaceOf(index))) !== undefined,
      { everyMs: 1 },
    );
    return performance.now() - since;
  };
  const alone: number[] = [];
  await step("50 new objects, one by one", async () => {
    for (let index = 0; index < 50; index++) alone.push(await create(size + index));
  });
  note("new object to Secret written, alone, p50", size, percentile(alone, 50), 35, "ms");
  const busy: number[] = [];
  await step("new objects while all others refresh", async () => {
    const ends = performance.now() + 35_000;
    for (let index = 100; performance.now() < ends; index++) {
      busy.push(await create(size + index));
      await sleep(100);
    }
  });
  note("new object to Secret written, during a refresh of all, p99", size, percentile(busy, 99), 1000, "ms");
}

/** Somebody deletes a Secret. */
async function drift({ api }: Bench, size: number): Promise<void> {
  const times: number[] = [];
  await step("20 deleted Secrets, one by one", async () => {
    for (let index = 0; index < 20; index++) {
      const [name, namespace] = [`sync-${index}`, namespaceOf(index)];
      const uid = (await secretOf(api, name, namespace))?.metadata.uid ?? "";
      const since = performance.now();
      await api.delete(resources.secret, name, namespace, { uid }, signal);
      await until(
        "the Secret is back",
        async () => ![uid, undefined].includes((await secretOf(api, name, namespace))?.metadata.uid),
        { everyMs: 1 },
      );
      times.push(performance.now() - since);
    }
  });
  note("deleted Secret to its return, p99", size, percentile(times, 99), 1000, "ms");
}

/** Rotations of secrets that a workload consumes. */
async function restarts({ api, aws }: Bench, operator: OperatorProcess, size: number): Promise<void> {
  const count = 20;
  const get = (index: number) =>
    api.get<WorkloadObject>(resources.Deployment, `app-${index}`, namespaceOf(index), signal);
  await step(`${count} Deployments are adopted`, async () => {
    for (let index = 0; index < count; index++) {
      const labels = { app: `app-${index}` };
      const env = [{ name: "P", valueFrom: { secretKeyRef: { name: `sync-${index}`, key: "password" } } }];
      const template = { metadata: { labels }, spec: { containers: [{ name: "c", image: "i", env }] } };
      await api.create(
        resources.Deployment,
        {
          metadata: { name: `app-${index}`, namespace: namespaceOf(index) },
          spec: { replicas: 0, selector: { matchLabels: labels }, template },
        } as KubeObject,
        signal,
      );
      await until(
        "it is adopted",
        async () => (await get(index))?.metadata.annotations?.["secretsync.dev/consumed"] !== undefined,
        { everyMs: 5 },
      );
    }
  });
  const before =
    (await writesOf(operator)) -
    (await operator.metric("secretsync_kubernetes_writes_total", { kind: "Event" }));
  const times: number[] = [];
  await step(`${count} rotations with a restart, one by one`, async () => {
    for (let index = 0; index < count; index++) {
      aws.put(`bench/secret-${index}`, JSON.stringify({ password: `restarted-${index}` }));
      const since = performance.now();
      await api.apply(
        resources.secretSync,
        {
          metadata: {
            name: `sync-${index}`,
            namespace: namespaceOf(index),
            annotations: { "reconcile.secretsync.dev/requestedAt": `restart-${index}` },
          },
        },
        { fieldManager: "bench", force: true },
        signal,
      );
      const stamp = async () =>
        (await get(index))?.spec?.template?.metadata?.annotations?.["secretsync.dev/restarted-for"];
      await until("it is restarted", async () => (await stamp()) !== undefined, { everyMs: 1 });
      times.push(performance.now() - since);
    }
  });
  await sleep(500);
  const after =
    (await writesOf(operator)) -
    (await operator.metric("secretsync_kubernetes_writes_total", { kind: "Event" }));
  note("event to rollout, p50", size, percentile(times, 50), undefined, "ms");
  note(
    "writes for each change with one workload (without its events)",
    size,
    (after - before) / count,
    3,
    "writes",
  );
}

/** The provider is away until every object has noticed, and comes back. */
async function outage({ aws }: Bench, operator: OperatorProcess, size: number): Promise<void> {
  const ready = () => operator.metric("secretsync_objects", { ready: "true" });
  const all = await ready();
  aws.fault = () => ({ kind: "error", status: 503, type: "ServiceUnavailable" });
  await step("an outage of the provider, until everybody has noticed", () =>
    until("nobody is ready but those who aren't refreshed", async () => all - (await ready()) >= size, {
      timeoutMs: 600_000,
      everyMs: 1_000,
    }),
  );
  const calls = aws.callCount;
  await step("ten more seconds of it", () => sleep(10_000));
  note("provider calls during an outage", size, (aws.callCount - calls) / 10, 1.1, "calls/s");
  aws.fault = () => undefined;
  const since = performance.now();
  await step("its return", () =>
    until("all are ready again", async () => (await ready()) >= all, { timeoutMs: 600_000, everyMs: 250 }),
  );
  note("return of the provider to all objects ready", size, (performance.now() - since) / 1000, 30, "s");
}

/** How long the operator stands still for payloads that are as large and as deep as an enemy can make them. */
async function badPayloads({ api, aws }: Bench, operator: OperatorProcess, size: number): Promise<void> {
  const payloads: Readonly<Record<string, string>> = {
    deep: '{"a":'.repeat(30_000) + "1" + "}".repeat(30_000),
    wide: JSON.stringify(
      Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`key-${index}`, "v"])),
    ),
    large: JSON.stringify({ value: "x".repeat(1_100_000) }),
    names: JSON.stringify({ ["../".repeat(20_000)]: "x" }),
    broken: `{"a": ${"[1,".repeat(20_000)}`,
    numbers: JSON.stringify({ n: "9".repeat(60_000) })
      .replaceAll('"9', "9")
      .replaceAll('9"', "9"),
  };
  // The histogram starts anew with each scrape.
  await fetch(operator.metricsUrl);
  await step("payloads of an enemy", async () => {
    for (const [name, payload] of Object.entries(payloads)) {
      aws.put(`bench/bad-${name}`, payload);
      const sync = {
        metadata: { name: `bad-${name}`, namespace: namespaceOf(0) },
        spec: {
          providerRef: { kind: "ClusterSecretProvider", name: "bench" },
          dataFrom: [
            {
              extract: { key: `bench/bad-${name}` },
              rewrite: [{ regexp: { source: "(([a-z./-])+.)+[A-Z]([a-z])+$", target: "x" } }],
            },
          ],
        },
      };
      await api.create(resources.secretSync, sync, signal);
      await until("it has a verdict", async () => {
        const object = await api.get<KubeObject & { status?: { conditions?: unknown[] } }>(
          resources.secretSync,
          sync.metadata.name,
          sync.metadata.namespace,
          signal,
        );
        return (object?.status?.conditions?.length ?? 0) > 0;
      });
    }
  });
  const lag = await operator.metric("nodejs_eventloop_lag_max_seconds");
  // The metric is the time between two ticks of a timer, so it holds the timer's own interval.
  const standStill = lag * 1000 - LAG_INTERVAL_MS;
  note("longest stand-still for payloads of an enemy", size, standStill, 100, "ms");
}

const secretOf = (api: KubeApi, name: string, namespace: string) =>
  api.get<KubeObject>(resources.secret, name, namespace, signal);

function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil((percent / 100) * sorted.length) - 1)] ?? NaN;
}

const procFile = (operator: OperatorProcess, file: string) =>
  readFileSync(`/proc/${operator.child.process.pid}/${file}`, "utf8");
const rss = (operator: OperatorProcess): number =>
  Number(/VmRSS:\s+(\d+)/.exec(procFile(operator, "status"))?.[1]) / 1024;
/** User and system time: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
function cpuSeconds(operator: OperatorProcess): number {
  const fields = procFile(operator, "stat").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function report(): void {
  const rows = figures.map(({ name, size, value, goal, unit }) => {
    const met = goal === undefined ? "" : value <= goal ? "✔" : "✘";
    return `| ${name} | ${size ?? ""} | ${format(value)} ${unit} | ${goal === undefined ? "" : `≤ ${goal}`} | ${met} |`;
  });
  const table = ["| figure | objects | measured | goal | |", "|---|---:|---:|---:|---|", ...rows].join("\n");
  process.stdout.write(`${table}\n`);
  if (only) return;
  const machine = `${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`;
  writeFileSync(
    "docs/benchmarks.md",
    `# Benchmarks\n\nWritten by \`make bench\` on ${machine}; the operator, a real kube-apiserver and etcd, and the AWS stand-in (${LATENCY_MS} ms a call) share those cores. For machines: [benchmarks.json](benchmarks.json). What bounds the figures: [decision 16](decisions/0016-what-bounds-the-figures.md).\n\n${table}\n`,
  );
  writeFileSync("docs/benchmarks.json", `${JSON.stringify({ machine, figures }, null, 2)}\n`);
}

await main();
