import { API_VERSION } from "../api/group.ts";
import type { KubeApi, KubeObject, ObjectMeta } from "../kube/kube-api.ts";
import { resources } from "../kube/resources.ts";
import type { Clock } from "../runtime/clock.ts";

/** What `kubectl describe` shows: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/ */
export interface EventNote {
  readonly type: "Normal" | "Warning";
  /** Equal to the reason of the condition that it is about. */
  readonly reason: string;
  readonly message: string;
}

interface EventObject extends KubeObject {
  readonly involvedObject: Readonly<Record<string, string>>;
  readonly type: string;
  readonly reason: string;
  readonly message: string;
  readonly firstTimestamp: string;
  readonly lastTimestamp: string;
  readonly count: number;
  readonly source: { readonly component: string };
  readonly reportingComponent: string;
}

/** Events are a courtesy: one that can't be written is logged and forgotten. */
export function newEventRecorder(options: {
  readonly api: KubeApi;
  readonly clock: Clock;
  /** A name that no other event of the namespace has. */
  readonly newId: () => string;
  readonly onError: (error: unknown) => void;
  readonly onWrite: (kind: string) => void;
}) {
  const { api, clock, newId, onError, onWrite } = options;
  return function record(about: ObjectMeta, note: EventNote, signal: AbortSignal): void {
    const now = new Date(clock.now()).toISOString();
    const event: EventObject = {
      metadata: { name: `${about.name}.${newId()}`, namespace: about.namespace ?? "default" },
      involvedObject: {
        apiVersion: API_VERSION,
        kind: "SecretSync",
        name: about.name,
        namespace: about.namespace ?? "",
        uid: about.uid ?? "",
      },
      ...note,
      message: note.message.slice(0, 1024),
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
      source: { component: "secretsync" },
      reportingComponent: "secretsync",
    };
    api.create(resources.event, event, signal).then(() => onWrite("Event"), onError);
  };
}
