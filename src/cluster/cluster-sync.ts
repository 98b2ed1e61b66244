import { parseClusterSync, type ClusterSecretSyncSpec } from "../api/cluster-secret-sync.ts";
import type { ClusterSecretSyncStatus } from "../api/cluster-secret-sync.ts";
import { recordOf, weightOf } from "../api/loose.ts";
import type { Parsed } from "../api/parse.ts";
import { LARGEST_SPEC } from "../api/secret-sync-bounds.ts";
import type { KubeObject } from "../kube/kube-api.ts";
import type { Stored } from "../runtime/store.ts";
import { metaOf, type OwnMeta } from "./sync-object.ts";

/** A ClusterSecretSync as the operator keeps it. */
export interface ClusterSyncObject extends Stored {
  readonly metadata: OwnMeta;
  readonly spec: Parsed<ClusterSecretSyncSpec>;
  /** The SecretSyncs' spec as it was stored, so that no default of ours is written into it. */
  readonly template: unknown;
  readonly status: ClusterSecretSyncStatus;
}

export function projectClusterSync(object: KubeObject): ClusterSyncObject {
  const { spec, status } = object as { spec?: unknown; status?: unknown };
  const metadata = metaOf(object);
  const isTooLarge = weightOf(spec, 4 * LARGEST_SPEC) > 2 * LARGEST_SPEC;
  return {
    key: metadata.name,
    uid: metadata.uid ?? "",
    resourceVersion: metadata.resourceVersion ?? "",
    metadata,
    spec: isTooLarge
      ? { ok: false, problems: ["spec: is too large; split it over several ClusterSecretSyncs"] }
      : parseClusterSync(spec),
    template: isTooLarge ? {} : recordOf(recordOf(spec)["template"])["spec"],
    status: recordOf(status),
  };
}
