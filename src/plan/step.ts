import type { OwnerReference } from "../kube/kube-api.ts";
import type { SecretValue } from "../providers/secret-value.ts";

/** What a plan asks the shell to do, in order; each may be done again without harm. */
export type Step = ApplySecret | ReleaseSecret | DeleteSecret;

export interface ApplySecret {
  readonly kind: "applySecret";
  readonly fieldManager: string;
  /** Present: of what others changed or hold, only these keys may be taken; anything else is a conflict. */
  readonly ownKeys?: readonly string[];
  readonly name: string;
  readonly namespace: string;
  /** The apiserver refuses the write when the Secret is another one by then. */
  readonly uid?: string;
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
