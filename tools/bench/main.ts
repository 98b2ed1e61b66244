/**
 * `make bench`: the operator against its goals, on a real control plane and an AWS stand-in that takes 10 ms for
 * each call. Prints a table and writes docs/benchmarks.md and docs/benchmarks.json.
 * For less, which writes no figures: BENCH_SIZES=1000, BENCH_ONLY=cold, steady, attacks or simulation,
 * BENCH_SIMULATED=10000.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { KubeConfig } from "@kubernetes/client-node";
import { newKubeApi } from "../../src/kube/rest-kube-api.ts";
import { resources } from "../../src/kube/resources.ts";
import { newTransport } from "../../src/kube/transport.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { startCluster } from "../../test/cluster/cluster.ts";
import { AwsStandIn } from "../../test/support/aws-stand-in.ts";
import { installCrds } from "../../test/support/crds.ts";
import type { OperatorProcess } from "../../test/support/operator.ts";
import { step } from "../../test/support/progress.ts";
import { packOperatorImage } from "../image/operator-image.ts";
import { longestTurn, underAttack } from "./attacks.ts";
import { change, drift, newObject, restarts } from "./changes.ts";
import { note, report } from "./figures.ts";
import { LATENCY_MS, prepare, type Bench } from "./objects.ts";
import { IMAGE_FLAGS, rss } from "./operator.ts";
import { Sight } from "./sight.ts";
import { ceiling, coldStart, idle } from "./start.ts";
import type { SimulationFigures } from "./simulation.ts";
import { steady } from "./steady.ts";
import { badPayloads, outage } from "./trouble.ts";

const sizes = (process.env["BENCH_SIZES"] ?? "1000,10000").split(",").map(Number);
/** cold or steady: nothing that comes after it. attacks or simulation: only these. */
const only = process.env["BENCH_ONLY"];

const SIMULATED = (process.env["BENCH_SIMULATED"] ?? "10000,100000").split(",").map(Number);

/** What a pull transfers. */
async function image(): Promise<void> {
  const { compressedBytes } = await step("pack the image", () => Promise.resolve(packOperatorImage()));
  note("image to pull", undefined, compressedBytes / 2 ** 20, undefined, "MiB");
}

async function main(): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), "secretsync-bench-"));
  try {
    if (only !== "attacks" && only !== "simulation") {
      await image();
      for (const size of sizes) await benchSize(folder, size);
    }
    if (only === undefined || only === "attacks") await benchAttacks(folder);
    if (only === undefined || only === "simulation")
      for (const size of SIMULATED) await benchSimulation(size);
  } finally {
    if (!process.env["BENCH_KEEP"]) rmSync(folder, { recursive: true, force: true });
  }
  report({ whole: only === undefined && sizes.length > 1 });
}

async function benchAttacks(folder: string): Promise<void> {
  process.stderr.write("\n▸ a tenant attacks\n");
  longestTurn();
  const cluster = await startCluster({ node: false, builtin: true });
  try {
    const kubectl = promisify(execFile);
    await installCrds((...args) => kubectl(cluster.kubectl, ["--kubeconfig", cluster.kubeconfig, ...args]));
    await underAttack(cluster, folder);
  } finally {
    await cluster.stop();
  }
}

/** More objects than a real control plane can be given here; in a process of its own, with the flags of the image. */
async function benchSimulation(size: number): Promise<void> {
  process.stderr.write(`\n▸ ${size} objects, simulated\n`);
  const args = [...IMAGE_FLAGS, "tools/bench/simulation.ts", String(size)];
  const { stdout } = await step("fill, refresh, add one and scrape", () =>
    promisify(execFile)(process.execPath, args),
  );
  const figures = JSON.parse(stdout) as SimulationFigures;
  note("simulated: all Secrets written", size, figures.coldSeconds, undefined, "s");
  note("simulated: CPU of a refresh of all", size, figures.refreshCpuSeconds, 60, "CPU-s");
  note("simulated: provider calls for each refresh", size, figures.refreshCalls, undefined, "calls");
  note("simulated: new object to Secret written, during a refresh", size, figures.newObjectMs, 1_000, "ms");
  note("simulated: memory, cluster and store included", size, figures.memoryMiB, 1_024, "MiB");
  const goal = size <= 10_000 ? 20 : 50;
  note(
    "simulated: longest turn while each object's metrics are scraped",
    size,
    figures.scrapeTurnMs,
    goal,
    "ms",
  );
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
    const kubectl = promisify(execFile);
    await installCrds((...args) => kubectl(cluster.kubectl, ["--kubeconfig", cluster.kubeconfig, ...args]));
    await scenarios(bench, size);
  } finally {
    transport.close();
    await aws.stop();
    await cluster.stop();
  }
}

async function scenarios(bench: Bench, size: number): Promise<void> {
  await prepare(bench, size);
  await ceiling(bench, size);
  if (size === sizes[0]) await idle(bench);
  const operator = await coldStart(bench, size);
  if (only !== "cold") await steady(bench, operator, size);
  if (only === undefined) await afterwards(bench, operator, size);
  else note("memory", size, rss(operator), undefined, "MiB");
  await operator.stop();
}

async function afterwards(bench: Bench, operator: OperatorProcess, size: number): Promise<void> {
  const secrets = await Sight.open(bench.api, resources.secret, { metadataOnly: true });
  await change(bench, secrets, operator, size);
  await newObject(bench, secrets, size);
  await drift(bench, secrets, size);
  secrets.close();
  await restarts(bench, operator, size);
  note("memory", size, rss(operator), size === 1000 ? 110 : size === 10_000 ? 180 : undefined, "MiB");
  if (size === sizes[0]) {
    await badPayloads(bench, operator, size);
    await outage(bench, operator, size);
  }
}

await main();
