import type { Views } from "../../cluster/views.ts";

/** Of each ClusterSecretSync, as the metrics show it, whether it is ready. */
export function* clusterSamples({ clusterSyncs }: Pick<Views, "clusterSyncs">): Iterable<boolean> {
  for (const { status } of clusterSyncs.values())
    yield status.conditions?.some((each) => each.type === "Ready" && each.status === "True") ?? false;
}
