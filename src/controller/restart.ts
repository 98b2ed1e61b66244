import { annotation, RESTART_FIELD_MANAGER } from "../api/group.ts";
import type { SecretSyncSpec, WorkloadKind } from "../api/secret-sync.ts";
import { ApiError, type KubeApi } from "../kube/kube-api.ts";
import { resources } from "../kube/resources.ts";
import type { ContentRecord, DigestKey } from "../plan/digest.ts";
import { projectWorkload, type Workload, type WorkloadObject } from "../restart/consumption.ts";
import {
  isAdopted,
  planRestart,
  wasRestartedFor,
  type Part,
  type WorkloadWrite,
} from "../restart/plan-restart.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import type { Task } from "./decide.ts";
import { workloadsOf, type Views } from "./views.ts";

/** Step 5 of a reconcile: restarts, or records the digest on, each workload that is due. */

export interface Restarts {
  /** Kind/name of the workloads that run with the record's change because they were restarted for it, in order. */
  readonly restarted: readonly string[];
  readonly problem: string | undefined;
}

const TRIES = 5;
const WATCH_LAG_MS = 50;

export function newRestarter(options: {
  readonly api: KubeApi;
  readonly views: Views;
  readonly clock: Clock;
  readonly digestKey: () => DigestKey;
  /** `changedAt`: milliseconds since 1970 when the Secret changed, where that is known. */
  readonly onRestart: (
    kind: WorkloadKind,
    result: "success" | "failure",
    changedAt: number | undefined,
  ) => void;
  readonly onWrite: (kind: string) => void;
}) {
  const { api, views, clock, digestKey, onRestart, onWrite } = options;

  return {
    /** Before the content changes: records it on consumers that nobody has recorded anything on yet. */
    async adopt(
      namespace: string,
      part: Part,
      policy: SecretSyncSpec["restart"],
      record: ContentRecord,
      task: Task,
    ): Promise<void> {
      for (const workload of candidates(namespace, part.secretName, policy)) {
        if (isAdopted(workload, part)) continue;
        // One that can't be written now fails to restart later, and that is told.
        await bringUpToDate(workload, part, policy, record, task).catch((error: unknown) => {
          if (!(error instanceof ApiError)) throw error;
        });
      }
    },

    async restart(
      namespace: string,
      part: Part,
      policy: SecretSyncSpec["restart"],
      record: ContentRecord,
      task: Task,
    ): Promise<Restarts> {
      const failed: string[] = [];
      const changedAt = record.change && Date.parse(record.change.at);
      const due = candidates(namespace, part.secretName, policy);
      for (const workload of due) {
        try {
          if (await bringUpToDate(workload, part, policy, record, task))
            onRestart(workload.kind, "success", changedAt);
        } catch (error) {
          if (!(error instanceof ApiError)) throw error;
          onRestart(workload.kind, "failure", changedAt);
          failed.push(`${workload.kind}/${workload.name}: ${explain(error)}`);
        }
      }
      const restarted = due
        .filter(({ kind, key }) => {
          const live = views.workloads[kind].get(key);
          return live && wasRestartedFor(live, part, record.change);
        })
        .map(({ kind, name }) => `${kind}/${name}`)
        .sort();
      return { restarted, problem: failed.length > 0 ? someOf(failed.sort()) : undefined };
    },
  };

  function candidates(
    namespace: string,
    secretName: string,
    policy: SecretSyncSpec["restart"],
  ): readonly Workload[] {
    const found = new Map(
      workloadsOf(views, namespace, secretName).map((workload) => [workload.uid, workload]),
    );
    for (const { kind, name } of policy.targets ?? []) {
      const listed = views.workloads[kind].get(`${namespace}/${name}`);
      if (listed) found.set(listed.uid, listed);
    }
    return [...found.values()].filter(({ isOutline }) => !isOutline);
  }

  /** True when it was restarted. The write fails if the workload changed meanwhile; then it is looked at anew. */
  async function bringUpToDate(
    seen: Workload,
    part: Part,
    policy: SecretSyncSpec["restart"],
    record: ContentRecord,
    { limit: { signal }, free }: Task,
  ): Promise<boolean> {
    const type = resources[seen.kind];
    for (let workload = seen, tries = 1; ; tries++) {
      const write = planRestart(workload, part, policy, record, digestKey());
      if (!write) return false;
      try {
        const options = { fieldManager: RESTART_FIELD_MANAGER, force: true };
        const written = await api.apply<WorkloadObject>(type, toObject(write), options, signal);
        onWrite(seen.kind);
        views.workloads[seen.kind].set(projectWorkload(seen.kind, written), "own");
        return write.restart;
      } catch (error) {
        if (!(error instanceof ApiError && error.conflict) || tries === TRIES) throw error;
      }
      // Workloads that others write all the time take long, and their namespace's alone shall wait for them.
      free();
      // The watch is about to bring what has changed; asking for it would need one more right.
      await sleep(clock, WATCH_LAG_MS * 2 ** tries, signal);
      const live = views.workloads[seen.kind].get(seen.key);
      if (live?.uid !== seen.uid) return false;
      workload = live;
    }
  }
}

function toObject({ workload, consumed, restartedFor }: WorkloadWrite): WorkloadObject {
  const { name, namespace, uid, resourceVersion } = workload;
  const metadata = {
    name,
    namespace,
    uid,
    resourceVersion,
    annotations: { [annotation.consumed]: consumed },
  };
  // What our field manager leaves out it gives up, and that would change the template: the value goes along.
  if (restartedFor === undefined) return { metadata };
  return {
    metadata,
    spec: { template: { metadata: { annotations: { [annotation.restartedFor]: restartedFor } } } },
  };
}

function explain(error: ApiError): string {
  if (error.status === 403) return "the operator may not patch it; check its Role";
  if (error.conflict) return "it changes all the time; trying again";
  return error.message;
}

const MOST_TOLD = 10;
const someOf = (failed: readonly string[]): string =>
  failed.length > MOST_TOLD ? `${failed.slice(0, MOST_TOLD).join("; ")}; and others` : failed.join("; ");
