import { constants } from "node:fs";
import { open, opendir, readdir, realpath, watch } from "node:fs/promises";
import path from "node:path";
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
  readonly mark: (content: Uint8Array) => string;
}

const CURRENT = "current";
/** As much as a Secret can hold. */
const MOST_BYTES = 1024 * 1024;
const LONGEST_KEY = 1024;
const PAGE = 100;
const MOST_FILES = 10_000;

export function openFiles({ folder, mark }: FilesOptions): SecretStore {
  const place = `the files in ${folder}`;
  /** Of the listing that goes on: all names, in order, so that the folder is walked once. */
  let listing: readonly string[] | undefined;

  async function read(ref: RemoteRef): Promise<ReadResult> {
    const refused = refusalOf(ref);
    if (refused) return refused;
    try {
      const root = await rootOf(folder);
      if (typeof root !== "string") return root;
      return await readWithin(root, ref.key, mark);
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
      const root = await rootOf(folder);
      if (typeof root !== "string") return root;
      if (next === "") listing = undefined;
      const names = (listing ??= (await namesWithin(root)).sort());
      if (names.length > MOST_FILES)
        return failed("TooLarge", `there are more than ${MOST_FILES} files; name single ones in data`);
      const rest = names.filter((name) => name.startsWith(namePrefix) && name > next);
      const secrets: ListedSecret[] = [];
      for (const name of rest.slice(0, PAGE)) {
        const result = await readWithin(root, name, mark);
        if (result.kind === "found")
          secrets.push({ name, aliases: [], tags: {}, versions: { [CURRENT]: result.versionId } });
      }
      if (rest.length > PAGE) return { kind: "page", secrets, next: rest[PAGE - 1] };
      listing = undefined;
      return { kind: "page", secrets };
    } catch (error) {
      return failureOf(error);
    }
  }

  async function run(onNews: (key: string | undefined) => void, signal: AbortSignal): Promise<void> {
    const events = watch(folder, { recursive: true, signal });
    // What changed before that nobody tells.
    onNews(undefined);
    for await (const { filename } of events) {
      const key = filename?.split(path.sep).join("/");
      // A volume is changed by one link for all of its files.
      onNews(key === undefined || refusalOf({ key }) ? undefined : key);
    }
  }

  return {
    place,
    currentStage: CURRENT,
    read,
    versions: { read: version },
    listing: { page },
    feed: { run },
    close: () => undefined,
  };
}

/** The folder itself. One that isn't there, or is empty, is one that isn't mounted: nothing of it counts as gone. */
async function rootOf(folder: string): Promise<string | Failed> {
  const unmounted = failed(
    "ProviderUnreachable",
    "the folder isn't there, or is empty; look at the volume that the operator mounts there",
    "provider",
  );
  try {
    const root = await realpath(folder);
    const entries = await opendir(root);
    const first = await entries.read();
    await entries.close();
    return first ? root : unmounted;
  } catch (error) {
    return isMissing(error) ? unmounted : failureOf(error, "provider");
  }
}

async function readWithin(
  root: string,
  key: string,
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
    const { size, mtimeMs } = await file.stat().then((stats) => (stats.isFile() ? stats : noFile));
    if (size < 0) return failed("ProviderRefused", "this is no file; correct the key");
    if (size > MOST_BYTES) return failed("TooLarge", "the file exceeds the 1 MiB that a Secret can hold");
    const bytes = Buffer.alloc(MOST_BYTES + 1);
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
    if (bytesRead > MOST_BYTES)
      return failed("TooLarge", "the file exceeds the 1 MiB that a Secret can hold");
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

const noFile = { size: -1, mtimeMs: 0 };

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
    for (const entry of await readdir(real, { withFileTypes: true })) {
      const name = folder === "" ? entry.name : `${folder}/${entry.name}`;
      // What begins so is how a volume keeps its files, not a file of its own.
      if (entry.name.startsWith("..")) continue;
      if (entry.isDirectory()) waiting.push(name);
      else if (entry.isFile()) names.push(name);
      else if (entry.isSymbolicLink()) {
        const kind = await kindOf(root, name);
        if (kind === "folder") waiting.push(name);
        if (kind === "file") names.push(name);
      }
    }
  }
  return names;
}

async function kindOf(root: string, name: string): Promise<"file" | "folder" | undefined> {
  try {
    const real = await realpath(path.join(root, name));
    if (!isWithin(root, real)) return undefined;
    const file = await open(real, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stats = await file.stat();
      return stats.isDirectory() ? "folder" : stats.isFile() ? "file" : undefined;
    } finally {
      await file.close();
    }
  } catch {
    return undefined;
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
