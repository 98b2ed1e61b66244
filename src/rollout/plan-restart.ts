import type { SecretSyncSpec } from "../api/secret-sync.ts";
import {
  ALL_KEYS,
  digestOfKeys,
  fingerprint,
  type Change,
  type ContentRecord,
  type KeyDigests,
} from "../plan/digest.ts";
import type { Part } from "../plan/step.ts";
import type { ConsumedKeys } from "./consumption.ts";
import type { Workload } from "./workload.ts";
import { formatNote, newMark, parseNote, type Note, type Slot } from "./note.ts";
import type { Reader } from "./pods.ts";

/**
 * Whether a workload's pods run with what the Secret holds now. Level-triggered: beside the template stands what pods of this
 * very template were started with, and the same write that starts new pods notes the new content and marks the template. So a
 * crash anywhere neither forgets a restart nor does one twice, and who puts an old template back makes the note one of another
 * template.
 *
 *   nothing noted                   → note it (first adoption never restarts)
 *   the same content                → nothing
 *   another content                 → restart
 *   the note can't tell             → look at the pods: who was started before the content came restarts, else note it
 *
 * The note can't tell when somebody removed it, when it speaks of another template, when other keys are consumed or the digest
 * key is another one and the content changed since, when the pods waited for a key, or when the Secret was gone or spoiled for
 * a while.
 */
export type Decision =
  | { readonly kind: "nothing" }
  | { readonly kind: "write"; readonly write: WorkloadWrite }
  /** Decide again with the containers that read the Secret. */
  | { readonly kind: "look" }
  /** A restart would end in pods that can't start, for want of these keys. */
  | { readonly kind: "held"; readonly keys: readonly string[] };

export interface WorkloadWrite {
  readonly workload: Workload;
  readonly restart: boolean;
  /** New values of the operator's annotations. */
  readonly consumed: string;
  readonly restartedFor: string | undefined;
}

/** Milliseconds by which clocks of nodes may differ from ours, and by which the kubelet may lag behind. */
const SLACK_MS = 1_000;

export interface Look {
  /** Containers that run and read the Secret, once a look was asked for; where nobody can know them, it restarts. */
  readonly readers?: readonly Reader[] | "unknown";
  /** The digests are about to become others for the same content: whoever runs with it is noted as of its last change. */
  readonly touch?: boolean;
  /** Something of the Secret was noted on it, or should have been: where nothing is, its pods tell. */
  readonly wasNoted?: boolean;
  /** Milliseconds since 1970 when the change was on the apiserver, where that is known: later than when it was made. */
  readonly writtenAt?: number;
}

export function planRestart(
  workload: Workload,
  part: Part,
  policy: SecretSyncSpec["restart"],
  record: ContentRecord,
  { readers, touch = false, wasNoted = false, writtenAt = 0 }: Look = {},
): Decision {
  if (workload.deleting) return nothing;
  const note = noteOn(workload);
  const name = slotOf(part);
  const slot = Object.hasOwn(note.slots, name) ? note.slots[name] : undefined;
  const keys = coveredKeys(workload, part.secretName, policy);
  if (!keys || (!slot && !concerns(part, keys, record))) return slot ? forget(workload, note, name) : nothing;

  const lacking = lackingKeys(workload, part, record);
  const { change } = record;
  const at = change?.at ?? "";
  const isLost = !slot && (wasNoted || (workload.restartedFor !== undefined && !note.isThere));
  const isPutBack = isLost || (slot !== undefined && note.mark !== workload.restartedFor);
  const isSeen = slot?.at === at;
  const now: Slot = {
    scope: `${record.key}.${fingerprint(keys).slice(0, 8)}`,
    digest: digestOfKeys(record.digests, keys),
    at,
    restarted: isSeen && !isPutBack && slot.restarted,
    waiting: lacking.length > 0,
  };
  const isSame = slot?.scope === now.scope && slot.digest === now.digest;
  const noted = {
    kind: "write",
    write: writeOf(workload, note, name, now, { restart: false, isPutBack }),
  } as const;
  const decide = (isDue: boolean): Decision => {
    if (!isDue) return noted;
    if (lacking.length > 0) return { kind: "held", keys: lacking };
    const restarted = { ...now, restarted: at !== "" };
    return { kind: "write", write: writeOf(workload, note, name, restarted, { restart: true, isPutBack }) };
  };
  const look = (isStale: (reader: Reader) => boolean): Decision =>
    readers ? decide(readers === "unknown" || readers.some(isStale)) : { kind: "look" };
  const cameAt = change ? Math.max(Date.parse(change.at), writtenAt) + SLACK_MS : 0;

  if (isPutBack) return look(({ startedAt }) => startedAt < cameAt);
  if (change?.doubt && !isSeen && (!slot || isSame)) {
    const { absent, since } = change.doubt;
    // Who can't start without the Secret was never started without it; without keys that are merged into it, who takes all of it was.
    const isWhole = part.mergedBy === undefined;
    if (absent && isWhole && !workload.optional.includes(part.secretName)) return noted;
    if (!absent && !slot) return noted;
    // Nobody knows from when on: that it was so is told, and nobody is restarted for a guess.
    if (!absent && since === undefined) return noted;
    const from = since === undefined ? 0 : Date.parse(since) - SLACK_MS;
    return look(
      ({ startedAt, optional }) =>
        startedAt >= from && startedAt < cameAt && (optional || !absent || !isWhole),
    );
  }
  if (!slot) return noted;
  // A template may begin to need a key that isn't there without consuming other keys, as where a volume has all of them.
  if (isSame) return (touch && !isSeen) || slot.waiting !== now.waiting ? noted : nothing;
  if (slot.scope !== now.scope) return isSeen ? noted : look(({ startedAt }) => startedAt < cameAt);
  if (!slot.waiting) return decide(true);
  const arrived = arrivedKeys(workload, part.secretName, record);
  const isRestSame = digestOfKeys(without(record.digests, arrived), keys) === slot.digest;
  // Who reads none of the keys that the others waited for runs with what there is.
  return look(
    (reader) => reader.startedAt < cameAt && (!isRestSame || arrived.some((key) => reads(reader, key))),
  );
}

