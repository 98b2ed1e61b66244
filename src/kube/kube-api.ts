import type { Admit } from "../runtime/paced-body.ts";
/** What the operator asks of the apiserver: six verbs on plain JSON objects, timestamps as strings; and tokens. */

export interface ResourceType {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly OwnerReference[];
  readonly managedFields?: readonly ManagedFields[];
}

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

/** The apiserver stores what it is given: everything here may be missing. */
export interface ManagedFields {
  readonly manager?: string;
  readonly operation?: string;
  readonly time?: string;
  readonly fieldsV1?: Readonly<Record<string, unknown>>;
  readonly subresource?: string;
}

export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
}

export interface ObjectList<T> {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
  readonly items: readonly T[] | null;
}

export type WatchEvent<T> = {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK";
  readonly object: T;
};

export interface Selection {
  /** All namespaces when absent. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Only metadata comes over the wire, as PartialObjectMetadata. */
  readonly metadataOnly?: boolean;
}

export interface KubeApi {
  /** undefined when there is no such object. */
  get<T extends KubeObject>(
    type: ResourceType,
    name: string,
    namespace: string | undefined,
    signal: AbortSignal,
    options?: { metadataOnly?: boolean },
  ): Promise<T | undefined>;
  /**
   * Throws AnswerTooLargeError when the answer has more than `mostBytes`; `strict`: ApiError when it has more objects than were
   * asked for, which otherwise is fine, as where an apiserver answers from its cache.
   */
  list<T extends KubeObject>(
    type: ResourceType,
    options: Selection & { limit: number; continue?: string; mostBytes?: number; strict?: boolean },
    signal: AbortSignal,
  ): Promise<ObjectList<T>>;
  /** `onOpen`: the server has begun to answer. Ends when the server ends it; throws ApiError for an error in the stream. Bookmarks are asked for. */
  watch<T extends KubeObject>(
    type: ResourceType,
    options: Selection & { resourceVersion: string; timeoutSeconds: number; onOpen?: () => void },
    signal: AbortSignal,
  ): AsyncIterable<WatchEvent<T>>;
  /**
   * Server-side apply. A uid or resourceVersion in metadata is a precondition: the server answers 409 when the
   * object is another one or has changed. Any resourceVersion on an object that doesn't exist yet is ignored, so "1"
   * means: only create. https://kubernetes.io/docs/reference/using-api/server-side-apply/
   */
  apply<T extends KubeObject>(
    type: ResourceType,
    object: KubeObject,
    options: { fieldManager: string; force: boolean; subresource?: "status"; metadataOnly?: boolean },
    signal: AbortSignal,
  ): Promise<T>;
  /** Fails with 409 when it exists. */
  create<T extends KubeObject>(type: ResourceType, object: T, signal: AbortSignal): Promise<T>;
  /** A missing object is fine; another uid or resourceVersion is a 409. */
  delete(
    type: ResourceType,
    name: string,
    namespace: string | undefined,
    preconditions: { uid: string; resourceVersion?: string },
    signal: AbortSignal,
  ): Promise<void>;
  /**
   * A token of the ServiceAccount; undefined when there is no such account. `audiences`: empty for the apiserver itself.
   * https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/
   */
  requestToken(
    account: { namespace: string; name: string },
    options: { audiences: readonly string[]; seconds: number },
    signal: AbortSignal,
  ): Promise<ServiceAccountToken | undefined>;
}

export interface ServiceAccountToken {
  readonly token: string;
  /** Milliseconds, as the apiserver says; it may be another time than what was asked for. */
  readonly lifeMs: number;
}

export interface FieldConflict {
  readonly field: string;
  readonly manager: string;
}

/** The apiserver has taken the request and doesn't answer. */
export class NoAnswerError extends Error {
  constructor(server: string) {
    super(`no answer from ${server} in time`);
    this.name = "NoAnswerError";
  }
}

/** Lets in what somebody else's objects make large, as there is time for it. */
export interface AnswerPace {
  /** For each answer: resolves when so many bytes may be worked on. */
  readonly admitAnswer: () => Admit;
  /** For each watch: resolves when an event of so many bytes may be. */
  readonly streamPace: () => Admit;
}

/** The answer is larger than what the caller can take at once. */
export class AnswerTooLargeError extends Error {
  readonly tooLarge = true;

  constructor(most: string) {
    super(`the apiserver's answer has more than ${most}`);
  }
}

/** An answer of the apiserver that is not a success. Its message never holds a request's body. */
export class ApiError extends Error {
  readonly status: number;
  /** The machine-readable word of the apiserver's Status, such as Conflict. */
  readonly reason: string;
  readonly retryAfterSeconds: number | undefined;
  /** Of an apply without force: paths of the fields that others own, such as .data.password, and who does. */
  readonly conflicts: readonly FieldConflict[];

  constructor(
    status: number,
    reason: string,
    message: string,
    retryAfterSeconds?: number,
    conflicts: readonly FieldConflict[] = [],
  ) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.reason = reason;
    this.retryAfterSeconds = retryAfterSeconds;
    this.conflicts = conflicts;
  }

  /** The resource version or page token is too old: list again. */
  get expired(): boolean {
    return this.status === 410;
  }

  get conflict(): boolean {
    return this.status === 409;
  }

  /**
   * namespace/name of an object that the apiserver has and can't decrypt: no list that covers it gets an answer.
   * https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/#fix-unreadable-secrets
   */
  get unreadable(): string | undefined {
    if (this.status < 429) return undefined;
    const [, key] =
      /(?:corrupt object.*? Key: |unable to transform key ")([^\s,"]+)/.exec(this.message) ?? [];
    // What is before it depends on how etcd is set up.
    return key?.split("/").slice(-2).join("/");
  }

  /** Trying again is all that there is to do. */
  get isTransient(): boolean {
    return [409, 429, 502, 503, 504].includes(this.status);
  }
}
