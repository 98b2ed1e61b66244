import type { KubeApi, KubeObject } from "../kube/kube-api.ts";
import { ApiError } from "../kube/kube-api.ts";
import { resources } from "../kube/resources.ts";
import type { Failure } from "../api/reasons.ts";
import { projectSecret } from "../plan/live-target.ts";
import { immutableProblem } from "../plan/plan.ts";
import type { Step } from "../plan/step.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import type { Views } from "./views.ts";

/** What the apiserver refused, and what is left to do. */
export interface Problem {
  readonly failure: Failure;
  readonly step: Step;
}

/** A Secret has the target's name that none of our watches shows. */
export class TargetExistsError extends Error {}

/** Beyond so many keys each step of the work takes milliseconds. */
const MANY_KEYS = 1_000;

/**
 * Step 4 of a reconcile: carries out the plan's steps, each idempotent, in order. The first failure ends it. Throws
 * TargetExistsError when a write that must create finds a Secret there.
 */
export function newApplier(api: KubeApi, views: Views, clock: Clock, onWrite: (kind: string) => void) {
  return async function apply(steps: readonly Step[], signal: AbortSignal): Promise<Problem | undefined> {
    for (const step of steps) {
      try {
        await carryOut(step, signal);
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        if (error.conflict && step.kind === "applySecret" && step.createOnly) throw new TargetExistsError();
        // The apiserver is busy or away, or the Secret has changed under our hands: that is nobody's state.
        if (error.isTransient) throw error;
        return { failure: failureOf(step, error), step };
      }
    }
    return undefined;
  };

  function carryOut(step: Step, signal: AbortSignal): Promise<void> {
    switch (step.kind) {
      case "applySecret":
        return applySecret(step, signal);
      case "releaseSecret":
        return releaseSecret(step, signal);
      case "deleteSecret":
        return deleteSecret(step, signal);
    }
  }

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

  async function releaseSecret(step: Step & { kind: "releaseSecret" }, signal: AbortSignal): Promise<void> {
    const { name, namespace, uid, fieldManager } = step;
    const options = { fieldManager, force: true, metadataOnly: true };
    const written = await api.apply<KubeObject>(
      resources.secret,
      { metadata: { name, namespace, uid } },
      options,
      signal,
    );
    onWrite("Secret");
    views.secrets.set(projectSecret(written), "own");
  }

  async function deleteSecret(step: Step & { kind: "deleteSecret" }, signal: AbortSignal): Promise<void> {
    const { name, namespace, uid, resourceVersion } = step;
    await api.delete(resources.secret, name, namespace, { uid, resourceVersion }, signal);
    onWrite("Secret");
    views.secrets.delete(`${step.namespace}/${step.name}`, step.uid, "own");
  }
}

/** What of an update the apiserver says when the Secret is immutable or has another type. */
const IMMUTABLE = /\b(type \(FieldValue(Invalid|Forbidden)\)|(data|immutable) \(FieldValueForbidden\))/;

function failureOf(step: Step, error: ApiError): Failure {
  const where = `spec.target: Secret ${step.name}`;
  const isUpdate = step.kind === "applySecret" && step.uid !== undefined;
  if (error.status === 422 && isUpdate && IMMUTABLE.test(error.message)) return immutableProblem(step.name);
  if (error.status === 403) {
    return {
      reason: "WriteFailed",
      message: `${where}: the operator may not write it; check its Role, quotas and admission policies, and whether the namespace is being deleted`,
    };
  }
  if (error.status === 404)
    return { reason: "WriteFailed", message: `${where}: namespace ${step.namespace} doesn't exist` };
  // A webhook's own words may quote the object.
  const words = error.status >= 500 ? `the apiserver answered ${error.status}` : error.message;
  return { reason: "WriteFailed", message: `${where}: ${words}` };
}
