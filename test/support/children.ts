import { spawn, type ChildProcess } from "node:child_process";
import { accessSync, constants, openSync, readFileSync, closeSync } from "node:fs";
import { once } from "node:events";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Fatal, until } from "./wait.ts";

/**
 * Child processes that never outlive their parent: on Linux the kernel kills them with it (setpriv --pdeathsig),
 * everywhere stop() ends them.
 */

export interface Child {
  readonly name: string;
  readonly process: ChildProcess;
  readonly logFile: string;
  /** TERM, and KILL when it isn't gone in time. Resolves when it is gone. */
  stop(graceMs?: number): Promise<void>;
  readonly exited: boolean;
  /** The last lines of its log, for error messages. */
  tail(lines?: number): string;
}

export function onPath(command: string): string | undefined {
  for (const folder of [...(process.env["PATH"] ?? "").split(path.delimiter), "/usr/sbin", "/sbin"]) {
    const file = path.join(folder, command);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}

const setpriv = process.platform === "linux" ? onPath("setpriv") : undefined;

/** A command line whose process the kernel ends with this one, where it can. */
export const withParent = (command: string, args: readonly string[]): [string, string[]] =>
  setpriv ? [setpriv, ["--pdeathsig", "KILL", command, ...args]] : [command, [...args]];

export function startChild(
  name: string,
  command: string,
  args: readonly string[],
  options: { logFile: string; env?: NodeJS.ProcessEnv; cwd?: string },
): Child {
  const log = openSync(options.logFile, "a");
  const [file, argv] = withParent(command, args);
  const child = spawn(file, argv, {
    stdio: ["ignore", log, log],
    env: options.env ?? process.env,
    ...(options.cwd ? { cwd: options.cwd } : {}),
  });
  closeSync(log);
  const gone = once(child, "exit").catch(() => undefined);
  const isGone = () => child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
  return {
    name,
    process: child,
    logFile: options.logFile,
    get exited() {
      return isGone();
    },
    async stop(graceMs = 5_000) {
      if (isGone()) return;
      child.kill("SIGTERM");
      const timeout = new AbortController();
      await Promise.race([
        gone,
        sleep(graceMs, undefined, { signal: timeout.signal }).catch(() => undefined),
      ]);
      timeout.abort();
      if (!isGone()) {
        child.kill("SIGKILL");
        await gone;
      }
    },
    tail(lines = 15) {
      return readFileSync(options.logFile, "utf8").trimEnd().split("\n").slice(-lines).join("\n");
    },
  };
}

/** Waits for something of a child. When the child ends before, that is told at once, with the last lines of its log. */
export const untilChild: <T>(child: Child, ...wait: Parameters<typeof until<T>>) => Promise<T> = (
  child,
  what,
  check,
  options,
) =>
  until(
    what,
    () => {
      if (child.exited) throw new Fatal(`${child.name} ended before ${what}: ${child.tail()}`);
      return check();
    },
    options,
  );
