import type { ClusterSecretSyncStatus } from "../../api/cluster-secret-sync.ts";
import type { ClusterSyncObject } from "../../cluster/cluster-sync.ts";
import type { Views } from "../../cluster/views.ts";
import type { KubeApi } from "../../kube/kube-api.ts";
import { fingerprint } from "../../plan/digest.ts";
import type { NamespaceFacts } from "../../plan/access.ts";
import {
  nameOf,
  planFanOut,
  reportFanOut,
  reportInvalidFanOut,
  type FanOutFacts,
} from "../../plan/fan-out.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Taken } from "../../runtime/work-queue.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Next, Task } from "../controller.ts";
import { newClusterApplier } from "./apply.ts";
import type { Lane } from "./lanes.ts";
import { MadeSyncs } from "./made.ts";
import { newClusterObserver } from "./observe.ts";

/**
 * One ClusterSecretSync, from what is to what should be:
 *
 *   observe namespaces and SecretSyncs ──► planFanOut ──► apply and delete ──► report
 */
export interface ClusterReconcilerOptions {
  readonly api: KubeApi;
  readonly views: Views;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onWrite: (kind: string) => void;
  readonly writeStatus: (
    object: ClusterSyncObject,
    status: ClusterSecretSyncStatus,
    signal: AbortSignal,
  ) => Promise<void>;
}

export function newClusterReconciler({ writeStatus, ...options }: ClusterReconcilerOptions) {
  const { api, views, clock } = options;
  const made = new MadeSyncs(clock);
  const existing = newClusterObserver(api, views, made);
  const carryOut = newClusterApplier({ ...options, made });

  return async function reconcile({ key }: Taken<Lane>, { limit: { signal } }: Task): Promise<Next> {
    const object = views.clusterSyncs.get(key);
    if (!object || object.metadata.deletionTimestamp !== undefined) return { kind: "gone" };
    const { generation } = object.metadata;
    const at = new Date(clock.now()).toISOString();
    if (!object.spec.ok) {
      const { problems } = object.spec;
      await writeStatus(object, reportInvalidFanOut(object.status, generation, problems, at), signal);
      return { kind: "rest", result: "stalled" };
    }
    const spec = object.spec.value;
    const name = nameOf({ name: key, spec });
    const template = fingerprint(object.template, spec.template.metadata ?? {});
    const plan = planFanOut({
      name: key,
      spec,
      ...namespacesOf(views),
      existing: await existing(object, name, template, signal),
    });
    const { refused, againInMs } = await carryOut({ object, spec, name, template }, plan, signal);
    await writeStatus(object, reportFanOut(object.status, generation, plan, refused, at), signal);
    if (refused.size > 0) return { kind: "backoff", atLeastMs: againInMs ?? 0 };
    if (againInMs !== undefined) return { kind: "at", at: clock.monotonic() + againInMs, result: "retry" };
    const until = made.awaitedUntil(object.uid);
    return until === undefined
      ? { kind: "rest", result: "success" }
      : { kind: "at", at: until, result: "success" };
  };
}

function namespacesOf(views: Views): Pick<FanOutFacts, "namespaces" | "ending"> {
  const namespaces: NamespaceFacts[] = [];
  const ending = new Set<string>();
  for (const { key, labels, isEnding } of views.namespaces.values()) {
    if (isEnding) ending.add(key);
    else namespaces.push({ name: key, labels });
  }
  return { namespaces, ending };
}
