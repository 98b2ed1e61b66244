import { annotation, RESTART_FIELD_MANAGER } from "../../api/group.ts";
import type { WorkloadKind } from "../../api/secret-sync.ts";
import { ApiError, NoAnswerError, type KubeApi } from "../../kube/kube-api.ts";
import { resources } from "../../kube/resources.ts";
import type { ContentRecord } from "../../plan/digest.ts";
import type { Consumers, NoteConsumers, RestartConsumers } from "../../plan/step.ts";
import { projectWorkload, type Workload, type WorkloadObject } from "../../rollout/workload.ts";
import {
  isNoted,
  planDoubt,
  planRestart,
  slotOf,
  wasRestartedFor,
  type Look,
  type WorkloadWrite,
} from "../../rollout/plan-restart.ts";
import { sleep, type Clock } from "../../runtime/clock.ts";
import { RewriteDamper } from "./damper.ts";
import type { Task } from "../controller.ts";
import { newPodLooks } from "./pod-looks.ts";
import { Rollouts } from "./rollouts.ts";
import { explain, someOf, toldDamped, toldHeld, toldWaiting } from "./restart-words.ts";
import { WriteTimes } from "./write-times.ts";
import { workloadsOf, type Views } from "../../cluster/views.ts";

/** The steps of a plan that are about workloads: restarts each that is due, or notes on it what its pods run with. */

export interface Restarts {
  /** Kind/name of the workloads that run with the record's change because they were restarted for it, in order. */
  readonly restarted: readonly string[];
  /** What could not be restarted, and why. */
  readonly problem: string | undefined;
  /** What waits for somebody to act, and for what. */
  readonly waiting: string | undefined;
  /** Milliseconds until it is of use to try again: a workload that others change back, or pods that couldn't be looked at yet. */
  readonly retryInMs: number;
  /** Milliseconds until a rollout that is under way counts as stuck. */
  readonly lookInMs?: number | undefined;
}

const TRIES = 5;
const WATCH_LAG_MS = 50;
/** Within so much of its start a node reports that a container runs. */
const REPORTED_WITHIN_MS = 5_000;
/** Times in managedFields are of whole seconds. */
const SECOND = 1_000;

export interface Restarter {
  /** Who is due for a restart already stays due. Returns Kind/name of those on record. */
  note(step: NoteConsumers, task: Task): Promise<ReadonlySet<string>>;
  /** `written`: of a plan that has just written the content. */
  restart(step: RestartConsumers, task: Task, written?: Written): Promise<Restarts>;
}

/** What is known of content that was written a moment ago. */
export interface Written {
  /** Milliseconds since 1970 when the apiserver had it. */
  readonly at: number;
  /** Kind/name of the workloads that were on record before; undefined where there was nothing to note. */
  readonly noted: ReadonlySet<string> | undefined;
}

/** What became of one workload. */
type Outcome =
  | { readonly kind: "unchanged" | "noted" | "restarted" }
  | { readonly kind: "held"; readonly keys: readonly string[] }
  /** Its pods can only be looked at in so many milliseconds. */
  | { readonly kind: "later"; readonly waitMs: number }
  /** Somebody takes back what is written; it is written again in so many milliseconds. */
  | { readonly kind: "damped"; readonly waitMs: number; readonly by?: string | undefined };

