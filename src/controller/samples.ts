import { parseDuration } from "../api/duration.ts";
import type { ObjectSample } from "../telemetry/metrics.ts";
import type { Freshness } from "./freshness.ts";
import type { Views } from "./views.ts";

/** Each SecretSync as the metrics show it. Only the leader tells, or two replicas would count everything twice. */
export function* objectSamples(views: Views, leads: boolean, freshness: Freshness): Iterable<ObjectSample> {
  if (!leads) return;
  for (const { key, metadata, spec, status } of views.syncs.values()) {
    const { refreshInterval, suspend } = (spec ?? {}) as { refreshInterval?: unknown; suspend?: unknown };
    // Nobody expects anything of what is suspended.
    if (suspend === true) continue;
    const ready = status.conditions?.find(({ type }) => type === "Ready");
    const interval = typeof refreshInterval === "string" ? parseDuration(refreshInterval) : undefined;
    yield {
      namespace: metadata.namespace ?? "",
      name: metadata.name,
      ready: ready?.status === "True",
      reason: ready?.reason ?? "",
      refreshInterval: (interval ?? 0) / 1000,
      lastSuccess: freshness.lastSuccess(key),
      nextRotation: freshness.nextRotation(key),
    };
  }
}
