import { annotation, API_VERSION } from "../api/group.ts";
import { listOf, recordOf, textOf, weightOf } from "../api/loose.ts";
import { LARGEST_SPEC, providersNamed } from "../api/secret-sync-bounds.ts";
import type { SecretSyncStatus } from "../api/secret-sync-status.ts";
import type { KubeObject, ObjectMeta } from "../kube/kube-api.ts";
import type { Weighed } from "../runtime/memory-budget.ts";

/** What is kept of any object's metadata. Labels and annotations of others can be of any size, and nobody needs them. */
export type OwnMeta = Pick<
  ObjectMeta,
  | "name"
  | "namespace"
  | "uid"
  | "resourceVersion"
  | "generation"
  | "creationTimestamp"
  | "deletionTimestamp"
  | "annotations"
>;

/**
 * A SecretSync as the operator keeps it: spec as it was stored, checked when it is used. An outline holds only what views
 * and metrics need of spec and status; the rest is read again when the object is reconciled.
 */
export interface SyncObject extends Weighed {
  readonly metadata: OwnMeta;
  readonly spec: unknown;
  readonly status: SecretSyncStatus;
  readonly isOutline: boolean;
  /** Bytes of a spec as JSON that is too large to be kept at all. */
  readonly tooLarge?: number;
  /** The ClusterSecretSync that made it. */
  readonly maker?: Maker;
  /** One made it that is gone, as after a restore or a deletion with --cascade=orphan, and nobody else has it now. */
  readonly isOrphan?: true;
}

interface Maker {
  readonly uid: string;
  /** Fingerprint of the template as it was applied. */
  readonly template: string | undefined;
}

/** Tokens are times or random words; a longer one is cut. */
const LONGEST_REQUEST = 256;

export function metaOf({ metadata }: KubeObject): OwnMeta {
  const { name, namespace, uid, resourceVersion, generation, creationTimestamp, deletionTimestamp } =
    metadata;
  const requestedAt = recordOf(metadata.annotations)[annotation.requestedAt];
  return {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
    ...(generation === undefined ? {} : { generation }),
    ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
    ...(deletionTimestamp === undefined || deletionTimestamp === null ? {} : { deletionTimestamp }),
    ...(typeof requestedAt === "string"
      ? { annotations: { [annotation.requestedAt]: requestedAt.slice(0, LONGEST_REQUEST) } }
      : {}),
  };
}

export function projectSync(object: KubeObject): SyncObject {
  const { spec, status } = object as { spec?: unknown; status?: unknown };
  const metadata = metaOf(object);
  const weight = weightOf(spec, 4 * LARGEST_SPEC);
  const bytes = weight > LARGEST_SPEC / 2 ? Buffer.byteLength(JSON.stringify(spec)) : 0;
  const isTooLarge = bytes > LARGEST_SPEC;
  const kept: SyncObject = {
    key: `${metadata.namespace ?? ""}/${metadata.name}`,
    uid: metadata.uid ?? "",
    resourceVersion: metadata.resourceVersion ?? "",
    metadata,
    spec: isTooLarge ? outlineOfSpec(spec) : spec,
    status: recordOf(status),
    isOutline: false,
    // What is parsed from the spec is kept beside it.
    weight: (isTooLarge ? 0 : 2 * weight) + weightOf(status),
  };
  const maker = makerOf(object);
  return {
    ...kept,
    ...(isTooLarge ? { tooLarge: bytes } : {}),
    ...(maker ? { maker } : {}),
    ...(!maker && isOrphan(object) ? { isOrphan: true as const } : {}),
  };
}

const isOrphan = ({ metadata }: KubeObject): boolean =>
  textOf(recordOf(metadata.annotations)[annotation.template]) !== undefined &&
  !listOf(metadata.ownerReferences).some((owner) => recordOf(owner)["controller"] === true);

function makerOf({ metadata }: KubeObject): Maker | undefined {
  for (const owner of listOf(metadata.ownerReferences)) {
    const { kind, apiVersion, uid } = recordOf(owner);
    if (kind !== "ClusterSecretSync" || apiVersion !== API_VERSION || typeof uid !== "string") continue;
    return { uid, template: textOf(recordOf(metadata.annotations)[annotation.template]) };
  }
  return undefined;
}

/** Nothing of it is read or written until it is edited. An outline tells, too. */
export const isSuspended = (spec: unknown): boolean => recordOf(spec)["suspend"] === true;

export const outlineOfSync = (object: SyncObject): SyncObject => ({
  ...object,
  spec: outlineOfSpec(object.spec),
  status: outlineOfStatus(object.status),
  isOutline: true,
  weight: 0,
});

function outlineOfSpec(spec: unknown): unknown {
  const { target, refreshInterval } = recordOf(spec);
  const { name, creationPolicy } = recordOf(target);
  return {
    target: { name: textOf(name), creationPolicy: textOf(creationPolicy) },
    refreshInterval: textOf(refreshInterval),
    suspend: isSuspended(spec),
    data: providersNamed(spec).map((providerRef) => ({ providerRef })),
  };
}

function outlineOfStatus({ conditions, secretRef }: SecretSyncStatus): SecretSyncStatus {
  const told = conditions?.filter(({ type }) => type === "Ready" || type === "Restarted");
  return {
    ...(told ? { conditions: told.map((condition) => ({ ...condition, message: "" })) } : {}),
    ...(secretRef ? { secretRef } : {}),
  };
}

/** Specs are not checked here, so nothing about their shape is certain. */
const targetNameOf = ({ metadata, spec }: Pick<SyncObject, "metadata" | "spec">): string =>
  textOf(recordOf(recordOf(spec)["target"])["name"]) ?? metadata.name;

export const targetKeyOf = (object: SyncObject): string =>
  `${object.metadata.namespace ?? ""}/${targetNameOf(object)}`;

export const isMerging = ({ spec }: SyncObject): boolean =>
  recordOf(recordOf(spec)["target"])["creationPolicy"] === "Merge";

/** Namespace of a key, who takes turns and shares memory. */
export const namespaceOf = (key: string): string => key.slice(0, Math.max(0, key.indexOf("/")));
