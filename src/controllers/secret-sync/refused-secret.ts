import { listOf, recordOf, textOf } from "../../api/loose.ts";
import type { Failure } from "../../api/reasons.ts";
import type { ApiError, FieldConflict, KubeObject } from "../../kube/kube-api.ts";
import type { ApplySecret, SecretStep } from "../../plan/step.ts";
import { quoted } from "../../plan/text.ts";

/** Why the apiserver refuses to write a Secret, in words that say what to do. */

const OF_DATA = ".data.";

/** Fields that others hold and that this step may not take from them. */
export function foreignFields(step: SecretStep, { conflicts }: ApiError): readonly FieldConflict[] {
  if (step.kind !== "applySecret" || step.ownKeys === undefined) return [];
  const own = new Set([
    ...step.ownKeys.map((key) => `${OF_DATA}${key}`),
    ...Object.keys(step.annotations).map((name) => `.metadata.annotations.${name}`),
    ...Object.keys(step.labels).map((name) => `.metadata.labels.${name}`),
  ]);
  return conflicts.filter(({ field }) => !own.has(field));
}

export function conflictOf(step: SecretStep, error: ApiError): Failure | undefined {
  const [first] = foreignFields(step, error);
  if (!first) return undefined;
  if (first.field.startsWith(OF_DATA))
    return keyTaken(step.name, first.field.slice(OF_DATA.length), first.manager);
  return belongsTo(step.name, quoted(first.field), first.manager);
}

export const keyTaken = (secret: string, key: string, manager: string | undefined): Failure =>
  belongsTo(secret, `key ${quoted(key)}`, manager);

const belongsTo = (secret: string, what: string, manager: string | undefined): Failure => ({
  reason: "TargetConflict",
  message: `spec.target: ${what} of Secret ${secret} belongs to ${manager === undefined ? "somebody else" : quoted(manager)}, and creationPolicy Merge changes only keys that it added; use another secretKey, or remove the key from the Secret`,
});

/** Who wrote the key, as far as managedFields tell. */
export function holderOf({ metadata }: KubeObject, key: string): string | undefined {
  const holds = (fields: unknown) => Object.hasOwn(recordOf(fields), `f:${key}`);
  const entry = listOf(metadata.managedFields)
    .map(recordOf)
    .find(({ fieldsV1 }) => holds(recordOf(fieldsV1)["f:data"]) || holds(recordOf(fieldsV1)["f:stringData"]));
  return textOf(entry?.["manager"], 128);
}

/** What of an update the apiserver says when the Secret has another type, or is immutable. */
const OTHER_TYPE = /^type \(FieldValue(Invalid|Forbidden)\)/;
const IMMUTABLE = /^(data|immutable) \(FieldValueForbidden\)/;
/** What it says of keys that the type asks for. */
const OF_A_KEY = /^data\[([^\]]+)\] \(FieldValue(Required|Invalid)\)$/;

export function failureOf(step: SecretStep, error: ApiError): Failure {
  const where = `spec.target: Secret ${step.name}`;
  if (error.status === 403) {
    return {
      reason: "WriteFailed",
      message: `${where}: the operator may not write it; check its Role, quotas and admission policies, and whether the namespace is being deleted`,
    };
  }
  if (error.status === 404)
    return { reason: "WriteFailed", message: `${where}: namespace ${step.namespace} doesn't exist` };
  if (error.status === 422 && step.kind === "applySecret") {
    const problem = problemOf(step, causesIn(error));
    if (problem) return problem;
  }
  // A webhook's own words may quote the object.
  const words = error.status >= 500 ? `the apiserver answered ${error.status}` : error.message;
  return { reason: "WriteFailed", message: `${where}: ${words}` };
}

const causesIn = ({ message }: ApiError): readonly string[] =>
  message.replace(/^[^:]*: /, "").split(/, (?=\S+ \([A-Z])/);

function problemOf({ name, uid, type }: ApplySecret, causes: readonly string[]): Failure | undefined {
  const where = `spec.target: Secret ${name}`;
  const isOfOtherType = causes.some((cause) => OTHER_TYPE.test(cause));
  const keys = causes.flatMap((cause) => {
    const [, key, what] = OF_A_KEY.exec(cause) ?? [];
    if (key === undefined) return [];
    return [`key ${quoted(key)} ${what === "Required" ? "is missing" : "holds something else"}`];
  });
  const asks = `a Secret of type ${type} asks for more: ${keys.join(", ")}`;
  if (uid !== undefined && (isOfOtherType || causes.some((cause) => IMMUTABLE.test(cause)))) {
    const what = isOfOtherType
      ? "has another type than spec.target.type, which can't be changed"
      : "is immutable, so its content can't be changed";
    const others = causes.filter(
      (cause) => ![OTHER_TYPE, IMMUTABLE, OF_A_KEY].some((known) => known.test(cause)),
    );
    const left = [...(keys.length > 0 ? [asks] : []), ...others];
    // A new one would be refused, too, and the old one be lost.
    const advice =
      left.length > 0
        ? `keep it, as the new one would be refused as well: ${left.join(", ")}; correct that first`
        : `${isOfOtherType ? "correct the type, or " : ""}delete it to have it written anew`;
    return { reason: "TargetImmutable", message: `${where} ${what}; ${advice}` };
  }
  if (keys.length === 0 || keys.length < causes.length) return undefined;
  return {
    reason: "WriteFailed",
    message: `${where}: ${asks}; add them to spec.data, or correct spec.target.type`,
  };
}
