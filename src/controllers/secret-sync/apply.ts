import type { Failure } from "../../api/reasons.ts";
import { ApiError, type KubeApi, type KubeObject } from "../../kube/kube-api.ts";
import { resources } from "../../kube/resources.ts";
import { projectSecret, type LiveTarget } from "../../plan/live-target.ts";
import type { ApplySecret, DeleteSecret, ReleaseSecret, SecretStep, Step } from "../../plan/step.ts";
import { sleep, type Clock } from "../../runtime/clock.ts";
import { conflictOf, failureOf, foreignFields, holderOf, keyTaken } from "./refused-secret.ts";
import type { Restarter, Restarts } from "./restart.ts";
import type { Views } from "../../cluster/views.ts";
import type { Task } from "../controller.ts";

/** What the apiserver refused of which step. */
export interface Problem {
  readonly failure: Failure;
  readonly step: SecretStep;
}

export interface Applied {
  /** What ended it. */
  readonly problem: Problem | undefined;
  /** The Secret as it was written; undefined when that changed nothing. */
  readonly written: LiveTarget | undefined;
  readonly restarts: Restarts;
}

type SecretObject = KubeObject & { readonly data?: Readonly<Record<string, string>> };

/** Somebody else's Secret has a key that was to be added. */
class KeyTakenError extends Error {
  readonly key: string;
  readonly manager: string | undefined;

  constructor(key: string, manager: string | undefined) {
    super("the key is taken");
    this.key = key;
    this.manager = manager;
  }
}

/** A Secret has the target's name that none of our watches shows. */
export class TargetExistsError extends Error {}

/** Beyond so many keys each step of the work takes milliseconds. */
const MANY_KEYS = 1_000;

export type Apply = (steps: readonly Step[], task: Task) => Promise<Applied>;

const noRestarts: Restarts = { restarted: [], problem: undefined, waiting: undefined, retryInMs: 0 };

/**
 * Step 4 of a reconcile: carries out the plan's steps, each idempotent, in order. The first write of a Secret that is refused ends it. Throws
 * TargetExistsError when a write that must create finds a Secret there.
 */
