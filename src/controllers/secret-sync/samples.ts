import { parseDuration } from "../../api/duration.ts";
import type { ObjectSample } from "../../telemetry/object-metrics.ts";
import type { Polling } from "./polling.ts";
import type { Views } from "../../cluster/views.ts";

/**
 * Each SecretSync as the metrics show it, and each once, although some come and go while others are looked at.
 * Only the leader tells, or two replicas would count everything twice.
 */
export function* objectSamples(
  views: Views,
  leads: boolean,
  polling: Pick<Polling, "lastSuccess" | "nextRotation">,
): Iterable<ObjectSample> {
  if (!leads) return;
  const objects = [...views.syncs.values()];
  for (const { key, metadata, spec, status } of objects) {
    const { refreshInterval, suspend } = (spec ?? {}) as { refreshInterval?: unknown; suspend?: unknown };
    // Nobody expects anything of what is suspended.
    if (suspend === true) continue;
    const ready = status.conditions?.find(({ type }) => type === "Ready");
    const restarted = status.conditions?.find(({ type }) => type === "Restarted");
    const interval = typeof refreshInterval === "string" ? parseDuration(refreshInterval) : undefined;
    yield {
      namespace: metadata.namespace ?? "",
      name: metadata.name,
      ready: ready?.status === "True",
      reason: ready?.reason ?? "",
      pendingRestart: restarted?.status === "False" ? restarted.reason : "",
      refreshInterval: (interval ?? 0) / 1000,
      // Before the operator has looked, what failed already was in step when it began to fail at the latest.
      lastSuccess: polling.lastSuccess(key) ?? (ready?.status === "False" ? failingSince(ready) : undefined),
      nextRotation: polling.nextRotation(key),
    };
  }
}

const failingSince = ({ lastTransitionTime }: { lastTransitionTime: string }): number | undefined =>
  Date.parse(lastTransitionTime) / 1000 || undefined;
