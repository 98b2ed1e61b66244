import type * as z from "zod";

/**
 * A rule that one field's type cannot say. It is written twice on purpose: as CEL, so that the apiserver
 * refuses the manifest, and as code, because objects can be stored by an older CRD. A test feeds both the
 * same manifests.
 */
export interface Rule<T> {
  /** CEL over `self` (https://kubernetes.io/docs/reference/using-api/cel/). */
  readonly cel: string;
  readonly check: (value: T) => boolean;
  /** For a person: what is wrong and what to write instead. */
  readonly message: string;
}

export function withRules<S extends z.ZodType>(schema: S, ...rules: readonly Rule<z.output<S>>[]): S {
  let checked: S = schema;
  for (const { check, message } of rules) checked = checked.refine((value) => check(value), { message });
  return checked.meta({
    ...schema.meta(),
    "x-kubernetes-validations": rules.map(({ cel, message }) => ({ rule: cel, message })),
  });
}
