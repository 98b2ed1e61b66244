import { annotation } from "../api/group.ts";
import { listOf, recordOf, textOf } from "../api/loose.ts";
import type { KubeObject } from "../kube/kube-api.ts";
import { consumptionOf, readersOf } from "./consumption.ts";
import type { Workload } from "./workload.ts";

/** What of a Secret the pods of a workload can have read. Containers read their environment when they start, and never again. */

/** When a container that reads the Secret was started. */
export interface Reader {
  /** Milliseconds since 1970, by the node's clock, in whole seconds. */
  readonly startedAt: number;
  /** It can have been started without the Secret. */
  readonly optional: boolean;
}

/**
 * Running containers that read the Secret, in pods of the workload's present template; others are about to be replaced.
 * https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#PodStatus
 */
export function readersIn(pod: KubeObject, workload: Workload, secretName: string): readonly Reader[] {
  const { metadata, spec, status } = pod as KubeObject & { spec?: unknown; status?: unknown };
  if (metadata.deletionTimestamp !== undefined) return [];
  const mark = textOf(recordOf(metadata.annotations)[annotation.restartedFor], 64);
  if (mark !== workload.restartedFor) return [];
  if (whatIsRead(consumptionOf(spec), secretName) !== whatIsRead(workload, secretName)) return [];
  // Of a workload that reads it in a way which the template doesn't show, each container may.
  const isHidden = !Object.hasOwn(workload.consumes, secretName);
  const readers = readersOf(spec, secretName);
  const { containerStatuses, initContainerStatuses } = recordOf(status);
  return [...listOf(containerStatuses), ...listOf(initContainerStatuses)].flatMap((container) => {
    const { name, state } = recordOf(container);
    const reader = isHidden ? { optional: true } : readers.get(String(name));
    const startedAt = Date.parse(String(recordOf(recordOf(state)["running"])["startedAt"]));
    return reader && !Number.isNaN(startedAt) ? [{ startedAt, optional: reader.optional }] : [];
  });
}

const whatIsRead = (
  { consumes, requires }: Pick<Workload, "consumes" | "requires">,
  secretName: string,
): string => JSON.stringify([consumes[secretName], requires[secretName]]);
