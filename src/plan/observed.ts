import type { SecretSyncSpec } from "../api/secret-sync.ts";
import type { SecretSyncStatus } from "../api/secret-sync-status.ts";
import type { ObjectMeta } from "../kube/kube-api.ts";
import { annotation, FIELD_MANAGER, mergeFieldManager } from "../api/group.ts";
import type { DigestKey, KeyDigests } from "./digest.ts";
import type { LiveTarget } from "./live-target.ts";
import type { Source } from "./sources.ts";

/** Everything known when a decision is made. */
export interface Observed {
  readonly metadata: ObjectMeta & { readonly namespace: string; readonly uid: string };
  readonly spec: SecretSyncSpec;
  /** What the spec reads. */
  readonly sources: readonly Source[];
  readonly status: SecretSyncStatus;
  /** The Secret with the target's name, if one is known. */
  readonly target: LiveTarget | undefined;
  /** The target exists, and is of a type that the operator never writes. */
  readonly targetRefused: boolean;
  /** Of the field managers that the target has: those of other SecretSyncs that write it now, whole or in part. */
  readonly otherManagers: readonly string[];
  /** Digests of what the target holds, where only its values tell (live-content.ts). */
  readonly live?: KeyDigests;
  /** Whether somebody else's Secret may have the target's name: then the write must only create. */
  readonly targetUnseen: boolean;
  /** Another SecretSync that has the better claim to write the same Secret as a whole. */
  readonly winner: string | undefined;
  /** The Secret that an earlier spec named, if it is still ours. */
  readonly abandoned: LiveTarget | undefined;
  /** RFC 3339: since when the target, as we left it last, is gone or was changed by somebody; as far as we saw it. */
  readonly driftSince: string | undefined;
  readonly digestKey: DigestKey;
  /** Whether values that are fetched are written even if nothing seems to have changed: they are, from time to time. */
  readonly verify: boolean;
  /** The shortest time between two refreshes that the admin allows, in milliseconds. */
  readonly leastRefreshMs: number;
  /** RFC 3339: when this was observed. */
  readonly now: string;
}

export const targetName = (observed: Pick<Observed, "metadata" | "spec">): string =>
  observed.spec.target.name ?? observed.metadata.name;

export const merges = ({ spec }: Pick<Observed, "spec">): boolean => spec.target.creationPolicy === "Merge";

/** Who we are to the apiserver when we write the target. */
export const targetFieldManager = (observed: Observed): string =>
  merges(observed) ? mergeFieldManager(observed.metadata.uid) : FIELD_MANAGER;

/** Where the record of our content is; several SecretSyncs may merge into one Secret. */
export const recordAnnotation = (observed: Observed): string =>
  merges(observed) ? `${annotation.digests}-${observed.metadata.uid}` : annotation.digests;
