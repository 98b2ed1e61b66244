import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { isAlive, livingProcess, makeWhole, whoIs, withLock } from "../cluster/cache.ts";
import { until } from "../support/wait.ts";

/** The cache of built tools: builds that are interrupted, and builds side by side. */

let folder: string;
const children: ChildProcess[] = [];
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "secretsync-cache-"));
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

/** Another process that runs a script with the cache's functions. */
function other(script: string): ChildProcess {
  const source = `
    import { makeWhole, withLock } from ${JSON.stringify(path.resolve("test/cluster/cache.ts"))};
    import { appendFileSync, existsSync, writeFileSync } from "node:fs";
    import { setTimeout as sleep } from "node:timers/promises";
    const folder = ${JSON.stringify(folder)};
    ${script}`;
  const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", source], {
    stdio: "inherit",
    env: { ...process.env, NODE_OPTIONS: "" },
  });
  children.push(child);
  return child;
}
const log = () => readFileSync(path.join(folder, "log"), "utf8").trim().split("\n");

describe("builds side by side", () => {
  it("of one tool are made by one process, and the others find it", async () => {
    const build = `
      await withLock("tool", async () => {
        if (existsSync(folder + "/tool")) return;
        appendFileSync(folder + "/log", "build\\n");
        await makeWhole(folder + "/tool", async (partial) => {
          writeFileSync(partial + "/a", "1");
          await sleep(100);
          writeFileSync(partial + "/b", "2");
        });
      }, folder);`;
    const ends = Array.from({ length: 4 }, () => once(other(build), "exit"));
    expect((await Promise.all(ends)).map(([code]) => code as number)).toEqual([0, 0, 0, 0]);
    expect(log()).toEqual(["build"]);
    expect(readdirSync(path.join(folder, "tool")).sort()).toEqual(["a", "b"]);
    expect(readdirSync(folder).sort()).toEqual(["log", "tool"]);
  }, 30_000);
});

describe("a build that was killed", () => {
  it("leaves nothing that looks built, and its lock to exactly one of those who wait", async () => {
    const killed = other(`
      await withLock("tool", () => makeWhole(folder + "/tool", async (partial) => {
        writeFileSync(partial + "/half", "");
        writeFileSync(folder + "/begun", "");
        await sleep(60_000);
      }), folder);`);
    await until("it builds", () => existsSync(path.join(folder, "begun")));
    let isDone = false;
    const waiting = withLock("tool", () => Promise.resolve(void (isDone = true)), folder);
    killed.kill("SIGKILL");
    await once(killed, "exit");
    await waiting;
    expect(isDone).toBe(true);
    expect(existsSync(path.join(folder, "tool"))).toBe(false);
    let running = 0;
    const crowd = Array.from({ length: 10 }, () =>
      withLock(
        "tool",
        async () => {
          expect(++running).toBe(1);
          await new Promise((resolve) => setImmediate(resolve));
          running--;
        },
        folder,
      ),
    );
    await Promise.all(crowd);
  }, 30_000);

  it("whose pid another process has by now holds nothing either", async () => {
    const lock = path.join(folder, "tool.lock");
    mkdirSync(lock);
    writeFileSync(path.join(lock, "pid"), `${process.pid} 1`);
    expect(isAlive(path.join(lock, "pid"))).toBe(false);
    await withLock("tool", () => Promise.resolve(), folder);
  });

  it("fails as a whole when its work does", async () => {
    const target = path.join(folder, "tool");
    const work = () => Promise.reject(new Error("no compiler"));
    await expect(makeWhole(target, work)).rejects.toThrow("no compiler");
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe("a process", () => {
  it("is known by pid and start time, while it lives", async () => {
    const file = path.join(folder, "pid");
    const child = other("await sleep(60_000);");
    writeFileSync(file, whoIs(child.pid!)!);
    expect(livingProcess(file)).toBe(child.pid);
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(livingProcess(file)).toBeUndefined();
    expect(livingProcess(path.join(folder, "missing"))).toBeUndefined();
  });
});
