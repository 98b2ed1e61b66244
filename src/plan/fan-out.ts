import {
  MOST_TOLD,
  type ClusterSecretSyncSpec,
  type ClusterSecretSyncStatus,
} from "../api/cluster-secret-sync.ts";
import type { Condition } from "../api/fields.ts";
import { selects, type NamespaceFacts } from "./access.ts";
import { condition, cut } from "./condition.ts";
import { quoted } from "./text.ts";

/** What a ClusterSecretSync asks for: which SecretSyncs are missing, wrong or too many, and what is told of them. */

/** A SecretSync with the wanted name, or one that was made earlier. */
export interface ExistingSync {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** This ClusterSecretSync has made it. */
  readonly isOurs: boolean;
  /** Another one has, or one of this name that is gone. */
  readonly isAnothers: boolean;
  /** One that is gone has, and nobody else has it now. */
  readonly isOrphan: boolean;
  /** It has what the template says. */
  readonly isAsWanted: boolean;
  /** What somebody has set beside that, by its path. */
  readonly addition: string | undefined;
  /** Its Ready condition, if it tells of the spec that it has. */
  readonly ready: Pick<Condition, "status" | "reason" | "message"> | undefined;
}

export interface FanOutFacts {
  readonly name: string;
  readonly spec: ClusterSecretSyncSpec;
  readonly namespaces: Iterable<NamespaceFacts>;
  /** Names of namespaces that are being deleted, in which nothing can be made. */
  readonly ending: ReadonlySet<string>;
  readonly existing: Iterable<ExistingSync>;
}

export interface FanOut {
  /** Namespaces that get the SecretSync, or get it back as it should be. `uid` of the one that is there. */
  readonly apply: readonly { readonly namespace: string; readonly uid: string | undefined }[];
  readonly remove: readonly Pick<ExistingSync, "namespace" | "name" | "uid">[];
  readonly matched: readonly string[];
  /** Names in spec.namespaces.names that no namespace has. */
  readonly absent: readonly string[];
  /** Of these, by namespace, why the SecretSync isn't ready; undefined: nobody has told yet. */
  readonly unready: ReadonlyMap<string, Told | undefined>;
}

interface Told {
  readonly reason: string;
  readonly message: string;
}

export const nameOf = ({ name, spec }: Pick<FanOutFacts, "name" | "spec">): string =>
  spec.template.metadata?.name ?? name;

export function planFanOut({ name, spec, namespaces, ending, existing }: FanOutFacts): FanOut {
  const wanted = nameOf({ name, spec });
  const matched = [...namespaces].filter((each) => selects(spec.namespaces, each)).map((each) => each.name);
  const isMeant = new Set(matched);
  const isThere = (each: string) => isMeant.has(each) || ending.has(each);
  const absent = [...new Set(spec.namespaces.names)].filter((each) => !isThere(each));
  const byNamespace = new Map<string, ExistingSync>();
  const remove: ExistingSync[] = [];
  for (const sync of existing) {
    if (sync.name === wanted && isMeant.has(sync.namespace)) byNamespace.set(sync.namespace, sync);
    else if (sync.isOurs && (spec.deletionPolicy === "Delete" || isMeant.has(sync.namespace)))
      remove.push(sync);
  }
  const apply: { namespace: string; uid: string | undefined }[] = [];
  const unready = new Map<string, Told | undefined>();
  for (const namespace of matched) {
    const there = byNamespace.get(namespace);
    if (there && !there.isOurs && !there.isOrphan) {
      unready.set(namespace, nameTaken(wanted, there.isAnothers));
      continue;
    }
    if (!there?.isAsWanted) apply.push({ namespace, uid: there?.uid });
    if (!isReady(there?.ready, spec)) unready.set(namespace, there?.isAsWanted ? there.ready : undefined);
    else if (there?.addition !== undefined) unready.set(namespace, added(wanted, there.addition));
  }
  return { apply, remove, matched, absent, unready };
}

/** One that somebody has suspended isn't kept in step, whatever it told before. */
const isReady = (ready: ExistingSync["ready"], { template }: ClusterSecretSyncSpec): boolean =>
  ready?.status === "True" && (ready.reason !== "Suspended" || template.spec.suspend === true);

const added = (name: string, addition: string): Told => ({
  reason: "Added",
  message: `somebody has set ${quoted(addition)} of the SecretSync ${name}, beside what the template says; remove it, or set it in spec.template`,
});

