import type { Dirent } from "node:fs";
import { opendir, realpath, stat } from "node:fs/promises";
import path from "node:path";
import type { Failed } from "../contract.ts";
import { failed } from "../failed.ts";
import { failureOf, isMissing } from "./failure.ts";

/** A folder, and what lies in it. */

/** Of a folder with more files, nothing is listed. */
export const MOST_FILES = 10_000;

/**
 * The folder itself, wherever its own links lead. `roots`: it must lie in one of these. One that isn't there, or is empty, is one that
 * isn't mounted: nothing of it counts as gone.
 */
export async function rootOf(folder: string, roots: readonly string[]): Promise<string | Failed> {
  const unmounted = failed(
    "ProviderUnreachable",
    "provider",
    "the folder isn't there, or is empty; look at the volume that the operator mounts there",
  );
  try {
    const root = await realpath(folder);
    const allowed = await Promise.all(roots.map((each) => realpath(each).catch(() => undefined)));
    if (!allowed.some((each) => each !== undefined && (root === each || isWithin(each, root))))
      return failed(
        "AccessDenied",
        "provider",
        "the folder is a link that leads out of --file-roots; nothing there is read",
      );
    const entries = await opendir(root);
    const first = await entries.read();
    await entries.close();
    return first ? root : unmounted;
  } catch (error) {
    return isMissing(error) ? unmounted : failureOf(error, "provider");
  }
}

/** Paths of all files, links that stay within the folder included; of more than MOST_FILES, one more than that. */
export async function namesWithin(root: string): Promise<string[]> {
  const names: string[] = [];
  const waiting = [""];
  const seen = new Set<string>();
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    const real = await realpath(path.join(root, folder));
    // A link may lead back to where it came from.
    if (seen.has(real) || (real !== root && !isWithin(root, real))) continue;
    seen.add(real);
    for await (const entry of entriesOf(real)) {
      const name = folder === "" ? entry.name : `${folder}/${entry.name}`;
      // What begins so is how a volume keeps its files, not a file of its own.
      if (entry.name.startsWith("..")) continue;
      if (entry.isDirectory()) waiting.push(name);
      else if (entry.isFile()) names.push(name);
      else if (entry.isSymbolicLink()) {
        const kind = await kindOf(root, name);
        if (kind === "folder") waiting.push(name);
        // Where it leads nobody may see, but that it is there.
        if (kind === "file" || kind === "other") names.push(name);
      }
      if (names.length > MOST_FILES) return names;
    }
  }
  return names;
}

/** One by one, since a folder may have any number. One that has vanished, or that nobody may read, concerns itself alone. */
async function* entriesOf(folder: string): AsyncIterable<Dirent> {
  try {
    yield* await opendir(folder, { bufferSize: 1_000 });
  } catch {
    // It has none then.
  }
}

export const isWithin = (root: string, real: string): boolean => real.startsWith(`${root}${path.sep}`);

/** undefined: it leads to nothing. */
async function kindOf(root: string, name: string): Promise<"file" | "folder" | "other" | undefined> {
  try {
    const real = await realpath(path.join(root, name));
    if (!isWithin(root, real)) return "other";
    const stats = await stat(real);
    return stats.isDirectory() ? "folder" : stats.isFile() ? "file" : undefined;
  } catch (error) {
    return isMissing(error) ? undefined : "other";
  }
}
