/**
 * `up` starts a cluster in the background and prints its kubeconfig's path as the last line; `down` ends it. The
 * cluster belongs to a supervisor process, and ends with it.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { atEnd, end } from "../support/at-end.ts";
import { Fatal, until } from "../support/wait.ts";
import { cacheFolder, isAlive, livingProcess, whoIs, withLock } from "./cache.ts";
import { startCluster } from "./cluster.ts";
import { removeLeftovers } from "./node.ts";

const stateFile = path.join(cacheFolder, "cluster.json");
const holderFile = path.join(cacheFolder, "cluster.pid");
const logFile = path.join(cacheFolder, "cluster.log");
interface State {
  kubeconfig?: string;
  problem?: string;
}

const readState = (): State =>
  existsSync(stateFile) ? (JSON.parse(readFileSync(stateFile, "utf8")) as State) : {};
const writeState = (state: State): void => writeFileSync(stateFile, JSON.stringify(state));

const commands: Record<string, () => Promise<void>> = {
  async up() {
    const kubeconfig = await withLock("cluster-up", async () => {
      if (!isAlive(holderFile)) supervisor();
      return until("the cluster is up", started, { timeoutMs: 45 * 60_000, everyMs: 200 });
    });
    process.stdout.write(`${kubeconfig}\n`);
  },

  async down() {
    const pid = livingProcess(holderFile);
    // Also what one that was killed has left behind.
    if (process.platform === "linux" && process.getuid?.() === 0) await removeLeftovers();
    if (pid === undefined) {
      process.stderr.write("no cluster is up\n");
      return;
    }
    process.kill(pid, "SIGTERM");
    await until("the cluster is down", () => !isAlive(holderFile), { timeoutMs: 60_000 });
    for (const file of [stateFile, holderFile]) rmSync(file, { force: true });
  },

  async supervise() {
    try {
      const cluster = await startCluster();
      atEnd(() => cluster.stop());
      writeState({ kubeconfig: cluster.kubeconfig });
      setInterval(() => undefined, 1 << 30);
    } catch (error) {
      writeState({ problem: (error as Error).message });
      process.exitCode = 1;
    }
  },
};

/** In the background; progress of long builds belongs on this terminal. */
function supervisor(): void {
  mkdirSync(cacheFolder, { recursive: true });
  rmSync(stateFile, { force: true });
  const log = process.stderr.isTTY ? "inherit" : openSync(logFile, "a");
  const child = spawn(process.execPath, [import.meta.filename, "supervise"], {
    detached: true,
    stdio: ["ignore", log, log],
  });
  writeFileSync(holderFile, whoIs(child.pid ?? 0) ?? "");
  // Who gives up waiting wants no cluster.
  atEnd(() => child.kill("SIGTERM"));
  child.unref();
}

function started(): string | false {
  const { kubeconfig, problem } = readState();
  if (problem !== undefined) throw new Fatal(problem);
  if (kubeconfig === undefined && !isAlive(holderFile)) throw new Fatal(`it ended; ${logFile} tells why`);
  return kubeconfig ?? false;
}

const command = commands[process.argv[2] ?? ""];
if (!command) throw new Error("usage: cli.ts up | down");
try {
  await command();
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  await end(1);
}
