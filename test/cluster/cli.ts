/**
 * `up` starts a cluster in the background and prints its kubeconfig's path as the last line; `down` ends it. The
 * cluster belongs to a supervisor process, and ends with it.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { until } from "../support/wait.ts";
import { cacheFolder } from "./cache.ts";
import { startCluster } from "./cluster.ts";

const stateFile = path.join(cacheFolder, "cluster.json");
const logFile = path.join(cacheFolder, "cluster.log");
interface State {
  pid: number;
  kubeconfig?: string;
  problem?: string;
}

const readState = (): State | undefined =>
  existsSync(stateFile) ? (JSON.parse(readFileSync(stateFile, "utf8")) as State) : undefined;
const isRunning = (state: State | undefined): state is State => {
  if (!state) return false;
  try {
    process.kill(state.pid, 0);
    return true;
  } catch {
    return false;
  }
};

const commands: Record<string, () => Promise<void>> = {
  async up() {
    mkdirSync(cacheFolder, { recursive: true });
    if (!isRunning(readState())) {
      rmSync(stateFile, { force: true });
      // Progress of long builds belongs on this terminal.
      const log = process.stderr.isTTY ? "inherit" : openSync(logFile, "a");
      const child = spawn(process.execPath, [import.meta.filename, "supervise"], {
        detached: true,
        stdio: ["ignore", log, log],
      });
      child.unref();
    }
    const state = await until(
      "the cluster is up",
      () => {
        const now = readState();
        return now?.kubeconfig !== undefined || now?.problem !== undefined ? now : false;
      },
      { timeoutMs: 45 * 60_000, everyMs: 200 },
    );
    if (state.problem !== undefined) throw new Error(state.problem);
    process.stdout.write(`${state.kubeconfig}\n`);
  },

  async down() {
    const state = readState();
    if (!isRunning(state)) {
      process.stderr.write("no cluster is up\n");
      return;
    }
    process.kill(state.pid, "SIGTERM");
    await until("the cluster is down", () => !isRunning(state), { timeoutMs: 60_000 });
    rmSync(stateFile, { force: true });
  },

  async supervise() {
    writeFileSync(stateFile, JSON.stringify({ pid: process.pid }));
    try {
      const cluster = await startCluster();
      const stop = () => {
        void cluster.stop().finally(() => process.exit(0));
      };
      for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.once(signal, stop);
      writeFileSync(stateFile, JSON.stringify({ pid: process.pid, kubeconfig: cluster.kubeconfig }));
      setInterval(() => undefined, 1 << 30);
    } catch (error) {
      writeFileSync(stateFile, JSON.stringify({ pid: process.pid, problem: (error as Error).message }));
      process.exitCode = 1;
    }
  },
};

const command = commands[process.argv[2] ?? ""];
if (!command) throw new Error("usage: cli.ts up | down");
await command();
