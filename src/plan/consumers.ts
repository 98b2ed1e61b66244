import type { ContentRecord } from "./digest.ts";
import { merges, recordAnnotation, targetName, type Observed } from "./observed.ts";
import type { Consumers, RestartConsumers, Step } from "./step.ts";

/** The steps that are about who consumes the content. */

/**
 * Once content or digest key are others, nobody can tell any more with what pods were started that aren't on record. `adopted`: of a
 * Secret that is taken over.
 */
export function noteSteps(
  observed: Observed,
  changes: boolean,
  adopted: ContentRecord | undefined,
): readonly Step[] {
  const record = observed.target?.records[recordAnnotation(observed)] ?? adopted;
  if (!record) return [];
  const touch = record.key !== observed.digestKey.id;
  return changes || touch ? [{ kind: "noteConsumers", consumers: consumersOf(observed), record, touch }] : [];
}

/** Before anything is cleaned up, so that nothing keeps pods from what is there already. */
export function restartSteps(
  observed: Observed,
  record: ContentRecord | undefined,
): readonly RestartConsumers[] {
  if (!record) return [];
  const told = new Set((observed.status.history ?? []).flatMap(({ workloads = [] }) => workloads));
  return [{ kind: "restartConsumers", consumers: consumersOf(observed), record, told }];
}

const consumersOf = (observed: Observed): Consumers => ({
  namespace: observed.metadata.namespace,
  part: {
    secretName: targetName(observed),
    mergedBy: merges(observed) ? observed.metadata.uid : undefined,
  },
  policy: observed.spec.restart,
});
