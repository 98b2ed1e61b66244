import { listOf, recordOf, textOf } from "./loose.ts";
import { parseSpec } from "./parse.ts";
import type { Failure } from "./reasons.ts";
import { compilePattern, LARGEST_PATTERN, LARGEST_PATTERNS, patternSize } from "./regular-expression.ts";
import { secretSyncSpec, type SecretSyncSpec } from "./secret-sync.ts";

/**
 * Bounds on a whole SecretSync that no field's schema can say. They are looked at before the spec is parsed, since parsing
 * compiles its patterns. What passed them once and doesn't any more keeps its Secret: nothing is read or written.
 */

export type ParsedSync =
  { readonly ok: true; readonly value: SecretSyncSpec } | { readonly ok: false; readonly failure: Failure };

/** `bytes`: of the spec as JSON. */
export const boundProblem = (spec: unknown, bytes: number): Failure | undefined =>
  (bytes > LARGEST_SPEC ? tooLargeSpec(bytes) : undefined) ?? providersProblem(spec) ?? patternProblem(spec);

/** `bytes`: of the spec as JSON. */
export function parseSync(spec: unknown, bytes: number): ParsedSync {
  const problem = boundProblem(spec, bytes);
  if (problem) return { ok: false, failure: problem };
  const parsed = parseSpec(secretSyncSpec, spec);
  return parsed.ok ? parsed : { ok: false, failure: invalid(parsed.problems.join("; ")) };
}

/** Bytes of a spec as JSON. A spec of 256 entries takes some 40 KiB. */
export const LARGEST_SPEC = 128 * 1024;

const tooLargeSpec = (bytes: number): Failure => ({
  reason: "TooLarge",
  message: `spec: takes ${kib(bytes)} KiB as JSON, and may take ${kib(LARGEST_SPEC)} KiB; split it over several SecretSyncs`,
});

/** What about the patterns of a spec is too large; undefined for nothing. Takes a spec of any shape. */
function patternProblem(spec: unknown): Failure | undefined {
  let total = 0;
  for (const { field, source } of patternsOf(spec)) {
    const size = patternSize(source);
    if (size > LARGEST_PATTERN) {
      return invalid(
        `${field}: this pattern compiles to some ${size} instructions, and may to ${LARGEST_PATTERN}; use * or + instead of counts such as {1,99}, or shorten it`,
      );
    }
    total += size;
  }
  if (total > LARGEST_PATTERNS)
    return invalid(
      `spec.dataFrom: all patterns together compile to some ${total} instructions, and may to ${LARGEST_PATTERNS}; use fewer or simpler ones, or split the SecretSync`,
    );
  for (const { field, source, target } of patternsOf(spec)) {
    const group = target === undefined ? undefined : compilePattern(source)?.unknownGroup(target);
    if (group !== undefined) {
      return invalid(
        `${field.replace(/source$/, "target")}: names the group ${JSON.stringify(group)}, which the pattern doesn't have; write \${1}_x where text follows a group, and $$ for a dollar sign`,
      );
    }
  }
  return undefined;
}

const invalid = (message: string): Failure => ({ reason: "InvalidSpec", message });

const kib = (bytes: number): string => Math.ceil(bytes / 1024).toLocaleString("en");

interface PatternUse {
  readonly field: string;
  readonly source: string;
  /** Of a rewrite. */
  readonly target?: string;
}

function* patternsOf(spec: unknown): Iterable<PatternUse> {
  for (const [index, entry] of listOf(recordOf(spec)["dataFrom"]).entries()) {
    const field = `spec.dataFrom[${index}]`;
    const { find, rewrite } = recordOf(entry);
    const { regexp: name } = recordOf(recordOf(find)["name"]);
    if (typeof name === "string") yield { field: `${field}.find.name.regexp`, source: name };
    for (const [step, each] of listOf(rewrite).entries()) {
      const { source, target } = recordOf(recordOf(each)["regexp"]);
      if (typeof source !== "string") continue;
      yield {
        field: `${field}.rewrite[${step}].regexp.source`,
        source,
        ...(typeof target === "string" ? { target } : {}),
      };
    }
  }
}

/** Kind and name of each provider that a spec of any shape names; of more than may be, the first. */
export function providersNamed(spec: unknown): readonly { readonly kind: string; readonly name: string }[] {
  const { providerRef, data, dataFrom } = recordOf(spec);
  const found = new Map<string, { kind: string; name: string }>();
  const refs = [
    providerRef,
    ...[...listOf(data), ...listOf(dataFrom)].map((entry) => recordOf(entry)["providerRef"]),
  ];
  for (const ref of refs) {
    const name = textOf(recordOf(ref)["name"]);
    const kind = textOf(recordOf(ref)["kind"]) ?? "SecretProvider";
    if (name !== undefined) found.set(`${kind}/${name}`, { kind, name });
    if (found.size > MOST_PROVIDERS) break;
  }
  return [...found.values()];
}

/** Provider objects that one SecretSync may read. */
const MOST_PROVIDERS = 16;

const providersProblem = (spec: unknown): Failure | undefined =>
  providersNamed(spec).length > MOST_PROVIDERS
    ? invalid(`spec: reads more than ${MOST_PROVIDERS} providers; split it over several SecretSyncs`)
    : undefined;
