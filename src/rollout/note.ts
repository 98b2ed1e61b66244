import { fingerprint } from "../plan/digest.ts";

/**
 * What the operator notes on a workload, beside its pod template: for each Secret the content that pods of this template were
 * started with. It speaks of one template only, the one that carries its mark.
 */
export interface Note {
  /** The mark on the pod template that the note speaks of; undefined where it had none. */
  readonly mark: string | undefined;
  readonly slots: Readonly<Record<string, Slot>>;
  /** False where somebody removed it, or nothing was ever noted. */
  readonly isThere: boolean;
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

/** No Secret has such names. */
const MARK = "/mark";
const OF = "/of";
/** Of a uid, enough to tell workloads apart. */
const UID_LENGTH = 8;
const SLOT = /^([0-9a-f]+\.[0-9a-f]+)\.([0-9a-f]+)#([^!?]{0,32})(!?)(\??)$/;

/**
 * Whoever may write the workload may write anything there: what isn't ours is passed over, and noted anew; so is what was copied
 * from a workload of another uid.
 */
export function parseNote(text: string | undefined, uid: string): Note {
  const found = objectIn(text);
  const written = (found?.[OF] ?? shortUid(uid)) === shortUid(uid) ? found : undefined;
  const { [MARK]: mark, [OF]: _uid, ...rest } = written ?? {};
  const slots = Object.entries(rest).flatMap(([name, written]) => {
    const [, scope, digest, at, restarted, waiting] =
      SLOT.exec(typeof written === "string" ? written : "") ?? [];
    if (scope === undefined || digest === undefined || at === undefined) return [];
    return [[name, { scope, digest, at, restarted: restarted === "!", waiting: waiting === "?" }] as const];
  });
  return {
    mark: typeof mark === "string" ? mark : undefined,
    slots: Object.fromEntries(slots),
    isThere: written !== undefined,
  };
}

function objectIn(text: string | undefined): Readonly<Record<string, unknown>> | undefined {
  try {
    const parsed = JSON.parse(text ?? "") as unknown;
    const isObject = typeof parsed === "object" && parsed !== null && !Array.isArray(parsed);
    return isObject ? (parsed as Readonly<Record<string, unknown>>) : undefined;
  } catch {
    return undefined;
  }
}

const shortUid = (uid: string): string => uid.slice(0, UID_LENGTH);

/** Without slots it has nothing to say of a template. */
export function formatNote({ mark, slots }: Pick<Note, "mark" | "slots">, uid: string): string {
  const texts = Object.entries(slots)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { scope, digest, at, restarted, waiting }]) => [
      name,
      `${scope}.${digest}#${at}${restarted ? "!" : ""}${waiting ? "?" : ""}`,
    ]);
  if (texts.length === 0) return "{}";
  const marks = mark === undefined ? [] : [[MARK, mark]];
  return JSON.stringify(Object.fromEntries([[OF, shortUid(uid)], ...marks, ...texts]));
}

/** For a template whose pods are started with that, after the one that carries `former`. */
export const newMark = (slots: Note["slots"], former: string | undefined): string =>
  fingerprint(slots, former ?? "");
