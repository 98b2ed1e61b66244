import { fingerprint } from "../plan/digest.ts";

/**
 * What the operator notes on a workload, beside its pod template: for each Secret the content that pods of this template were
 * started with. It speaks of one template only, the one that carries its mark.
 */
export interface Note {
  /** The mark on the pod template that the note speaks of; undefined where it had none. */
  readonly mark: string | undefined;
  readonly slots: Readonly<Record<string, Slot>>;
}

export interface Slot {
  /** Names the digest key and the keys that are consumed: digests of another scope can't be compared. */
  readonly scope: string;
  readonly digest: string;
  /** RFC 3339: the change of the content that it is as of; empty where the Secret tells none. */
  readonly at: string;
  /** The workload was restarted for that change. */
  readonly restarted: boolean;
  /** A key that the pods can't start without wasn't there. */
  readonly waiting: boolean;
}

/** No Secret has such a name. */
const MARK = "/mark";
const SLOT = /^([0-9a-f]+\.[0-9a-f]+)\.([0-9a-f]+)@([^!?]{0,32})(!?)(\??)$/;

/** Whoever may write the workload may write anything there: what isn't ours is passed over, and noted anew. */
export function parseNote(text: string | undefined): Note {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text ?? "{}");
  } catch {
    parsed = {};
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) parsed = {};
  const { [MARK]: mark, ...rest } = parsed as Readonly<Record<string, unknown>>;
  const slots = Object.entries(rest).flatMap(([name, written]) => {
    const [, scope, digest, at, restarted, waiting] =
      SLOT.exec(typeof written === "string" ? written : "") ?? [];
    if (scope === undefined || digest === undefined || at === undefined) return [];
    return [[name, { scope, digest, at, restarted: restarted === "!", waiting: waiting === "?" }] as const];
  });
  return { mark: typeof mark === "string" ? mark : undefined, slots: Object.fromEntries(slots) };
}

export function formatNote({ mark, slots }: Note): string {
  const texts = Object.entries(slots)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { scope, digest, at, restarted, waiting }]) => [
      name,
      `${scope}.${digest}@${at}${restarted ? "!" : ""}${waiting ? "?" : ""}`,
    ]);
  return JSON.stringify(Object.fromEntries([...(mark === undefined ? [] : [[MARK, mark]]), ...texts]));
}

/** For a template whose pods are started with that, after the one that carries `former`. */
export const newMark = (slots: Note["slots"], former: string | undefined): string =>
  fingerprint(slots, former ?? "");
