import { execFile } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { cacheFolder, withLock } from "../cluster/cache.ts";
import { onPath, startChild, untilChild, type Child } from "./children.ts";
import { freePorts } from "./ports.ts";
import { step } from "./progress.ts";

/** ministack, an emulator of AWS, from PyPI in a virtual environment of the cache: https://pypi.org/project/ministack/ */
const VERSION = "1.5.33";
const run = promisify(execFile);

async function ensureMinistack(): Promise<string> {
  const folder = path.join(cacheFolder, `ministack-${VERSION}`);
  const ready = path.join(folder, "ready");
  if (existsSync(ready)) return path.join(folder, "bin", "ministack");
  await withLock(path.basename(folder), async () => {
    if (existsSync(ready)) return;
    const python = onPath("python3");
    if (!python) throw new Error("python3 (3.10 or newer) is needed for the AWS emulator: install it");
    await step(`install ministack ${VERSION}`, async () => {
      rmSync(folder, { recursive: true, force: true });
      await run(python, ["-m", "venv", folder]).catch((error: unknown) => {
        throw new Error("python3 can't make a virtual environment: install python3-venv", { cause: error });
      });
      await run(path.join(folder, "bin", "pip"), ["install", "-q", `ministack==${VERSION}`], {
        maxBuffer: 1 << 26,
      });
      // Scripts hold absolute paths, so the folder can't be renamed; a marker tells that it is whole.
      mkdirSync(`${ready}.partial`, { recursive: true });
      renameSync(`${ready}.partial`, ready);
    });
  });
  return path.join(folder, "bin", "ministack");
}

export interface Ministack {
  readonly endpoint: string;
  readonly child: Child;
  stop(): Promise<void>;
}

export async function startMinistack(logFile: string): Promise<Ministack> {
  const program = await ensureMinistack();
  const [port] = (await freePorts(1)) as [number];
  const child = startChild("ministack", program, [], {
    logFile,
    env: { ...process.env, BIND_HOST: "127.0.0.1", GATEWAY_PORT: String(port) },
  });
  const endpoint = `http://127.0.0.1:${port}`;
  const answers = async () => (await fetch(endpoint)).status < 500;
  await untilChild(child, "ministack answers", answers, { timeoutMs: 60_000 });
  return { endpoint, child, stop: () => child.stop() };
}
