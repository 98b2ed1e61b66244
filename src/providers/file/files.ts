import type { Clock } from "../../runtime/clock.ts";
import type {
  ListedSecret,
  ListFilter,
  ListResult,
  ReadResult,
  RemoteRef,
  SecretStore,
  VersionResult,
} from "../contract.ts";
import { CURRENT, LARGEST, refusedVersion } from "../current-only.ts";
import { failed } from "../failed.ts";
import { SecretValue } from "../secret-value.ts";
import { failureOf } from "./failure.ts";
import { newFolderFeed } from "./feed.ts";
import { MOST_FILES, namesWithin, rootOf } from "./folder.ts";
import { readWithin } from "./read.ts";

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

const LONGEST_KEY = 1024;
const PAGE = 100;
/** Version of a file that is there and can't be read: whoever wants it reads it, and is told why. */
const UNREADABLE = "unreadable";

export function openFiles({ folder, roots, clock, mark }: FilesOptions): SecretStore {
  /** Of the listing that goes on: all names, in order, so that the folder is walked once. */
  let listing: readonly string[] | undefined;

  async function read(ref: RemoteRef): Promise<ReadResult> {
    const refused = refusalOf(ref);
    if (refused) return refused;
    try {
      const root = await rootOf(folder, roots);
      if (typeof root !== "string") return root;
      return await valueOf(root, ref.key);
    } catch (error) {
      return failureOf(error);
    }
  }

  async function valueOf(root: string, key: string): Promise<ReadResult> {
    const content = await readWithin(root, key, clock);
    if (content.kind !== "content") return content;
    const { bytes, changedAt } = content;
    const version = { versionId: mark(bytes), versionStages: [CURRENT] };
    return { kind: "found", value: SecretValue.fromBytes(bytes), ...version, changedAt };
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
        return failed(
          "TooLarge",
          "request",
          `there are more than ${MOST_FILES} files; name single ones in data`,
        );
      const rest = names.filter((name) => name.startsWith(namePrefix) && name > next);
      const secrets: ListedSecret[] = [];
      for (const name of rest.slice(0, PAGE)) {
        const result = await valueOf(root, name).catch(failureOf);
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

  return {
    place: `the files in ${folder}`,
    currentStage: CURRENT,
    largest: LARGEST,
    read,
    versions: { read: version },
    listing: { page },
    feed: newFolderFeed(folder, roots, clock),
    close: () => undefined,
  };
}

function refusalOf(ref: RemoteRef) {
  const { key } = ref;
  const isPath =
    key.length <= LONGEST_KEY &&
    !key.includes("\0") &&
    !key.split("/").some((part) => part === "" || part === "." || part.startsWith(".."));
  if (isPath) return refusedVersion(ref, "files");
  return failed(
    "ProviderRefused",
    "request",
    "a key is the path of a file in the folder, such as db/password, without . and ..",
  );
}