export function newRestarter(options: {
  readonly api: KubeApi;
  readonly views: Views;
  readonly clock: Clock;
  /** `changedAt`: milliseconds since 1970 when the Secret changed, where that is known. */
  readonly onRestart: (
    kind: WorkloadKind,
    result: "success" | "failure",
    changedAt: number | undefined,
  ) => void;
  readonly onWrite: (kind: string) => void;
}): Restarter {
  const { api, views, clock, onRestart, onWrite } = options;
  const damper = new RewriteDamper(clock);
  const podLooks = newPodLooks(api, clock);
  const writeTimes = new WriteTimes();
  const rollouts = new Rollouts(clock);
  for (const store of Object.values(views.workloads))
    store.listen((before, after) => {
      if (!before || after) return;
      damper.forget(before.uid);
      rollouts.forget(before.uid);
    });

  return {
    async note({ consumers, record, touch }, task) {
      const noted = new Set<string>();
      for (const workload of workloadsFor(consumers)) {
        try {
          await bringUpToDate(workload, consumers, record, task, { mayRestart: false, touch });
          noted.add(nameOf(workload));
        } catch (error) {
          // The content is written all the same; then the pods of this one are looked at.
          if (!isItsOwn(error)) throw error;
        }
      }
      return noted;
    },

    async restart({ consumers, record, told }, task, written) {
      const { namespace, part, policy } = consumers;
      const failed: string[] = [];
      const waiting: string[] = [];
      let retryInMs = 0;
      const changedAt = record.change && Date.parse(record.change.at);
      const { at, noted } = written ?? {};
      const writtenAt = writeTimes.of(`${namespace}/${slotOf(part)}`, record.change?.at ?? "", at);
      const due = workloadsFor(consumers);
      for (const workload of due) {
        const name = nameOf(workload);
        try {
          const outcome = await bringUpToDate(workload, consumers, record, task, {
            mayRestart: true,
            wasNoted: told.has(name) || (noted !== undefined && !noted.has(name)),
            writtenAt,
          });
          if (outcome.kind === "restarted") onRestart(workload.kind, "success", changedAt);
          if (outcome.kind === "held") waiting.push(`${name} ${toldHeld(part, outcome.keys)}`);
          if (outcome.kind === "later") retryInMs = Math.max(retryInMs, outcome.waitMs);
          if (outcome.kind === "damped") {
            retryInMs = Math.max(retryInMs, outcome.waitMs);
            failed.push(`${name}: ${toldDamped(outcome.by)}`);
          }
        } catch (error) {
          if (!isItsOwn(error)) throw error;
          onRestart(workload.kind, "failure", changedAt);
          failed.push(`${name}: ${explain(error)}`);
        }
      }
      for (const { kind, name } of policy.targets ?? [])
        if (!views.workloads[kind].get(`${namespace}/${name}`))
          waiting.push(`${kind}/${name} isn't there: create it, or correct spec.restart.targets`);
      const restarted: string[] = [];
      let lookInMs: number | undefined;
      for (const { kind, name, key } of due) {
        const live = views.workloads[kind].get(key);
        if (!live || !wasRestartedFor(live, part, record.change)) continue;
        const leftMs = rollouts.leftMs(live);
        if (leftMs) lookInMs = Math.min(leftMs, lookInMs ?? Infinity);
        const cause = live.waitsFor ?? (leftMs === 0 ? "Stalled" : undefined);
        if (cause) waiting.push(`${kind}/${name} ${toldWaiting[cause]}`);
        else restarted.push(`${kind}/${name}`);
      }
      return {
        restarted: restarted.sort(),
        problem: someOf(failed),
        waiting: someOf(waiting),
        retryInMs,
        lookInMs,
      };
    },
  };

  function workloadsFor({ namespace, part, policy }: Consumers): readonly Workload[] {
    const consuming = workloadsOf(views, namespace, part.secretName);
    const found = new Map(consuming.map((workload) => [workload.uid, workload]));
    for (const { kind, name } of policy.targets ?? []) {
      const listed = views.workloads[kind].get(`${namespace}/${name}`);
      if (listed) found.set(listed.uid, listed);
    }
    return [...found.values()].filter(({ isOutline }) => !isOutline);
  }

  /** The write fails if the workload changed meanwhile; then it is looked at anew. `mayRestart`: else it is only noted. */
  async function bringUpToDate(
    seen: Workload,
    { part, policy }: Consumers,
    record: ContentRecord,
    { limit: { signal }, free }: Task,
    { mayRestart, ...known }: { readonly mayRestart: boolean } & Omit<Look, "readers">,
  ): Promise<Outcome> {
    const type = resources[seen.kind];
    const slot = slotOf(part);
    const at = record.change?.at ?? "";
    for (let workload = seen, tries = 1; ; tries++) {
      const look: Look = { ...known, wasNoted: known.wasNoted || damper.knows(workload.uid, slot) };
      let decision = planRestart(workload, part, policy, record, look);
      if (decision.kind === "nothing") return unchanged;
      // Before the pods are looked at, too: who takes things back all the time shall not have them listed all the time.
      const pause = damper.pause(workload.uid, slot, at);
      if (pause) {
        const { manager, at: changedAt = 0 } = workload.changedBy ?? {};
        const by = changedAt >= pause.writtenAt - SECOND ? manager : undefined;
        return { kind: "damped", waitMs: pause.waitMs, by };
      }
      let later: Outcome | undefined;
      if (decision.kind === "look") {
        // Pods of a namespace take their time, and it alone shall wait for them.
        free();
        const looked = await podLooks.look(workload, part.secretName, signal);
        if (looked.kind === "later") later = looked;
        else {
          const readers = looked.kind === "readers" ? looked.readers : "unknown";
          decision = planRestart(workload, part, policy, record, { ...look, readers });
          const isRestart = decision.kind === "write" && decision.write.restart;
          const waitMs = Math.max(Date.parse(at), known.writtenAt ?? 0) + REPORTED_WITHIN_MS - clock.now();
          if (!isRestart && looked.kind === "readers" && looked.areStarting && waitMs > 0)
            later = { kind: "later", waitMs };
        }
      }
      const isDue = decision.kind === "held" || (decision.kind === "write" && decision.write.restart);
      // The content is about to be another one, and this must not look like a workload that nobody knew.
      if (!mayRestart && (later ?? isDue)) {
        if (isNoted(workload, part)) return unchanged;
        decision = { kind: "write", write: planDoubt(workload, part) };
      } else if (later) return later;
      if (decision.kind !== "write") return decision.kind === "held" ? decision : unchanged;
      const { write } = decision;
      try {
        const options = { fieldManager: RESTART_FIELD_MANAGER, force: true };
        const written = await api.apply<WorkloadObject>(type, toObject(write), options, signal);
        onWrite(seen.kind);
        const now = projectWorkload(seen.kind, written);
        if (isNoted(now, part)) damper.wrote(workload.uid, slot, at, write.restart);
        else damper.forget(workload.uid, slot);
        views.workloads[seen.kind].set(now, "own");
        return { kind: write.restart ? "restarted" : "noted" };
      } catch (error) {
        if (!(error instanceof ApiError && error.conflict) || tries === TRIES) throw error;
      }
      // Workloads that others write all the time take long, and their namespace's alone shall wait for them.
      free();
      // The watch is about to bring what has changed; asking for it would need one more right.
      await sleep(clock, WATCH_LAG_MS * 2 ** tries, signal);
      const live = views.workloads[seen.kind].get(seen.key);
      if (live?.uid !== seen.uid) return unchanged;
      workload = live;
    }
  }
}

const unchanged: Outcome = { kind: "unchanged" };

const nameOf = ({ kind, name }: Workload): string => `${kind}/${name}`;

/** What concerns one workload only: the apiserver refuses it, or doesn't answer for it, as where a webhook hangs. */
const isItsOwn = (error: unknown): error is ApiError | NoAnswerError =>
  error instanceof ApiError || error instanceof NoAnswerError;

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
