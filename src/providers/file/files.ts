import { constants, watch, type FSWatcher } from "node:fs";
import { open, opendir, readdir, realpath, stat } from "node:fs/promises";
import path from "node:path";
import { sleep, type Clock } from "../../runtime/clock.ts";
import type {
  Failed,
  ListedSecret,
  ListFilter,
  ListResult,
  ReadResult,
  RemoteRef,
  SecretStore,
  VersionResult,
} from "../contract.ts";
import { SecretValue } from "../secret-value.ts";

/**
 * Files of one folder. A key is the path of a file in it; links may stay within the folder, as those of a projected volume do
 * (https://kubernetes.io/docs/concepts/storage/projected-volumes/), and not lead out of it. A file has no version of its own, so a
 * keyed digest of its content is one.
 */
export interface FilesOptions {
  readonly folder: string;
  /** The folder, wherever its own links lead, must lie in one of these. */
  readonly roots: readonly string[];
  readonly clock: Clock;
  readonly mark: (content: Uint8Array) => string;
}

const CURRENT = "current";
/** As much as a Secret can hold. */
const MOST_BYTES = 1024 * 1024;
const LONGEST_KEY = 1024;
const PAGE = 100;
const MOST_FILES = 10_000;
/** A file that was just changed may be half written. */
const STILL_MS = 1_000;
const LONGEST_WRITE_MS = 10_000;
/** The folder is looked at so often, and right after an event of the file system; more rarely if that takes long. */
const LOOK_MS = 2_000;
const LOOK_SHARE = 1 / 20;
/** Version of a file that is there and can't be read: whoever wants it reads it, and is told why. */
const UNREADABLE = "unreadable";

export function openFiles({ folder, roots, clock, mark }: FilesOptions): SecretStore {
  const place = `the files in ${folder}`;
  /** Of the listing that goes on: all names, in order, so that the folder is walked once. */
  let listing: readonly string[] | undefined;

  async function read(ref: RemoteRef): Promise<ReadResult> {
    const refused = refusalOf(ref);
    if (refused) return refused;
    try {
      const root = await rootOf(folder, roots);
      if (typeof root !== "string") return root;
      return await readWithin(root, ref.key, clock, mark);
    } catch (error) {
      return failureOf(error);
    }
  }

  async function version(ref: RemoteRef): Promise<VersionResult> {
    const result = await read(ref);
    if (result.kind !== "found") return result;
    const { versionId, versionStages } = result;
    return { kind: "found", versionId, versionStages };
  }

  /** `next`: the last name of the page before. */
  async function page({ namePrefix = "", tags = {} }: ListFilter, next = ""): Promise<ListResult> {
    // A file has none.
    if (Object.keys(tags).length > 0) return { kind: "page", secrets: [] };
    try {
      const root = await rootOf(folder, roots);
      if (typeof root !== "string") return root;
      if (next === "") listing = undefined;
      const names = (listing ??= (await namesWithin(root)).sort());
      if (names.length > MOST_FILES)
        return failed("TooLarge", `there are more than ${MOST_FILES} files; name single ones in data`);
      const rest = names.filter((name) => name.startsWith(namePrefix) && name > next);
      const secrets: ListedSecret[] = [];
      for (const name of rest.slice(0, PAGE)) {
        const result = await readWithin(root, name, clock, mark).catch(failureOf);
        // What a find doesn't see it would take for deleted.
        const version = result.kind === "found" ? result.versionId : UNREADABLE;
        if (result.kind !== "missing")
          secrets.push({ name, aliases: [], tags: {}, versions: { [CURRENT]: version } });
      }
      if (rest.length > PAGE) return { kind: "page", secrets, next: rest[PAGE - 1] };
      listing = undefined;
      return { kind: "page", secrets };
    } catch (error) {
      return failureOf(error);
    }
  }

  /**
   * Looks at all files again and again: events of a file system tell nothing of a folder that is replaced or mounted, of network
   * file systems, and of much else. An event of the folder itself only brings the next look forward.
   */
  async function run(onNews: (key: string | undefined) => void, signal: AbortSignal): Promise<void> {
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
      await nextEvent(folder, clock, Math.max(LOOK_MS, tookMs / LOOK_SHARE), signal);
    }
  }

  return {
    place,
    currentStage: CURRENT,
    largest: MOST_BYTES,
    read,
    versions: { read: version },
    listing: { page },
    feed: { run },
    close: () => undefined,
  };
}

/** The folder itself. One that isn't there, or is empty, is one that isn't mounted: nothing of it counts as gone. */
async function rootOf(folder: string, roots: readonly string[]): Promise<string | Failed> {
  const unmounted = failed(
    "ProviderUnreachable",
    "the folder isn't there, or is empty; look at the volume that the operator mounts there",
    "provider",
  );
  try {
    const root = await realpath(folder);
    const allowed = await Promise.all(roots.map((each) => realpath(each).catch(() => undefined)));
    if (!allowed.some((each) => each !== undefined && (root === each || isWithin(each, root))))
      return failed(
        "AccessDenied",
        "the folder is a link that leads out of --file-roots; nothing there is read",
        "provider",
      );
    const entries = await opendir(root);
    const first = await entries.read();
    await entries.close();
    return first ? root : unmounted;
  } catch (error) {
    return isMissing(error) ? unmounted : failureOf(error, "provider");
  }
}

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
    looks.set(name, stats ? `${stats.dev} ${stats.ino} ${stats.size} ${stats.mtimeNs}` : UNREADABLE);
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

