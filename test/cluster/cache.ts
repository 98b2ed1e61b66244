import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Where built tools are kept between runs: the user's cache folder. */
export const cacheFolder = path.join(
  process.env["XDG_CACHE_HOME"] || path.join(homedir(), ".cache"),
  "secretsync",
);

const HOLDER = "pid";
const SAY_AFTER_MS = 5_000;

/**
 * One builder at a time for a name, across processes. The lock is a folder that appears with its holder's name in it, and
 * one whose holder is gone (an interrupted build) is taken away by exactly one of those who wait.
 */
export async function withLock<T>(name: string, work: () => Promise<T>, folder = cacheFolder): Promise<T> {
  const lock = path.join(folder, `${name}.lock`);
  const since = performance.now();
  let said = false;
  while (!tryLock(lock)) {
    if (!isAlive(path.join(lock, HOLDER))) discard(lock);
    else {
      if (!said && performance.now() - since > SAY_AFTER_MS) {
        said = true;
        process.stderr.write(`waiting for another process that builds ${name} (${lock})\n`);
      }
      await sleep(200);
    }
  }
  try {
    return await work();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

/** A name beside the path that nobody else has. */
const privateName = (beside: string): string => `${beside}.${process.pid}-${randomBytes(4).toString("hex")}`;

function tryLock(lock: string): boolean {
  const mine = privateName(lock);
  mkdirSync(mine, { recursive: true });
  writeFileSync(path.join(mine, HOLDER), whoIs(process.pid) ?? "");
  try {
    renameSync(mine, lock);
    return true;
  } catch (error) {
    rmSync(mine, { recursive: true, force: true });
    if (["ENOTEMPTY", "EEXIST", "EPERM"].includes((error as NodeJS.ErrnoException).code ?? "")) return false;
    throw error;
  }
}

/** Of many who try only one moves it away. */
function discard(lock: string): void {
  const gone = privateName(lock);
  try {
    renameSync(lock, gone);
  } catch {
    return;
  }
  rmSync(gone, { recursive: true, force: true });
}

/** Makes a folder whole or not at all: it appears under its name when the work is done. */
export async function makeWhole(folder: string, work: (partial: string) => Promise<void>): Promise<void> {
  const partial = privateName(`${folder}.partial`);
  mkdirSync(partial, { recursive: true });
  try {
    await work(partial);
    renameSync(partial, folder);
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    throw error;
  }
}

/** The process that a file names, by pid and start time; undefined when it is gone. A pid alone may be somebody else's by now. */
export function livingProcess(file: string): number | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8").trim();
  } catch {
    return undefined;
  }
  const pid = Number(text.split(" ")[0]);
  return pid > 0 && whoIs(pid) === text ? pid : undefined;
}

export const isAlive = (file: string): boolean => livingProcess(file) !== undefined;

/** pid and start time: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html; undefined when there is no such process. */
export function whoIs(pid: number): string | undefined {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return undefined;
  }
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
    return fields[0] === "Z" ? undefined : `${pid} ${fields[19]}`;
  } catch {
    // Not Linux.
    return String(pid);
  }
}
