import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { onPath } from "../support/children.ts";
import { step } from "../support/progress.ts";
import { cacheFolder, withLock } from "./cache.ts";

const run = promisify(execFile);

/**
 * Folder with the programs of a Debian package, unpacked into the cache: nothing is installed and no service starts.
 * undefined where a program is on PATH already, and an error where neither is possible.
 */
export async function debianPrograms(name: string, programs: readonly string[]): Promise<string | undefined> {
  if (programs.every((program) => onPath(program))) return undefined;
  const folder = path.join(cacheFolder, "debian", name);
  const bin = path.join(folder, "usr/bin");
  if (existsSync(folder)) return bin;
  if (!onPath("apt-get"))
    throw new Error(`install ${programs.join(" and ")}: they are in the Debian package ${name}`);
  await withLock(`debian-${name}`, async () => {
    if (existsSync(folder)) return;
    const partial = `${folder}.partial`;
    rmSync(partial, { recursive: true, force: true });
    mkdirSync(partial, { recursive: true });
    await step(`download ${name}`, async () => {
      const download = () => run("apt-get", ["download", name], { cwd: partial });
      await download().catch(async () => {
        await run("apt-get", ["update"], { maxBuffer: 1 << 26 });
        await download();
      });
      const [archive = ""] = readdirSync(partial);
      await run("dpkg-deb", ["-x", archive, "."], { cwd: partial });
      rmSync(path.join(partial, archive));
      renameSync(partial, folder);
    });
  });
  return bin;
}