const nameTaken = (name: string, isAnothers: boolean): Told => ({
  reason: "NameTaken",
  message: isAnothers
    ? `another ClusterSecretSync has made the SecretSync ${name} there, or one that is gone, and then it will be; else set spec.template.metadata.name`
    : `the namespace has a SecretSync ${name} of its own, which is left as it is; delete it with --cascade=orphan, which keeps its Secret, or set spec.template.metadata.name`,
});

/** Reasons of a ClusterSecretSync's Ready condition, and beside those of its SecretSyncs what status.failing may tell. */
export const fanOutReasons = {
  Synced: "All namespaces that are meant have a SecretSync that is ready.",
  Progressing: "SecretSyncs were just made or changed; their first result is waited for.",
  NamespacesFailing: "Some namespaces' SecretSyncs fail; status.failing names the first ten and why.",
  InvalidSpec: "The manifest breaks a rule; the message says which field and why.",
  Added:
    "In status.failing: somebody has set something of the SecretSync that the template doesn't set, so it may do something else.",
  NameTaken:
    "In status.failing: the namespace has a SecretSync of that name that this ClusterSecretSync hasn't made.",
  WriteFailed: "In status.failing: the apiserver didn't take the SecretSync; the message is its own.",
} as const;

/** `refused`: what the apiserver didn't take, by namespace. */
export function reportFanOut(
  before: ClusterSecretSyncStatus,
  generation: number | undefined,
  { matched, absent, unready }: FanOut,
  refused: ReadonlyMap<string, string>,
  at: string,
): ClusterSecretSyncStatus {
  const failing = [...unready]
    .flatMap(([namespace, told]) => (told ? [{ namespace, reason: told.reason, message: told.message }] : []))
    .concat([...refused].map(([namespace, message]) => ({ namespace, reason: "WriteFailed", message })))
    .sort((a, b) => (a.namespace < b.namespace ? -1 : 1));
  const failed = new Set(failing.map(({ namespace }) => namespace)).size;
  const ready = matched.length - new Set([...unready.keys(), ...refused.keys()]).size;
  const first = failing[0];
  const told: Pick<Condition, "status" | "reason" | "message"> = first
    ? {
        status: "False",
        reason: "NamespacesFailing",
        message: `${failed} of ${matched.length} namespaces fail, the first is ${first.namespace}: ${first.reason}: ${cut(first.message, LONGEST_MESSAGE)}`,
      }
    : ready < matched.length
      ? { status: "False", reason: "Progressing", message: "SecretSyncs were just made or changed" }
      : {
          status: "True",
          reason: "Synced",
          message: `${
            matched.length === 0
              ? "no namespace is meant by spec.namespaces"
              : `${plural(matched.length)} as wanted`
          }${missing(absent)}`,
        };
  return {
    ...withConditions(before, generation, told, at),
    namespaces: { matched: matched.length, ready, failed },
    ...(failing.length > 0
      ? {
          failing: failing
            .slice(0, MOST_TOLD)
            .map((each) => ({ ...each, message: cut(each.message, LONGEST_MESSAGE) })),
        }
      : {}),
  };
}

export const reportInvalidFanOut = (
  before: ClusterSecretSyncStatus,
  generation: number | undefined,
  problems: readonly string[],
  at: string,
): ClusterSecretSyncStatus => ({
  ...(before.namespaces ? { namespaces: before.namespaces } : {}),
  ...withConditions(
    before,
    generation,
    { status: "False", reason: "InvalidSpec", message: problems.join("; ") },
    at,
  ),
});

/** Reconciling and Stalled say the same while Ready is False. */
function withConditions(
  before: ClusterSecretSyncStatus,
  generation: number | undefined,
  { status, ...said }: Pick<Condition, "status" | "reason" | "message">,
  at: string,
): ClusterSecretSyncStatus {
  const more = said.reason === "InvalidSpec" ? "Stalled" : status === "True" ? undefined : "Reconciling";
  return {
    observedGeneration: generation ?? 0,
    conditions: [
      condition(before, generation, at, "Ready", status, said),
      ...(more ? [condition(before, generation, at, more, "True", said)] : []),
    ],
  };
}

/** Beside ten others. */
const LONGEST_MESSAGE = 512;
const plural = (count: number): string => (count === 1 ? "1 namespace is" : `${count} namespaces are`);

/** A name may be wrong, or its namespace still to come. */
const missing = ([first, ...others]: readonly string[]): string => {
  if (first === undefined) return "";
  const more = others.length > 0 ? ` and ${others.length} more of spec.namespaces.names` : "";
  return `; there is no namespace ${first}${more}`;
};
