import { watch, type FSWatcher } from "node:fs";
import { stat } from "node:fs/promises";
import path from "node:path";
import { sleep, type Clock } from "../../runtime/clock.ts";
import type { StoreFeed } from "../contract.ts";
import { namesWithin, rootOf } from "./folder.ts";

/** The folder is looked at so often, and sooner after an event of the file system. */
const LOOK_MS = 2_000;
/** Between two looks, whatever happens; and looks take this share of the time at most. */
const REST_MS = 200;
const LOOK_SHARE = 1 / 20;

/**
 * Looks at all files again and again: events of a file system tell nothing of a folder that is replaced or mounted, of network
 * file systems, and of much else. An event of the folder itself only brings the next look forward.
 */
export const newFolderFeed = (folder: string, roots: readonly string[], clock: Clock): StoreFeed => ({
  async run(onNews, signal) {
    let known = await looksOf(folder, roots);
    // What changed before that nobody tells.
    onNews(undefined);
    while (!signal.aborted) {
      const since = clock.monotonic();
      const seen = await looksOf(folder, roots);
      const tookMs = clock.monotonic() - since;
      if (seen && known) for (const key of differences(known, seen)) onNews(key);
      // It was mounted, or was never there.
      else if (seen !== known) onNews(undefined);
      known = seen;
      await nextLook(folder, clock, Math.max(REST_MS, tookMs / LOOK_SHARE), signal);
    }
  },
});

/** Of each file what changes with its content, and of links of volumes where they lead; undefined: there is nothing to look at. */
async function looksOf(
  folder: string,
  roots: readonly string[],
): Promise<ReadonlyMap<string, string> | undefined> {
  const root = await rootOf(folder, roots);
  if (typeof root !== "string") return undefined;
  const looks = new Map<string, string>();
  for (const name of await namesWithin(root)) {
    const stats = await stat(path.join(root, name), { bigint: true }).catch(() => undefined);
    looks.set(name, stats ? `${stats.dev} ${stats.ino} ${stats.size} ${stats.mtimeNs}` : "unreadable");
  }
  return looks;
}

function* differences(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): Iterable<string> {
  for (const [name, look] of after) if (before.get(name) !== look) yield name;
  for (const name of before.keys()) if (!after.has(name)) yield name;
}

/** Rests, and then waits until the file system tells of a change in the folder itself, or has told meanwhile, or for LOOK_MS in all. */
async function nextLook(folder: string, clock: Clock, restMs: number, signal: AbortSignal): Promise<void> {
  const changed = new AbortController();
  let watcher: FSWatcher | undefined;
  try {
    watcher = watch(folder, { persistent: false }, () => changed.abort());
    // Such as that the folder is gone: the next look tells.
    watcher.on("error", () => watcher?.close());
  } catch {
    // It isn't there, or the system has no more watches to give: then only time brings the next look.
  }
  await sleep(clock, restMs, signal);
  await sleep(clock, Math.max(0, LOOK_MS - restMs), AbortSignal.any([signal, changed.signal]));
  watcher?.close();
}
