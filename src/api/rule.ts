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
    "x-kubernetes-validations": [
      ...((schema.meta()?.["x-kubernetes-validations"] ?? []) as readonly unknown[]),
      ...rules.map(({ cel, message }) => ({ rule: cel, message })),
    ],
  });
}

/**
 * A text of a certain form, told in words: of a pattern alone the apiserver would print the bare expression. The pattern
 * stays in the schema for the tools that check manifests without an apiserver.
 */
export const formed = (schema: z.ZodString, pattern: RegExp, message: string): z.ZodString =>
  schema.regex(pattern, { message }).meta({
    ...schema.meta(),
    "x-kubernetes-validations": [{ rule: matches("self", pattern), message }],
  });

/** CEL for: the text matches the pattern. */
export const matches = (text: string, { source }: RegExp): string =>
  `${text}.matches('${source.replaceAll("\\", "\\\\")}')`;
