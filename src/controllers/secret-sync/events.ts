import { API_VERSION } from "../../api/group.ts";
import type { SecretSyncStatus } from "../../api/secret-sync-status.ts";
import { ApiError, type KubeApi, type KubeObject, type ObjectMeta } from "../../kube/kube-api.ts";
import { apiVersionOf, resources } from "../../kube/resources.ts";
import { fingerprint } from "../../plan/digest.ts";
import type { Workload } from "../../rollout/workload.ts";
import type { Clock } from "../../runtime/clock.ts";

/** The object that an event is about. */
export interface About {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
}

export const aboutSync = ({ name, namespace = "", uid = "" }: ObjectMeta): About => ({
  apiVersion: API_VERSION,
  kind: "SecretSync",
  name,
  namespace,
  uid,
});

export const aboutWorkload = ({ kind, name, namespace, uid }: Workload): About => ({
  apiVersion: apiVersionOf(resources[kind]),
  kind,
  name,
  namespace,
  uid,
});

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

/**
 * Events are a courtesy: one that can't be written is logged and forgotten. They are written before the status that
 * they belong to, under a name that follows from the status before: so after a crash between the two, an event is neither
 * lost nor told twice.
 */
export function newEventRecorder(options: {
  readonly api: KubeApi;
  readonly clock: Clock;
  readonly onError: (error: unknown) => void;
  readonly onWrite: (kind: string) => void;
}) {
  const { api, clock, onError, onWrite } = options;
  return async function record(
    about: About,
    note: EventNote,
    before: SecretSyncStatus,
    signal: AbortSignal,
  ): Promise<void> {
    const now = new Date(clock.now()).toISOString();
    const event: EventObject = {
      metadata: {
        name: `${about.name.slice(0, LONGEST_NAME)}.${idOf(about, note, before)}`,
        namespace: about.namespace,
      },
      involvedObject: { ...about },
      ...note,
      message: note.message.slice(0, 1024),
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
      source: { component: "secretsync" },
      reportingComponent: "secretsync",
    };
    try {
      await api.create(resources.event, event, signal);
      onWrite("Event");
    } catch (error) {
      // It was told before a crash.
      if (!(error instanceof ApiError && error.conflict)) onError(error);
    }
  };
}

/** So that it stays a valid name with what follows. */
const LONGEST_NAME = 236;

const idOf = (about: About, note: EventNote, before: SecretSyncStatus): string =>
  fingerprint(about.uid, note, before);