/** Keys that the pods can't start without, and that came with the last change. */
function arrivedKeys(
  { requires }: Workload,
  secretName: string,
  { change, digests }: ContentRecord,
): readonly string[] {
  const required = Object.hasOwn(requires, secretName) ? (requires[secretName] ?? []) : [];
  return required.filter((key) => change?.keys.includes(key) && Object.hasOwn(digests, key));
}

const without = (digests: KeyDigests, keys: readonly string[]): KeyDigests =>
  Object.fromEntries(Object.entries(digests).filter(([key]) => !keys.includes(key)));

const reads = ({ keys }: Reader, key: string): boolean => keys === "all" || keys.includes(key);

const nothing: Decision = { kind: "nothing" };

function writeOf(
  workload: Workload,
  note: Note,
  name: string,
  slot: Slot,
  { restart, isPutBack }: { readonly restart: boolean; readonly isPutBack: boolean },
): WorkloadWrite {
  // Of another template, the note of the other Secrets says nothing.
  const others = isPutBack && !restart ? unknownOf(note.slots) : note.slots;
  const slots = { ...others, [name]: slot };
  const mark = restart ? newMark(slots, workload.restartedFor) : workload.restartedFor;
  const consumed = formatNote({ mark, slots }, workload.uid);
  return { workload, restart, consumed, restartedFor: mark };
}

const unknownOf = (slots: Note["slots"]): Note["slots"] =>
  Object.fromEntries(
    Object.entries(slots).map(([name, slot]) => [
      name,
      { ...slot, scope: "0.0", at: "", restarted: false, waiting: false },
    ]),
  );

/** For who is due and can't be restarted yet: that something is to be decided by the pods, whatever comes meanwhile. */
export function planDoubt(workload: Workload, part: Part): WorkloadWrite {
  const note = noteOn(workload);
  const slot: Slot = { scope: "0.0", digest: "0", at: "", restarted: false, waiting: false };
  return writeOf(workload, note, slotOf(part), slot, { restart: false, isPutBack: false });
}

function forget(workload: Workload, note: Note, name: string): Decision {
  const { [name]: _dropped, ...slots } = note.slots;
  const { restartedFor } = workload;
  const consumed = formatNote({ ...note, slots }, workload.uid);
  return { kind: "write", write: { workload, restart: false, consumed, restartedFor } };
}

/** Whether pods of the present template run because the workload was restarted for that change. */
export function wasRestartedFor(workload: Workload, part: Part, change: Change | undefined): boolean {
  const { mark, slots } = noteOn(workload);
  const name = slotOf(part);
  const slot = Object.hasOwn(slots, name) ? slots[name] : undefined;
  return change !== undefined && mark === workload.restartedFor && slot?.at === change.at && slot.restarted;
}

const noteOn = ({ consumed, uid }: Workload): Note => parseNote(consumed, uid);

/** Where the note on a workload speaks of the part. */
export const slotOf = ({ secretName, mergedBy }: Part): string =>
  mergedBy === undefined ? secretName : `${secretName}/${mergedBy}`;

/**
 * Whether a SecretSync that only merges keys writes any that the workload consumes. Once it has, it answers for all of them,
 * the others counting as absent: so a key that it gains or loses is a change, too.
 */
function concerns({ mergedBy }: Part, keys: ConsumedKeys, { digests }: ContentRecord): boolean {
  if (mergedBy === undefined || keys === "all" || Object.hasOwn(digests, ALL_KEYS)) return true;
  return keys.some((key) => Object.hasOwn(digests, key));
}

/** Keys that the pods can't start without, and that the Secret lacks; of one that others write too, nobody knows. */
function lackingKeys(
  { requires }: Workload,
  { secretName, mergedBy }: Part,
  { digests }: ContentRecord,
): readonly string[] {
  if (mergedBy !== undefined || Object.hasOwn(digests, ALL_KEYS)) return [];
  const required = Object.hasOwn(requires, secretName) ? (requires[secretName] ?? []) : [];
  return required.filter((key) => !Object.hasOwn(digests, key));
}

/** The keys whose change restarts the workload; undefined when the policy leaves it alone. */
function coveredKeys(
  workload: Workload,
  secretName: string,
  policy: SecretSyncSpec["restart"],
): ConsumedKeys | undefined {
  const consumed = Object.hasOwn(workload.consumes, secretName) ? workload.consumes[secretName] : undefined;
  switch (policy.policy) {
    case "Auto":
      return consumed;
    case "None":
      return undefined;
    case "Listed": {
      const listed = policy.targets?.some(
        ({ kind, name }) => kind === workload.kind && name === workload.name,
      );
      // A listed workload may read the Secret in a way that its pod template doesn't show.
      return listed ? (consumed ?? "all") : undefined;
    }
  }
}

export const isNoted = (workload: Workload, part: Part): boolean =>
  Object.hasOwn(noteOn(workload).slots, slotOf(part));

/** Names of the Secrets that something is noted of. */
export const recordedSecrets = (workload: Workload): readonly string[] =>
  Object.keys(noteOn(workload).slots).map((slot) => slot.split("/")[0] ?? "");
