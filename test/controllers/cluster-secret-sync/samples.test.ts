import { expect, it } from "@jest/globals";
import { clusterSamples } from "../../../src/controllers/cluster-secret-sync/samples.ts";
import type { Views } from "../../../src/cluster/views.ts";
import { projectClusterSync } from "../../../src/cluster/cluster-sync.ts";
import { Store } from "../../../src/runtime/store.ts";

it("tells of each ClusterSecretSync whether it is ready, also of one that nobody has looked at", () => {
  const clusterSyncs = new Store() as Views["clusterSyncs"];
  for (const [name, conditions] of [
    ["new", undefined],
    ["ready", [{ type: "Ready", status: "True" }]],
    [
      "failing",
      [
        { type: "Reconciling", status: "True" },
        { type: "Ready", status: "False" },
      ],
    ],
  ] as const)
    clusterSyncs.set(
      projectClusterSync({
        metadata: { name, uid: name, resourceVersion: "1" },
        status: conditions ? { conditions } : {},
      } as never),
    );
  expect([...clusterSamples({ clusterSyncs })]).toEqual([false, true, false]);
});
