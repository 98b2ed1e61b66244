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
  /** Of a rule about the form of a text: for tools that check manifests without an apiserver. */
  readonly pattern?: string;
}

export function withRules<S extends z.ZodType>(schema: S, ...rules: readonly Rule<z.output<S>>[]): S {
  let checked: S = schema;
  for (const { check, message } of rules) checked = checked.refine((value) => check(value), { message });
  const pattern = rules.find((rule) => rule.pattern !== undefined)?.pattern;
  return checked.meta({
    ...schema.meta(),
    ...(pattern === undefined ? {} : { pattern }),
    "x-kubernetes-validations": rules.map(({ cel, message }) => ({ rule: cel, message })),
  });
}

/** A rule about the form of a text, told in words: of a pattern alone the apiserver would print the bare expression. */
export const form = (pattern: RegExp, message: string): Rule<string> => ({
  cel: matches("self", pattern),
  check: (text) => pattern.test(text),
  message,
  pattern: pattern.source,
});

/** CEL for: the text matches the pattern. Only JavaScript escapes slashes. */
export const matches = (text: string, { source }: RegExp): string =>
  `${text}.matches('${source.replaceAll("\\/", "/").replaceAll("\\", "\\\\")}')`;
