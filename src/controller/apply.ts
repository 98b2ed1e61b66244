import type { FieldConflict, KubeApi, KubeObject } from "../kube/kube-api.ts";
import { ApiError } from "../kube/kube-api.ts";
import { resources } from "../kube/resources.ts";
import type { Failure } from "../api/reasons.ts";
import { projectSecret } from "../plan/live-target.ts";
import { immutableProblem } from "../plan/plan.ts";
import type { Step } from "../plan/step.ts";
import { quoted } from "../plan/text.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import type { Views } from "./views.ts";

/** What the apiserver refused, and what is left to do. */
export interface Problem {
  readonly failure: Failure;
  readonly step: Step;
}

export interface Applied {
  /** What ended it. */
  readonly problem: Problem | undefined;
  /** Whether writing the Secret changed anything. */
  readonly changedSecret: boolean;
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
  return async function apply(steps: readonly Step[], signal: AbortSignal): Promise<Applied> {
    let changedSecret = false;
    for (const step of steps) {
      try {
        const changed = await carryOut(step, signal);
        if (step.kind === "applySecret") changedSecret = changed;
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        const conflict = conflictOf(step, error);
        if (conflict) return { problem: { failure: conflict, step }, changedSecret };
        if (error.conflict && step.kind === "applySecret" && step.createOnly) throw new TargetExistsError();
        // The apiserver is busy or away, or the Secret has changed under our hands: that is nobody's state.
        if (error.isTransient) throw error;
        return { problem: { failure: failureOf(step, error), step }, changedSecret };
      }
    }
    return { problem: undefined, changedSecret };
  };

  /** Whether it changed anything. */
  function carryOut(step: Step, signal: AbortSignal): Promise<boolean> {
    switch (step.kind) {
      case "applySecret":
        return applySecret(step, signal);
      case "releaseSecret":
        return releaseSecret(step, signal);
      case "deleteSecret":
        return deleteSecret(step, signal);
    }
  }

  async function applySecret(step: Step & { kind: "applySecret" }, signal: AbortSignal): Promise<boolean> {
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
    const write = (force: boolean) =>
      api.apply<KubeObject>(resources.secret, secret, { fieldManager, force, metadataOnly: true }, signal);
    const before = views.secrets.get(`${namespace}/${name}`)?.resourceVersion;
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

  /** An apply that changes nothing leaves the version as it was before it was sent, and is no write. */
  function take(written: KubeObject, before: string | undefined): boolean {
    if (written.metadata.resourceVersion === before) return false;
    onWrite("Secret");
    views.secrets.set(projectSecret(written), "own");
    return true;
  }

  async function releaseSecret(
    step: Step & { kind: "releaseSecret" },
    signal: AbortSignal,
  ): Promise<boolean> {
    const { name, namespace, uid, fieldManager } = step;
    const before = views.secrets.get(`${namespace}/${name}`)?.resourceVersion;
    const options = { fieldManager, force: true, metadataOnly: true };
    const written = await api.apply<KubeObject>(
      resources.secret,
      { metadata: { name, namespace, uid } },
      options,
      signal,
    );
    return take(written, before);
  }

  async function deleteSecret(step: Step & { kind: "deleteSecret" }, signal: AbortSignal): Promise<boolean> {
    const { name, namespace, uid, resourceVersion } = step;
    await api.delete(resources.secret, name, namespace, { uid, resourceVersion }, signal);
    onWrite("Secret");
    views.secrets.delete(`${step.namespace}/${step.name}`, step.uid, "own");
    return true;
  }
}

const OF_DATA = ".data.";

/** Fields that others hold and that this step may not take from them. */
function foreignFields(step: Step, { conflicts }: ApiError): readonly FieldConflict[] {
  if (step.kind !== "applySecret" || step.ownKeys === undefined) return [];
  const own = new Set([
    ...step.ownKeys.map((key) => `${OF_DATA}${key}`),
    ...Object.keys(step.annotations).map((name) => `.metadata.annotations.${name}`),
    ...Object.keys(step.labels).map((name) => `.metadata.labels.${name}`),
  ]);
  return conflicts.filter(({ field }) => !own.has(field));
}

function conflictOf(step: Step, error: ApiError): Failure | undefined {
  const [first] = foreignFields(step, error);
  if (!first) return undefined;
  const what = first.field.startsWith(OF_DATA)
    ? `key ${quoted(first.field.slice(OF_DATA.length))}`
    : quoted(first.field);
  return {
    reason: "TargetConflict",
    message: `spec.target: ${what} of Secret ${step.name} belongs to ${quoted(first.manager)}, and creationPolicy Merge changes only keys that it added; use another secretKey, or remove the key from the Secret`,
  };
}

/** What of an update the apiserver says when the Secret is immutable or has another type. */
const IMMUTABLE = /\b(type \(FieldValue(Invalid|Forbidden)\)|(data|immutable) \(FieldValueForbidden\))/;

function failureOf(step: Step, error: ApiError): Failure {
  const where = `spec.target: Secret ${step.name}`;
  const isUpdate = step.kind === "applySecret" && step.uid !== undefined;
  if (error.status === 422 && isUpdate && IMMUTABLE.test(error.message)) {
    const others = error.message
      .replace(/^[^:]*: /, "")
      .split(/, (?=\S+ \([A-Z])/)
      .filter((cause) => !IMMUTABLE.test(cause));
    return immutableProblem(step.name, others);
  }
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
