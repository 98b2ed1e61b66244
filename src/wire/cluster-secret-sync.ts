import { CONCURRENCY, queuePolicy, type Lane } from "../controllers/cluster-secret-sync/lanes.ts";
import { newClusterReconciler } from "../controllers/cluster-secret-sync/reconciler.ts";
import { newClusterStatusWriter } from "../controllers/cluster-secret-sync/report.ts";
import { connectClusterTriggers } from "../controllers/cluster-secret-sync/triggers.ts";
import { newController } from "../controllers/controller.ts";
import type { Health } from "../controllers/health.ts";
import type { Views } from "../cluster/views.ts";
import type { KubeApi } from "../kube/kube-api.ts";
import { WorkQueue } from "../runtime/work-queue.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Parts } from "./parts.ts";

/** The engine of ClusterSecretSyncs. */
export function wireClusterSecretSync(
  parts: Parts,
  {
    api,
    views,
    metrics,
    health,
    onWrite,
  }: {
    readonly api: KubeApi;
    readonly views: Views;
    readonly metrics: Metrics;
    readonly health: Health;
    readonly onWrite: (kind: string) => void;
  },
) {
  const { clock, random } = parts;
  const queue = new WorkQueue<Lane>({ ...queuePolicy, shareOf: () => "", clock, random });
  connectClusterTriggers(views, queue);
  const controller = newController({
    ...parts,
    kind: "ClusterSecretSync",
    queue,
    concurrency: CONCURRENCY,
    lanes: { success: "event", failure: "failing" },
    reconcile: newClusterReconciler({
      ...parts,
      api,
      views,
      onWrite,
      writeStatus: newClusterStatusWriter(api, views, onWrite, health),
    }),
    metrics,
  });
  return { queue, run: () => controller.run() };
}
