import { annotation } from "../api/group.ts";
import { listOf, recordOf, textOf } from "../api/loose.ts";
import type { KubeObject } from "../kube/kube-api.ts";
import { consumptionOf, readersOf, type Reading } from "./consumption.ts";
import type { Workload } from "./workload.ts";

/** What of a Secret the pods of a workload can have read. Containers read their environment when they start, and never again. */

/** A container that was started and read the Secret. */
export interface Reader extends Reading {
  /** Milliseconds since 1970, by the node's clock, in whole seconds. */
  readonly startedAt: number;
}

/**
 * Containers that read the Secret, in pods of the workload's present template; others are about to be replaced. Those that run
 * count, and init containers that are done: what they made of the Secret is what the pod works with.
 * https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#PodStatus
 */
export function readersIn(pod: KubeObject, workload: Workload, secretName: string): readonly Reader[] {
  const { spec, status } = pod as KubeObject & { spec?: unknown; status?: unknown };
  if (!isOfTemplate(pod, workload) || !hasContainersOf(workload, spec, secretName)) return [];
  // Of a workload that reads it in a way which the template doesn't show, each container may.
  const isHidden = !Object.hasOwn(workload.consumes, secretName);
  const readings = readersOf(spec, secretName);
  const { containerStatuses, initContainerStatuses } = recordOf(status);
  const started = [
    ...listOf(containerStatuses).map((container) => [container, ["running"]] as const),
    ...listOf(initContainerStatuses).map((container) => [container, ["running", "terminated"]] as const),
  ];
  return started.flatMap(([container, states]) => {
    const { name, state } = recordOf(container);
    const reading: Reading | undefined = isHidden ? ANYTHING : readings.get(String(name));
    const times = states.map((of) => Date.parse(String(recordOf(recordOf(state)[of])["startedAt"])));
    const startedAt = times.find((time) => !Number.isNaN(time));
    return reading && startedAt !== undefined ? [{ startedAt, ...reading }] : [];
  });
}

/**
 * Whether a node is about to start it: containers may have got their environment already, and run before they are reported.
 */
export function isStarting(pod: KubeObject, workload: Workload): boolean {
  const { spec, status } = pod as KubeObject & { spec?: unknown; status?: unknown };
  const { phase, containerStatuses } = recordOf(status);
  if (!isOfTemplate(pod, workload) || recordOf(spec)["nodeName"] === undefined || phase !== "Pending")
    return false;
  const statuses = listOf(containerStatuses);
  const reasons = statuses.map((each) => recordOf(recordOf(recordOf(each)["state"])["waiting"])["reason"]);
  return statuses.length === 0 || reasons.some((reason) => BEFORE_START.has(String(reason)));
}

const BEFORE_START = new Set(["ContainerCreating", "PodInitializing"]);

function isOfTemplate({ metadata }: KubeObject, { restartedFor }: Workload): boolean {
  const mark = textOf(recordOf(metadata.annotations)[annotation.restartedFor], 64);
  return metadata.deletionTimestamp === undefined && mark === restartedFor;
}

const ANYTHING: Reading = { keys: "all", optional: true };

/** Whether the pod reads what the template does; a webhook may have put in containers that read more. */
function hasContainersOf({ consumes, requires }: Workload, podSpec: unknown, secretName: string): boolean {
  const ofPod = consumptionOf(podSpec);
  const keys = ofPod.consumes[secretName];
  const wanted = consumes[secretName];
  if (wanted === undefined) return true;
  if (keys === undefined || (wanted === "all" && keys !== "all")) return false;
  const hasKeys = keys === "all" || (wanted as readonly string[]).every((key) => keys.includes(key));
  const required = ofPod.requires[secretName] ?? [];
  return hasKeys && (requires[secretName] ?? []).every((key) => required.includes(key));
}
