import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { MemoryLimit } from "./memory-limit.ts";
import { startChild, untilChild, type Child } from "./children.ts";
import { until } from "./wait.ts";

/** The operator as users run it: the bundle, as a process of its own. */
export interface OperatorProcess {
  readonly child: Child;
  readonly metricsUrl: string;
  readonly probesUrl: string;
  /** Lines of its JSON log. */
  logs(): readonly Readonly<Record<string, unknown>>[];
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>;
  /** SIGKILL: a crash. */
  kill(): Promise<void>;
  stop(): Promise<void>;
}

export const bundle = path.resolve(import.meta.dirname, "../../dist/operator.mjs");

export async function startOperator(options: {
  kubeconfig: string;
  logFile: string;
  env?: Readonly<Record<string, string>>;
  args?: readonly string[];
  nodeArgs?: readonly string[];
  /** It runs in there, as in a container. */
  memoryLimit?: MemoryLimit | undefined;
  /** Waits until it leads and works. */
  leading?: boolean;
}): Promise<OperatorProcess> {
  if (!existsSync(bundle)) throw new Error("dist/operator.mjs is missing: run make build");
  const args = [
    ...(options.nodeArgs ?? []),
    bundle,
    "--metrics-bind-address=127.0.0.1:0",
    "--health-probe-bind-address=127.0.0.1:0",
    "--log-level=trace",
    ...(options.args ?? []),
  ];
  const env = { ...process.env, ...options.env, KUBECONFIG: options.kubeconfig };
  const enter = options.memoryLimit?.enter;
  const [command, commandArgs] = enter
    ? ["/bin/sh", ["-c", `${enter}; exec "$0" "$@"`, process.execPath, ...args]]
    : [process.execPath, args];
  const child = startChild("operator", command, commandArgs, { logFile: options.logFile, env });
  const logs = () =>
    readFileSync(options.logFile, "utf8")
      .split("\n")
      // Behind the last newline is nothing, or a line that is only half written.
      .slice(0, -1)
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const said = (message: string) => logs().find(({ msg }) => msg === message);
  const started = await untilChild(child, "the operator started", () => said("started"));
  if (options.leading ?? true)
    await untilChild(child, "the operator leads", () => said("leading") !== undefined, { timeoutMs: 40_000 });
  const metricsUrl = `http://127.0.0.1:${String(started["metricsPort"])}/metrics`;
  return {
    child,
    metricsUrl,
    probesUrl: `http://127.0.0.1:${String(started["probesPort"])}`,
    logs,
    async metric(name, labels = {}) {
      const text = await (await fetch(metricsUrl)).text();
      return sumOf(text, name, labels);
    },
    async kill() {
      child.process.kill("SIGKILL");
      await until("the operator is gone", () => child.exited);
    },
    async stop() {
      // A last look at its metrics, for the scan that comes after the tests.
      const metrics = await fetch(metricsUrl).then(
        (answer) => answer.text(),
        () => "",
      );
      writeFileSync(`${options.logFile}.metrics`, metrics);
      await child.stop(30_000);
    },
  };
}

/** Sum over all series of a metric that carry the labels; of one that the exposition doesn't have, an error. */
export function sumOf(exposition: string, name: string, labels: Readonly<Record<string, string>>): number {
  const family = exposition.includes(`# TYPE ${name} `) ? name : name.replace(/_(count|sum|bucket)$/, "");
  if (!exposition.includes(`# TYPE ${family} `)) throw new Error(`there is no metric ${name}`);
  return exposition
    .split("\n")
    .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
    .filter((line) => Object.entries(labels).every(([key, value]) => line.includes(`${key}="${value}"`)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
}
