import { annotation } from "../api/group.ts";
import type { ObjectMeta } from "../kube/kube-api.ts";
import type { Observed } from "./observed.ts";

/** What the history gives as the cause of a change. */
export type Trigger = "Created" | "Spec" | "Request" | "Refresh" | "Drift";

/** The token of the request to refresh that the object carries. */
export const requestOf = (metadata: ObjectMeta): string | undefined =>
  metadata.annotations?.[annotation.requestedAt];

export function triggerOf({ metadata, status }: Pick<Observed, "metadata" | "status">): Trigger {
  if (status.lastChangeTime === undefined) return "Created";
  if (status.observedGeneration !== metadata.generation) return "Spec";
  const request = requestOf(metadata);
  return request !== undefined && request !== status.lastHandledReconcileAt ? "Request" : "Refresh";
}
