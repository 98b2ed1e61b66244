import { readFileSync } from "node:fs";
import path from "node:path";
import { awsEnvironment } from "../../test/support/aws.ts";
import { startOperator, type OperatorProcess } from "../../test/support/operator.ts";
import type { Bench } from "./objects.ts";

/** The operator under test, and what can be told of its process. */

export const IMAGE_FLAGS: readonly string[] = (
  process.env["BENCH_NODE_ARGS"] ?? "--max-semi-space-size=4 --optimize-for-size"
).split(" ");

export const start = (bench: Bench, leading = true): Promise<OperatorProcess> =>
  startOperator({
    kubeconfig: bench.kubeconfig,
    logFile: path.join(bench.folder, `operator-${performance.now()}.log`),
    // As in the image.
    env: { ...awsEnvironment(bench.endpoint), MALLOC_ARENA_MAX: "2" },
    nodeArgs: IMAGE_FLAGS,
    args: ["--log-level=info", "--metrics-per-object=false"],
    leading,
  });

export const writesOf = (operator: OperatorProcess) => operator.metric("secretsync_kubernetes_writes_total");

/** Writes so far, without those of events, which are written beside the work. */
export const ownWrites = async (operator: OperatorProcess) =>
  (await writesOf(operator)) -
  (await operator.metric("secretsync_kubernetes_writes_total", { kind: "Event" }));

const procFile = (operator: OperatorProcess, file: string) =>
  readFileSync(`/proc/${operator.child.process.pid}/${file}`, "utf8");
export const rss = (operator: OperatorProcess): number =>
  Number(/VmRSS:\s+(\d+)/.exec(procFile(operator, "status"))?.[1]) / 1024;
/** User and system time: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
export function cpuSeconds(operator: OperatorProcess): number {
  const fields = procFile(operator, "stat").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
