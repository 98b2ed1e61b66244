import type { Failure } from "../api/reasons.ts";
import { ALL_KEYS, fingerprint, type ContentRecord } from "./digest.ts";
import type { Source } from "./sources.ts";

/**
 * What gave something once, so that what is gone can be told from what never was: a mistyped key, property or region takes
 * nothing away, whatever the deletionPolicy.
 */

/** What became of an entry of spec.data or spec.dataFrom. */
export interface EntryOutcome {
  readonly source: Source;
  readonly property: string | undefined;
  /** Where its source was looked for. */
  readonly place: string | undefined;
  /** Of spec.data: the key that it is for. */
  readonly key: string | undefined;
  readonly gives: boolean;
  /** Why it gives nothing, where it isn't optional. */
  readonly absent: Failure | undefined;
}

const idOf = ({ source, property, place }: EntryOutcome): string =>
  fingerprint(source.id, property ?? "", place ?? "");

/** For the record: the entries that give something, and those that did and are still in the spec. */
export function seenEntries(
  before: ContentRecord | undefined,
  entries: readonly EntryOutcome[],
): readonly string[] {
  const known = before?.seen && new Set(before.seen);
  const wasSeen = (id: string): boolean => (known ? known.has(id) : before !== undefined);
  return [...new Set(entries.flatMap((entry) => (entry.gives || wasSeen(idOf(entry)) ? [idOf(entry)] : [])))];
}

/**
 * The failure of the first entry that gives nothing, never gave anything as it is now, and would take keys away with it; undefined
 * when there is none. `lost`: keys that the Secret has and would not have any more.
 */
export function neverSeen(
  before: ContentRecord | undefined,
  entries: readonly EntryOutcome[],
  lost: ReadonlySet<string> | "all",
): Failure | undefined {
  // A record of an earlier version doesn't tell.
  if (!before?.seen || (lost !== "all" && lost.size === 0)) return undefined;
  const known = new Set(before.seen);
  const takesAway = ({ key }: EntryOutcome): boolean => lost === "all" || key === undefined || lost.has(key);
  const entry = entries.find((each) => each.absent && takesAway(each) && !known.has(idOf(each)));
  return (
    entry?.absent && {
      reason: entry.absent.reason,
      message: `${entry.absent.message}; the Secret stays as it is, since this was never read from there`,
    }
  );
}

/** Keys of the record that the data doesn't have. */
export function lostKeys(
  before: ContentRecord | undefined,
  data: ReadonlyMap<string, unknown>,
): ReadonlySet<string> | "all" {
  const keys = Object.keys(before?.digests ?? {});
  // One digest for very many tells nothing of each.
  return keys.includes(ALL_KEYS) ? "all" : new Set(keys.filter((key) => !data.has(key)));
}
