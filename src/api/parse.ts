import type * as z from "zod";

/** Who mends these sees the others. */
const MOST_PROBLEMS = 10;

/** A spec that passed every rule, or sentences that each say where and what. */
export type Parsed<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problems: readonly string[] };

/** The code's own check, for objects that were stored under an older or a missing schema. */
export function parseSpec<S extends z.ZodType>(schema: S, spec: unknown): Parsed<z.output<S>> {
  const result = schema.safeParse(spec ?? {});
  if (result.success) return { ok: true, value: result.data };
  return {
    ok: false,
    problems: result.error.issues
      .slice(0, MOST_PROBLEMS)
      .map(({ path, message }) => `${fieldPath(path)}: ${message}`),
  };
}

/** spec.data[2].remoteRef, the way kubectl and the apiserver print it. */
function fieldPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, part) => (typeof part === "number" ? `${text}[${part}]` : `${text}.${String(part)}`),
    "spec",
  );
}
