import type { SecretSyncSpec } from "../api/secret-sync.ts";
import type { OwnerReference } from "../kube/kube-api.ts";
import type { SecretValue } from "../providers/secret-value.ts";
import type { ContentRecord } from "./digest.ts";

/** What a plan asks the shell to do, in order; each may be done again without harm. */
export type Step = SecretStep | NoteConsumers | RestartConsumers;
export type SecretStep = ApplySecret | ReleaseSecret | DeleteSecret;

/** Workloads that consume what a SecretSync answers for, or that it lists. */
export interface Consumers {
  readonly namespace: string;
  readonly part: Part;
  readonly policy: SecretSyncSpec["restart"];
}

/** What of a Secret a SecretSync answers for. */
export interface Part {
  readonly secretName: string;
  /** The SecretSync's uid where several merge keys into one Secret: each then answers for its own keys alone. */
  readonly mergedBy?: string | undefined;
}

/** Before the content changes: whoever consumes it is on record with the content that pods were started with. */
export interface NoteConsumers {
  readonly kind: "noteConsumers";
  readonly consumers: Consumers;
  /** Of the content as it is before. */
  readonly record: ContentRecord;
  /** The digest key is about to change, too. */
  readonly touch: boolean;
}

/** Whoever's pods run with older content is restarted; whoever's don't is noted. */
export interface RestartConsumers {
  readonly kind: "restartConsumers";
  readonly consumers: Consumers;
  /** Of the content as it is by then. */
  readonly record: ContentRecord;
  /** Kind/name of workloads that status tells as restarted at some time. */
  readonly told: ReadonlySet<string>;
}

export interface ApplySecret {
  readonly kind: "applySecret";
  readonly fieldManager: string;
  /** Present: of what others changed or hold, only these keys may be taken; anything else is a conflict. */
  readonly ownKeys?: readonly string[];
  readonly name: string;
  readonly namespace: string;
  /** The apiserver refuses the write when the Secret is another one by then. */
  readonly uid?: string;
  /** The version that was planned for: an answer with this one was no write. */
  readonly seen?: string;
  /** The apiserver refuses the write when there is a Secret of that name. */
  readonly createOnly?: true;
  readonly type?: string;
  readonly immutable?: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly ownerReferences: readonly OwnerReference[];
  readonly data: ReadonlyMap<string, SecretValue>;
}

/** Gives up all fields that the manager owns and nobody shares. */
export interface ReleaseSecret {
  readonly kind: "releaseSecret";
  readonly fieldManager: string;
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
}

export interface DeleteSecret {
  readonly kind: "deleteSecret";
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  /** The apiserver refuses when the Secret has changed since: somebody else may have taken it over. */
  readonly resourceVersion: string;
}
