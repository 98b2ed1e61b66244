import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { randomBytes } from "node:crypto";
import path from "node:path";

/** A control group as a container has one: who takes more memory than that is killed. */
export interface MemoryLimit {
  /** What a shell runs, before it becomes the process that is limited. */
  readonly enter: string;
  /** Bytes that the processes in it had at most, caches of files included. */
  peak(): number;
  remove(): void;
}

/** undefined where this machine lets us make none: without root, or with control groups that are not ours. */
export function newMemoryLimit(bytes: number): MemoryLimit | undefined {
  const name = `secretsync-${randomBytes(4).toString("hex")}`;
  for (const { root, limit, peak } of versions) {
    const folder = path.join(root, name);
    try {
      mkdirSync(folder);
      writeFileSync(path.join(folder, limit), String(bytes));
      return {
        enter: `echo $$ > ${folder}/cgroup.procs`,
        peak: () => Number(readFileSync(path.join(folder, peak), "utf8")),
        remove() {
          try {
            rmdirSync(folder);
          } catch {
            // A process is still ending in it.
          }
        },
      };
    } catch {
      try {
        rmdirSync(folder);
      } catch {
        // It was never there.
      }
    }
  }
  return undefined;
}

/** https://docs.kernel.org/admin-guide/cgroup-v2.html, and version 1 before it. */
const versions = [
  { root: "/sys/fs/cgroup/memory", limit: "memory.limit_in_bytes", peak: "memory.max_usage_in_bytes" },
  { root: "/sys/fs/cgroup", limit: "memory.max", peak: "memory.peak" },
] as const;
