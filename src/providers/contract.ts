import type { Failure } from "../api/reasons.ts";
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
  read(ref: RemoteRef, signal: AbortSignal): Promise<ReadResult>;
  readonly batch?: BatchRead | undefined;
  readonly versions?: VersionRead | undefined;
  readonly listing?: ListingRead | undefined;
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
