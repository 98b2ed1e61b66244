import { newDigestKey } from "../../src/plan/digest.ts";
import { compilePattern } from "../../src/api/regular-expression.ts";
import { parseSync } from "../../src/api/secret-sync-bounds.ts";
import type { SecretSyncSpec } from "../../src/api/secret-sync.ts";
import { contentSteps, type Content } from "../../src/plan/content.ts";
import type { Observed } from "../../src/plan/observed.ts";
import { plan } from "../../src/plan/plan.ts";
import { sourcesOf, type FetchedValues } from "../../src/plan/sources.ts";
import { MOST_AT_ONCE } from "../../src/plan/work.ts";
import { SecretValue } from "../../src/providers/secret-value.ts";
import type { Hostile } from "./hostile.ts";

/** Every stretch that the operator would spend on a hostile input without letting others have a turn. */
export interface Turn {
  readonly what: "parse" | "content" | "plan" | "encode" | "match";
  readonly milliseconds: number;
}

const digestKey = newDigestKey(Buffer.alloc(32, 1));

export function* turnsOf({ spec, payloads, names, pattern }: Hostile): Iterable<Turn> {
  const stopwatch = newStopwatch();
  const parsed = parseSync(spec, Buffer.byteLength(JSON.stringify(spec)));
  yield stopwatch.lap("parse");
  if (parsed.ok) yield* turnsOfContent(parsed.value, payloads);
  const compiled = compilePattern(pattern);
  const replace = compiled?.replacer("x");
  for (const name of compiled ? names : []) {
    stopwatch.start();
    compiled?.test(name);
    replace?.(name, MOST_AT_ONCE);
    yield stopwatch.lap("match");
  }
}

function* turnsOfContent(spec: SecretSyncSpec, payloads: readonly string[]): Iterable<Turn> {
  const values = payloads.map((text) => SecretValue.fromText(text));
  const fetched: FetchedValues = new Map(
    sourcesOf(spec).map((source) => {
      const index = source.kind === "read" ? Number(source.ref.key.split("-")[1]) : 0;
      return [
        source.id,
        { kind: "found", value: values[index] as SecretValue, versionId: "v", versionStages: [] },
      ];
    }),
  );
  const stopwatch = newStopwatch();
  const steps = contentSteps(spec, fetched);
  let content: Content | undefined;
  while (!content) {
    stopwatch.start();
    const { done, value } = steps.next();
    yield stopwatch.lap("content");
    if (done) content = value;
  }
  stopwatch.start();
  const made = plan(observedOf(spec), fetched, content);
  yield stopwatch.lap("plan");
  const [step] = made.steps;
  if (step?.kind !== "applySecret") return;
  stopwatch.start();
  JSON.stringify(
    Object.fromEntries([...step.data].map(([key, value]) => [key, value.reveal().toString("base64")])),
  );
  yield stopwatch.lap("encode");
}

const observedOf = (spec: SecretSyncSpec): Observed => ({
  metadata: { name: "fuzz", namespace: "fuzz", uid: "u", generation: 1 },
  spec,
  sources: sourcesOf(spec),
  status: {},
  target: undefined,
  targetRefused: false,
  otherManagers: [],
  driftSince: undefined,
  targetUnseen: true,
  winner: undefined,
  abandoned: undefined,
  digestKey,
  verify: false,
  leastRefreshMs: 0,
  now: "2026-01-01T00:00:00.000Z",
});

function newStopwatch() {
  let since = performance.now();
  return {
    start: () => void (since = performance.now()),
    lap(what: Turn["what"]): Turn {
      const now = performance.now();
      const milliseconds = now - since;
      since = now;
      return { what, milliseconds };
    },
  };
}