/** Waits so long at most, and less when the file system tells of a change in the folder itself. */
async function nextEvent(folder: string, clock: Clock, atMostMs: number, signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  const end = () => over.abort();
  let watcher: FSWatcher | undefined;
  try {
    watcher = watch(folder, { persistent: false }, end);
    // Such as that the folder is gone: the next look tells.
    watcher.on("error", () => watcher?.close());
  } catch {
    // It isn't there, or the system has no more watches to give: then only time brings the next look.
  }
  await sleep(clock, atMostMs, AbortSignal.any([signal, over.signal]));
  watcher?.close();
}

async function readWithin(
  root: string,
  key: string,
  clock: Clock,
  mark: (content: Uint8Array) => string,
): Promise<ReadResult> {
  let real: string;
  try {
    real = await realpath(path.join(root, key));
  } catch (error) {
    if (isMissing(error)) return { kind: "missing" };
    throw error;
  }
  if (!isWithin(root, real))
    return failed("AccessDenied", "a link leads out of the folder; nothing outside of it is read");
  // Neither waits for the other end of a pipe nor follows a link that has come meanwhile.
  const file = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    // A folder on the way may have become a link meanwhile.
    const opened = await realpath(`/proc/self/fd/${file.fd}`).catch(() => real);
    if (!isWithin(root, opened))
      return failed("AccessDenied", "a link leads out of the folder; nothing outside of it is read");
    let stats = await file.stat();
    if (!stats.isFile()) return failed("ProviderRefused", "this is no file; correct the key");
    // Who writes a file in place leaves it empty or in part for a moment, and every part would be a rotation.
    for (let waitedMs = 0; clock.now() - stats.mtimeMs < STILL_MS && clock.now() >= stats.mtimeMs;) {
      if (waitedMs >= LONGEST_WRITE_MS)
        return failed(
          "ProviderUnreachable",
          "the file is being written all the time; write it beside, and rename it",
        );
      const waitMs = Math.max(1, stats.mtimeMs + STILL_MS - clock.now());
      await sleep(clock, waitMs);
      waitedMs += waitMs;
      stats = await file.stat();
    }
    const { size, mtimeMs } = stats;
    if (size > MOST_BYTES) return failed("TooLarge", "the file exceeds the 1 MiB that a Secret can hold");
    const bytes = Buffer.alloc(size + 1);
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
    if (bytesRead > size)
      return failed(
        "ProviderUnreachable",
        "the file grew while it was read; it is read again at the next try",
      );
    const content = Buffer.from(bytes.subarray(0, bytesRead));
    return {
      kind: "found",
      value: new SecretValue(content),
      versionId: mark(content),
      versionStages: [CURRENT],
      changedAt: mtimeMs,
    };
  } finally {
    await file.close();
  }
}

/** Paths of all files, links that stay within the folder included. */
async function namesWithin(root: string): Promise<string[]> {
  const names: string[] = [];
  const waiting = [""];
  const seen = new Set<string>();
  for (
    let folder = waiting.pop();
    folder !== undefined && names.length <= MOST_FILES;
    folder = waiting.pop()
  ) {
    const real = await realpath(path.join(root, folder));
    // A link may lead back to where it came from.
    if (seen.has(real) || (real !== root && !isWithin(root, real))) continue;
    seen.add(real);
    // One that has vanished, or that nobody may read, concerns itself alone.
    for (const entry of await readdir(real, { withFileTypes: true }).catch(() => [])) {
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
    }
  }
  return names;
}

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

function refusalOf({ key, version, versionStage }: Omit<RemoteRef, "key"> & { readonly key: string }) {
  const parts = key.split("/");
  const isPath =
    key.length <= LONGEST_KEY &&
    !key.includes("\0") &&
    !parts.some((part) => part === "" || part === "." || part.startsWith(".."));
  if (!isPath)
    return failed(
      "ProviderRefused",
      "a key is the path of a file in the folder, such as db/password, without . and ..",
    );
  if (version === undefined && (versionStage === undefined || versionStage === CURRENT)) return undefined;
  return failed("ProviderRefused", "files have no earlier versions; remove version and versionStage");
}

const isWithin = (root: string, real: string): boolean => real.startsWith(`${root}${path.sep}`);

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? "";
const isMissing = (error: unknown): boolean => ["ENOENT", "ENOTDIR"].includes(codeOf(error));

function failureOf(error: unknown, scope: Failed["failure"]["scope"] = "request"): Failed {
  const code = codeOf(error);
  if (code === "EACCES" || code === "EPERM")
    return failed(
      "AccessDenied",
      "the operator's user may not read this; let it, by fsGroup or defaultMode",
      scope,
    );
  if (code === "ELOOP")
    return failed("AccessDenied", "links lead in a circle, or the file became one", scope);
  return failed("ProviderUnreachable", `the file can't be read (${code || "unknown error"})`, scope);
}

function failed(
  reason: Failed["failure"]["reason"],
  message: string,
  scope: Failed["failure"]["scope"] = "request",
): Failed {
  return { kind: "failed", failure: { reason, scope, message } };
}
