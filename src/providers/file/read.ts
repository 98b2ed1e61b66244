import { constants, type Stats } from "node:fs";
import { open, realpath, type FileHandle } from "node:fs/promises";
import path from "node:path";
import { sleep, type Clock } from "../../runtime/clock.ts";
import type { Failed } from "../contract.ts";
import { LARGEST } from "../current-only.ts";
import { failed } from "../failed.ts";
import { isMissing } from "./failure.ts";
import { isWithin } from "./folder.ts";

/** A file that was just changed may be half written. */
const STILL_MS = 1_000;
const LONGEST_WRITE_MS = 10_000;

export type Content =
  | { readonly kind: "content"; readonly bytes: Buffer; readonly changedAt: number }
  | { readonly kind: "missing" }
  | Failed;

const leadsOut = failed(
  "AccessDenied",
  "request",
  "a link leads out of the folder; nothing outside of it is read",
);

/** Reads a file of the folder, and nothing outside of it. Throws what the file system does. */
export async function readWithin(root: string, key: string, clock: Clock): Promise<Content> {
  let real: string;
  try {
    real = await realpath(path.join(root, key));
  } catch (error) {
    if (isMissing(error)) return { kind: "missing" };
    throw error;
  }
  if (!isWithin(root, real)) return leadsOut;
  // Neither waits for the other end of a pipe nor follows a link that has come meanwhile.
  const file = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    // A folder on the way may have become a link meanwhile.
    const opened = await realpath(`/proc/self/fd/${file.fd}`).catch(() => real);
    if (!isWithin(root, opened)) return leadsOut;
    const stats = await whenStill(file, clock);
    if (!stats)
      return failed(
        "ProviderUnreachable",
        "request",
        "the file is being written all the time; write it beside, and rename it",
      );
    return await contentOf(file, stats);
  } finally {
    await file.close();
  }
}

/** Who writes a file in place leaves it empty or in part for a moment, and every part would be a rotation. undefined: it goes on. */
async function whenStill(file: FileHandle, clock: Clock): Promise<Stats | undefined> {
  for (let waitedMs = 0; ;) {
    const stats = await file.stat();
    const ageMs = clock.now() - stats.mtimeMs;
    if (!stats.isFile() || ageMs < 0 || ageMs >= STILL_MS) return stats;
    if (waitedMs >= LONGEST_WRITE_MS) return undefined;
    const waitMs = Math.max(1, STILL_MS - ageMs);
    await sleep(clock, waitMs);
    waitedMs += waitMs;
  }
}

async function contentOf(file: FileHandle, stats: Stats): Promise<Content> {
  if (!stats.isFile()) return failed("ProviderRefused", "request", "this is no file; correct the key");
  const { size, mtimeMs: changedAt } = stats;
  if (size > LARGEST)
    return failed("TooLarge", "request", "the file exceeds the 1 MiB that a Secret can hold");
  const bytes = Buffer.alloc(size + 1);
  const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
  if (bytesRead > size)
    return failed(
      "ProviderUnreachable",
      "request",
      "the file grew while it was read; it is read again at the next try",
    );
  return { kind: "content", bytes: Buffer.from(bytes.subarray(0, bytesRead)), changedAt };
}
