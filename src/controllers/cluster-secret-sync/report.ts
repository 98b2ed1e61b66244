import { metaOf } from "../../cluster/sync-object.ts";
import type { ClusterSyncObject } from "../../cluster/cluster-sync.ts";
import type { Views } from "../../cluster/views.ts";
import type { KubeApi } from "../../kube/kube-api.ts";
import { resources } from "../../kube/resources.ts";
import type { Health } from "../health.ts";
import { newStatusWriter } from "../status-writer.ts";

/** The last step: what is told of the namespaces. */
export const newClusterStatusWriter = (
  api: KubeApi,
  views: Views,
  onWrite: (kind: string) => void,
  health: Pick<Health, "failed" | "works">,
) =>
  newStatusWriter<ClusterSyncObject>({
    api,
    type: resources.clusterSecretSync,
    store: views.clusterSyncs,
    after(object, written, status) {
      const metadata = metaOf(written);
      return { ...object, metadata, resourceVersion: metadata.resourceVersion ?? "", status };
    },
    part: "status of ClusterSecretSyncs",
    onWrite,
    health,
  });
