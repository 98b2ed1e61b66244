import type { LookupFunction } from "node:net";
import type { Failure } from "../api/reasons.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Admit } from "../runtime/paced-body.ts";
import type { SecretValue } from "./secret-value.ts";

/** The contract between the fetch layer and a secret store. Expected outcomes are values; a throw is a bug. */

/** One readable thing: a key in its current version, or in the version or stage that is asked for. */
export interface RemoteRef {
  readonly key: string;
  readonly version?: string | undefined;
  readonly versionStage?: string | undefined;
}

/** Which version of a secret there is, without its value. */
export interface RemoteVersion {
  /** Shown to users: one that derives from the content must be a keyed digest (StoreEnv.mark), or guesses could be tested. */
  readonly versionId: string;
  readonly versionStages: readonly string[];
}

export interface Missing {
  readonly kind: "missing";
  /** Where it was looked for, for people. */
  readonly place?: string;
}
export type Failed = { readonly kind: "failed"; readonly failure: ProviderFailure };

export type ReadResult =
  | ({
      readonly kind: "found";
      readonly value: SecretValue;
      /** Milliseconds since 1970 when the version was made, if the provider tells. */
      readonly changedAt?: number | undefined;
      /** Namespaces that its owner lets have it, as globs; absent: whoever the provider object lets. */
      readonly sharedWith?: readonly string[] | undefined;
      /** Where it was found, for people. */
      readonly place?: string;
    } & RemoteVersion)
  | Missing
  | Failed;
export type VersionResult = ({ readonly kind: "found" } & RemoteVersion & Rotation) | Missing | Failed;

export interface Rotation {
  /** Milliseconds since 1970 by when the provider wants to have rotated it; undefined when it isn't rotated by itself. */
  readonly nextRotation?: number | undefined;
}

export interface ProviderFailure extends Failure {
  /**
   * request: about this key only. provider: every other call would fail the same way now, so the fetch layer stops
   * calling for a while. batch: this identity may not read in batches, single reads may work.
   */
  readonly scope: "request" | "provider" | "batch";
  /** The provider asked to wait so long. */
  readonly retryAfterMs?: number | undefined;
}

/** A secret in a listing. */
export interface ListedSecret extends Rotation {
  readonly name: string;
  /** Other ways to name it, such as an ARN. */
  readonly aliases: readonly string[];
  readonly tags: Readonly<Record<string, string>>;
  /** Version id by staging label. */
  readonly versions: Readonly<Record<string, string>>;
}

export type ListResult =
  | { readonly kind: "page"; readonly secrets: readonly ListedSecret[]; readonly next?: string | undefined }
  | Failed;

/** Narrows a listing at the provider; the results are checked again on our side. */
export interface ListFilter {
  readonly namePrefix?: string | undefined;
  readonly tags?: Readonly<Record<string, string>> | undefined;
}

/** HTTPS_PROXY, HTTP_PROXY and NO_PROXY: https://nodejs.org/api/http.html#built-in-proxy-support */
export type ProxyEnv = Readonly<Record<string, string | undefined>>;

/**
 * A secret store, read as one identity. Whatever isn't `read` is a capability that a store may lack; the fetch layer then does
 * without.
 */
export interface SecretStore {
  /** Where it reads, as messages name it. */
  readonly place: string;
  /** The stage that a plain key means. */
  readonly currentStage: string;
  /** Bytes of a value at most. */
  readonly largest: number;
  read(ref: RemoteRef, signal: AbortSignal): Promise<ReadResult>;
  readonly batch?: BatchRead | undefined;
  readonly versions?: VersionRead | undefined;
  readonly listing?: ListingRead | undefined;
  readonly feed?: StoreFeed | undefined;
  close(): void;
}

/** Current versions of several keys in one call. */
export interface BatchRead {
  /** Keys in a call. */
  readonly most: number;
  /** By key. Failed: the call as a whole; with scope `batch`, single reads or a part of the keys may work. */
  read(keys: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, ReadResult> | Failed>;
}

/** The version only; no value is decrypted. */
export interface VersionRead {
  read(ref: RemoteRef, signal: AbortSignal): Promise<VersionResult>;
}

/** What there is, page by page. It may lag behind. */
export interface ListingRead {
  page(filter: ListFilter, next: string | undefined, signal: AbortSignal): Promise<ListResult>;
}

/** The store tells of changes by itself. */
export interface StoreFeed {
  /**
   * `onNews`: the key may have another value from now on; undefined: any may have, as after a gap. Runs until the signal aborts, or
   * throws when nothing more is told; it is run again then.
   */
  run(onNews: (key: string | undefined) => void, signal: AbortSignal): Promise<void>;
}

/** What a store is signed in to with, as a provider's spec names it. */
export type CredentialRef =
  /** The operator's own identity. `field`: what to set in the spec for another one. */
  | { readonly kind: "ambient"; readonly field: string }
  | {
      readonly kind: "secretKeys";
      /** Path in the spec. */
      readonly field: string;
      /** Absent: that of the provider object. */
      readonly namespace?: string | undefined;
      readonly name: string;
      readonly keys: readonly string[];
    }
  | {
      readonly kind: "serviceAccountToken";
      /** Path in the spec. */
      readonly field: string;
      /** Absent: that of the provider object. */
      readonly namespace?: string | undefined;
      readonly name: string;
      /** Whom the token is for; empty: the apiserver that makes it. */
      readonly audiences: readonly string[];
    };

/** Tokens of one ServiceAccount: each is good for some minutes, so whoever signs in asks for one each time. */
export interface TokenSource {
  token(signal: AbortSignal): Promise<string>;
  /** The token was refused: the account may be another one by now. */
  refused(): void;
}

/** For each reference: the values of its keys, in their order; a source of tokens; undefined for the operator's own identity. */
export type Credentials = readonly (readonly string[] | TokenSource | undefined)[];

/** What of a Secret's keys signs in; undefined where something else does. */
export const keysOf = (credential: Credentials[number]): readonly string[] | undefined =>
  Array.isArray(credential) ? (credential as readonly string[]) : undefined;

export function tokensOf(credential: Credentials[number]): TokenSource {
  if (credential && "token" in credential) return credential;
  throw new Error("a store asked for a token and was given something else");
}

/** Credentials that nothing can be signed in with. The message is for their owner: what to do, and nothing of what they hold. */
export class UnusableCredentials extends Error {}

/** What the process gives to every connection. */
export interface StoreEnv {
  readonly lookup: LookupFunction;
  /** HTTPS_PROXY, HTTP_PROXY and NO_PROXY, as the environment has them. */
  readonly proxyEnv: ProxyEnv | undefined;
  /** Most connections at once; each call at once needs its own. */
  readonly maxConnections: number;
  /** For the pieces of one answer. */
  readonly admitAnswer: () => Admit;
  /** For the pieces of one stream. */
  readonly streamPace: () => Admit;
  readonly clock: Clock;
  /** A keyed digest, for versions of what has none of its own. */
  readonly mark: (content: Uint8Array) => string;
}

/** A kind of store: one member of a provider's spec. */
export interface ProviderModule<Spec = unknown, Target = unknown> {
  /** Why this operator doesn't serve such a spec, with the field; undefined: it does. */
  problemOf(spec: Spec): string | undefined;
  credentials(spec: Spec): readonly CredentialRef[];
  /** Where a connection leads, as JSON: with the credentials, all that makes one connection differ from another. */
  target(spec: Spec): Target;
  /** Throws UnusableCredentials. */
  connect(target: Target, credentials: Credentials, env: StoreEnv): SecretStore;
}
