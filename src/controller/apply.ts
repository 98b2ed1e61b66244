import type { KubeApi, KubeObject } from "../kube/kube-api.ts";
import { ApiError } from "../kube/kube-api.ts";
import { resources } from "../kube/resources.ts";
import type { Failure } from "../api/reasons.ts";
import { projectSecret } from "../plan/live-target.ts";
import { immutableProblem, type Step } from "../plan/plan.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import type { Views } from "./views.ts";

/** A Secret has the target's name that none of our watches shows. */
export class TargetExistsError extends Error {}

/** Beyond so many keys each step of the work takes milliseconds. */
const MANY_KEYS = 1_000;

/**
 * Step 4 of a reconcile: carries out the plan's steps, each idempotent, in order. The first failure ends it. Throws
 * TargetExistsError when a write that must create finds a Secret there.
 */
export function newApplier(api: KubeApi, views: Views, clock: Clock, onWrite: (kind: string) => void) {
  return async function apply(steps: readonly Step[], signal: AbortSignal): Promise<Failure | undefined> {
    for (const step of steps) {
      try {
        await (step.kind === "applySecret" ? applySecret(step, signal) : deleteSecret(step, signal));
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        if (error.conflict && step.kind === "applySecret" && step.createOnly) throw new TargetExistsError();
        return failureOf(step, error);
      }
    }
    return undefined;
  };

  async function applySecret(step: Step & { kind: "applySecret" }, signal: AbortSignal): Promise<void> {
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
    } = step;
    // So many have taken their time already; others get a turn.
    if (data.size > MANY_KEYS) await sleep(clock, 0, signal);
    const secret = {
      metadata: {
        name,
        namespace,
        ...(uid ? { uid } : {}),
        ...(createOnly ? { resourceVersion: "1" } : {}),
        labels,
        annotations,
        ownerReferences,
      },
      ...(type ? { type } : {}),
      ...(immutable ? { immutable } : {}),
      data: Object.fromEntries([...data].map(([key, value]) => [key, value.reveal().toString("base64")])),
    };
    // Only metadata comes back: values have no business in an answer.
    const options = { fieldManager, force: true, metadataOnly: true };
    const written = await api.apply<KubeObject>(resources.secret, secret, options, signal);
    onWrite("Secret");
    views.secrets.set(projectSecret(written), "own");
  }

  async function deleteSecret(step: Step & { kind: "deleteSecret" }, signal: AbortSignal): Promise<void> {
    await api.delete(resources.secret, step.name, step.namespace, step.uid, signal);
    onWrite("Secret");
    views.secrets.delete(`${step.namespace}/${step.name}`, step.uid, "own");
  }
}

function failureOf(step: Step, error: ApiError): Failure {
  const where = `spec.target: Secret ${step.name}`;
  if (error.status === 422 && /\b(type|data|immutable)\b/.test(error.message))
    return immutableProblem(step.name);
  if (error.status === 403) {
    return {
      reason: "WriteFailed",
      message: `${where}: the operator may not write it; check its Role and admission policies`,
    };
  }
  if (error.status === 404)
    return { reason: "WriteFailed", message: `${where}: namespace ${step.namespace} doesn't exist` };
  if (error.conflict)
    return {
      reason: "WriteFailed",
      message: `${where}: somebody replaced it at the same moment; trying again`,
    };
  // An admission webhook's own words may quote the object.
  const words = error.status >= 500 ? `the apiserver answered ${error.status}` : error.message;
  return { reason: "WriteFailed", message: `${where}: ${words}` };
}
