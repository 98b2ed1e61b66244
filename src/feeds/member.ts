import type { Known } from "../fetch/news.ts";
import type { Source, SourceVersions } from "../plan/sources.ts";
import type { Cancel } from "../runtime/clock.ts";
import type { Question } from "./questions.ts";

/** An object that polling looks after, and the group that is polled together. */

export interface Asked {
  /** Rejects when the signal aborts. */
  news<K extends Known>(known: readonly K[], freshAfter: number, signal: AbortSignal): Promise<readonly K[]>;
  /** Milliseconds since 1970. */
  nextRotation(key: string): number | undefined;
}

/** What is known of an object when it joins. */
export interface Joining {
  /** namespace/name */
  readonly key: string;
  readonly namespace: string;
  readonly uid: string;
  readonly generation: number | undefined;
  readonly requestedAt: string | undefined;
  readonly intervalMs: number;
  readonly sources: readonly Source[];
  readonly versions: SourceVersions;
  /** namespace/name of its Secret, and the resource version with which it is in step. */
  readonly targetKey: string;
  readonly targetVersion: string;
  /** Monotonic time of the last exact look. */
  readonly exactAt: number;
  /** Milliseconds since 1970; what polls tell later counts more. */
  readonly nextRotation: number | undefined;
  /** Present when nobody looked at its sources since it left: then it must be polled by the time at which it would have been. */
  readonly left: Left | undefined;
}

export interface Member extends Omit<
  Joining,
  "versions" | "sources" | "intervalMs" | "left" | "nextRotation"
> {
  readonly group: Group;
  readonly questions: readonly Question[];
  /** Bytes, about. */
  readonly weight: number;
  /** Seconds since 1970: when it was last known to be in step, as far as its group's polls don't tell. */
  inStepAt: number;
  /** Monotonic time of the poll that made it due; since then it waits to be looked at, and polls say nothing of it. */
  toldAt: number | undefined;
  /** The last poll that found news for it, or would have. */
  toldIn: Poll | undefined;
  /** Milliseconds since 1970 by when a provider wants to have rotated the first of its sources, as the last poll was told. */
  nextRotation: number | undefined;
}

export interface Group {
  readonly id: string;
  readonly name: string;
  readonly intervalMs: number;
  readonly members: Set<Member>;
  /** Monotonic time of the next poll, or of the one that runs. */
  dueAt: number;
  /** Seconds since 1970; 0 before the first poll. */
  lastSuccess: number;
  isPolling: boolean;
  cancel: Cancel;
}

/** One look at what all members of a group read. */
export interface Poll {
  readonly round: number;
  /** Monotonic: what was observed since then is fresh enough. */
  readonly since: number;
  readonly signal: AbortSignal;
  /** Objects that it made due. */
  due: number;
}

/** What a member knew when it left. */
export interface Left {
  readonly member: Member;
  readonly versions: readonly string[];
  /** Monotonic: until when it needs no look. In the past when a poll has made it due. */
  readonly dueAt: number;
  /** Seconds since 1970. */
  readonly lastSuccess: number;
}

/** Bytes, about, beside the texts. */
const WEIGHT_OF_A_MEMBER = 600;
const WEIGHT_OF_A_QUESTION = 350;
const WEIGHT_OF_A_GROUP = 1_000;

/** Seconds since 1970 when it was last known to be in step. */
export const lastSuccessOf = ({ group, inStepAt, toldAt }: Member): number =>
  toldAt === undefined ? Math.max(group.lastSuccess, inStepAt) : inStepAt;

/** Bytes that a member takes with its questions, and with its group if it is alone in it; about. */
export const weightOf = (
  reads: readonly (Source & { kind: "read" })[],
  versions: SourceVersions,
  isAlone: boolean,
): number =>
  reads.reduce(
    (sum, { ref, id }) => {
      const version = versions.get(id);
      const texts = [ref.key, ref.versionStage ?? "", typeof version === "string" ? version : ""];
      return sum + WEIGHT_OF_A_QUESTION + texts.join("").length;
    },
    WEIGHT_OF_A_MEMBER + (isAlone ? WEIGHT_OF_A_GROUP : 0),
  );
