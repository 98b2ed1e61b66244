/**
 * The engine with very many objects, in a simulated cluster with a simulated store: what the operator itself takes. Runs in a
 * process of its own, with the image's flags, and prints its figures as JSON: `node tools/bench/simulation.ts 100000`.
 */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { parseOptions } from "../../src/options.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { noTracing } from "../../src/telemetry/tracing.ts";
import { wire } from "../../src/wire/operator.ts";
import { noLogger } from "../../test/support/no-logger.ts";
import { namespaceOf, SimulatedCluster, SimulatedStore } from "./simulated-cluster.ts";

export interface SimulationFigures {
  readonly coldSeconds: number;
  readonly memoryMiB: number;
  /** Of one refresh of all objects. */
  readonly refreshCpuSeconds: number;
  readonly refreshCalls: number;
  readonly newObjectMs: number;
  /** Longest turn of the event loop while the metrics of each object are scraped. */
  readonly scrapeTurnMs: number;
}

const simulatedAws = { problemOf: () => undefined, credentials: () => [], target: () => "" };
const unused = () => Promise.reject(new Error("no provider of the simulation names it"));

const REFRESH_MS = 30_000;
const SETTLE_MS = 1_000;

async function simulate(size: number): Promise<SimulationFigures> {
  const seen = new Map<string, number>();
  let count = 0;
  const cluster = new SimulatedCluster(size, (key) => {
    if (++count > size) seen.set(key, performance.now());
  });
  const store = new SimulatedStore(size + 10);
  const parsed = parseOptions(
    ["--leader-elect=false", "--metrics-bind-address=127.0.0.1:0", "--health-probe-bind-address=0"],
    {},
  );
  if (parsed.kind !== "options") throw new Error("the simulation's own options are wrong");
  let port: number | undefined;
  const operator = wire({
    options: parsed.options,
    version: "simulation",
    apiWith: () => cluster.api,
    clock: systemClock,
    random: Math.random,
    randomBytes,
    log: { ...noLogger, info: (fields: { metricsPort?: number }) => (port ??= fields.metricsPort) },
    tracing: noTracing,
    namespace: "secretsync-system",
    identity: "simulation",
    catalog: {
      aws: () => Promise.resolve({ ...simulatedAws, connect: () => store }),
      kubernetes: unused,
      file: unused,
    },
    memoryBytes: 2 ** 30,
  });
  const stop = new AbortController();
  const since = performance.now();
  const running = operator.run(stop.signal);
  await until(() => count >= size);
  const coldSeconds = (performance.now() - since) / 1000;
  // What the start has left behind is no part of a refresh, nor is what it makes due in its first interval.
  await sleep(1.5 * REFRESH_MS);
  const before = { cpu: process.cpuUsage(), calls: store.calls };
  await sleep(2 * REFRESH_MS);
  const { user, system } = process.cpuUsage(before.cpu);
  const refreshCalls = (store.calls - before.calls) / 2;
  const memoryMiB = process.memoryUsage().rss / 2 ** 20;
  const { listedAt } = store;
  await until(() => store.listedAt > listedAt);
  const createdAt = performance.now();
  cluster.create(size);
  const key = `${namespaceOf(size)}/sync-${size}`;
  await until(() => seen.has(key), 1);
  const newObjectMs = (seen.get(key) ?? NaN) - createdAt;
  const scrapeTurnMs = await longestTurnDuring(() => scrape(`http://127.0.0.1:${port}/metrics`));
  stop.abort();
  await running;
  return {
    coldSeconds,
    memoryMiB,
    refreshCpuSeconds: (user + system) / 2e6,
    refreshCalls,
    newObjectMs,
    scrapeTurnMs,
  };
}

/** By another process, since reading the text takes turns, too; it begins a while after it was started, which also takes one. */
async function scrape(url: string): Promise<void> {
  const ask = `
    await new Promise((resolve) => setTimeout(resolve, ${2 * SETTLE_MS}));
    const text = await (await fetch(${JSON.stringify(url)})).text();
    console.log(text.includes("secretsync_object_ready{"));`;
  const args = ["--input-type=module", "-e", ask];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  if (stdout !== "true\n") throw new Error("the scrape tells of no object");
}

async function longestTurnDuring(work: () => Promise<void>): Promise<number> {
  // What is loaded and compiled at the first time is no part of it.
  await work();
  const working = work();
  await sleep(SETTLE_MS);
  let longest = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }, 1);
  await working;
  clearInterval(timer);
  return longest;
}

async function until(isTrue: () => boolean, everyMs = 20): Promise<void> {
  while (!isTrue()) await sleep(everyMs);
}

process.stdout.write(`${JSON.stringify(await simulate(Number(process.argv[2])))}\n`);
process.exit(0);
