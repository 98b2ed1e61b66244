import { execFile } from "node:child_process";
import { existsSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { onPath } from "../support/children.ts";
import { step } from "../support/progress.ts";
import { cacheFolder, makeWhole, withLock } from "./cache.ts";

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
    await step(`download ${name}`, () =>
      makeWhole(folder, async (partial) => {
        const download = () => run("apt-get", ["download", name], { cwd: partial });
        await download().catch(async () => {
          await run("apt-get", ["update"], { maxBuffer: 1 << 26 });
          await download();
        });
        const [archive = ""] = readdirSync(partial);
        await run("dpkg-deb", ["-x", archive, "."], { cwd: partial });
        rmSync(path.join(partial, archive));
      }),
    );
  });
  return bin;
}
