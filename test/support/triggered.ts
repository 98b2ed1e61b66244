import { DriftTimes } from "../../src/cluster/drift.ts";
import { Freshness } from "../../src/controllers/secret-sync/freshness.ts";
import { lanes, type Lane } from "../../src/controllers/secret-sync/lanes.ts";
import { namespaceOf } from "../../src/cluster/sync-object.ts";
import { connectTriggers } from "../../src/controllers/secret-sync/triggers.ts";
import { newViews } from "../../src/cluster/views.ts";
import { WorkQueue } from "../../src/runtime/work-queue.ts";
import { FakeClock } from "./fake-clock.ts";

/** Views whose changes make SecretSyncs due, as the operator connects them. */
export function newTriggered(onError: (kind: string, error: unknown) => void) {
  const clock = new FakeClock();
  const views = newViews({ mostBytes: 1e9, onError, onLeftAlone: () => undefined });
  const queue = new WorkQueue<Lane>({
    lanes,
    bulkFrom: "periodic",
    bulkWorkers: 1,
    mostPerTurn: 1,
    shareOf: namespaceOf,
    togetherMs: 0,
    backoff: { firstMs: 1, mostMs: 1 },
    clock,
    random: () => 0,
  });
  const drift = new DriftTimes(clock);
  connectTriggers(views, queue, new Freshness(clock), clock, 0, drift);
  return { clock, views, queue, drift };
}