export function newApplier(options: {
  readonly api: KubeApi;
  readonly views: Views;
  readonly clock: Clock;
  readonly restarter: Restarter;
  readonly onWrite: (kind: string) => void;
}): Apply {
  const { api, views, clock, restarter, onWrite } = options;

  return async function apply(steps: readonly Step[], task: Task): Promise<Applied> {
    let written: LiveTarget | undefined;
    let restarts = noRestarts;
    let noted: ReadonlySet<string> | undefined;
    let writtenAt: number | undefined;
    for (const step of steps) {
      if (step.kind === "noteConsumers") noted = await restarter.note(step, task);
      else if (step.kind === "restartConsumers")
        restarts = await restarter.restart(
          step,
          task,
          writtenAt === undefined ? undefined : { at: writtenAt, noted },
        );
      else {
        try {
          const changed = await carryOut(step, task.limit.signal);
          if (step.kind !== "applySecret") continue;
          written = changed;
          if (changed) writtenAt = clock.now();
        } catch (error) {
          return { problem: { failure: refusalOf(step, error), step }, written, restarts };
        }
      }
    }
    return { problem: undefined, written, restarts };
  };

  /** Throws what is nobody's state: the apiserver is busy or away, or the Secret has changed under our hands. */
  function refusalOf(step: SecretStep, error: unknown): Failure {
    if (error instanceof KeyTakenError) return keyTaken(step.name, error.key, error.manager);
    if (!(error instanceof ApiError)) throw error;
    const conflict = conflictOf(step, error);
    if (conflict) return conflict;
    if (error.conflict && step.kind === "applySecret" && step.createOnly) throw new TargetExistsError();
    if (error.isTransient) throw error;
    return failureOf(step, error);
  }

  /** What is there now; undefined when nothing is, or nothing changed. */
  function carryOut(step: SecretStep, signal: AbortSignal): Promise<LiveTarget | undefined> {
    switch (step.kind) {
      case "applySecret":
        return applySecret(step, signal);
      case "releaseSecret":
        return releaseSecret(step, signal);
      case "deleteSecret":
        return deleteSecret(step, signal);
    }
  }

  async function applySecret(step: ApplySecret, signal: AbortSignal): Promise<LiveTarget | undefined> {
    const {
      name,
      namespace,
      uid,
      createOnly,
      labels,
      annotations,
      ownerReferences,
      type,
      immutable,
      data,
      fieldManager,
      ownKeys,
    } = step;
    // So many have taken their time already; others get a turn.
    if (data.size > MANY_KEYS) await sleep(clock, 0, signal);
    const seenAt = ownKeys && (await lookForKeys(step, ownKeys, signal));
    const resourceVersion = createOnly ? "1" : seenAt;
    const secret = {
      metadata: {
        name,
        namespace,
        ...(uid ? { uid } : {}),
        ...(resourceVersion ? { resourceVersion } : {}),
        labels,
        annotations,
        ownerReferences,
      },
      ...(type ? { type } : {}),
      ...(immutable ? { immutable } : {}),
      data: Object.fromEntries([...data].map(([key, value]) => [key, value.reveal().toString("base64")])),
    };
    // Only metadata comes back: values have no business in an answer.
    const write = (force: boolean) =>
      api.apply<KubeObject>(resources.secret, secret, { fieldManager, force, metadataOnly: true }, signal);
    const before = [step.seen, views.secrets.get(`${namespace}/${name}`)?.resourceVersion];
    let written: KubeObject;
    try {
      written = await write(ownKeys === undefined);
    } catch (error) {
      if (!(error instanceof ApiError) || foreignFields(step, error).length > 0) throw error;
      if (error.conflicts.length === 0) throw error;
      // Somebody changed only what we had added.
      written = await write(true);
    }
    return take(written, before);
  }

  /**
   * Before keys are added to somebody else's Secret: whether one is there already. The apiserver doesn't say so where nobody
   * owns the field, as after an apply of stringData. Returns the version that was looked at, so that nobody adds it meanwhile.
   */
  async function lookForKeys(
    { name, namespace, uid, data }: ApplySecret,
    ownKeys: readonly string[],
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const own = new Set(ownKeys);
    const added = [...data.keys()].filter((key) => !own.has(key));
    if (added.length === 0) return undefined;
    const live = await api.get<SecretObject>(resources.secret, name, namespace, signal);
    if (!live || live.metadata.uid !== uid) return undefined;
    const taken = added.find((key) => Object.hasOwn(live.data ?? {}, key));
    if (taken !== undefined) throw new KeyTakenError(taken, holderOf(live, taken));
    return live.metadata.resourceVersion;
  }

  /** An apply that changes nothing leaves the version as it was before it was sent, and is no write. */
  function take(written: KubeObject, before: readonly (string | undefined)[]): LiveTarget | undefined {
    if (before.includes(written.metadata.resourceVersion)) return undefined;
    onWrite("Secret");
    const target = projectSecret(written);
    views.secrets.set(target, "own");
    return target;
  }

  async function releaseSecret(step: ReleaseSecret, signal: AbortSignal): Promise<LiveTarget | undefined> {
    const { name, namespace, uid, fieldManager } = step;
    const before = [views.secrets.get(`${namespace}/${name}`)?.resourceVersion];
    const options = { fieldManager, force: true, metadataOnly: true };
    const written = await api.apply<KubeObject>(
      resources.secret,
      { metadata: { name, namespace, uid } },
      options,
      signal,
    );
    return take(written, before);
  }

  async function deleteSecret(step: DeleteSecret, signal: AbortSignal): Promise<LiveTarget | undefined> {
    const { name, namespace, uid, resourceVersion } = step;
    await api.delete(resources.secret, name, namespace, { uid, resourceVersion }, signal);
    onWrite("Secret");
    views.secrets.delete(`${step.namespace}/${step.name}`, step.uid, "own");
    return undefined;
  }
}
