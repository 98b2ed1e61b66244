import type { LiveTarget } from "../plan/live-target.ts";
import { contentFingerprint, sourcesOf, type SourceVersions } from "../plan/sources.ts";
import { annotation } from "../api/group.ts";
import type { SecretSyncSpec } from "../api/secret-sync.ts";
import type { SyncObject } from "./sync-object.ts";

/**
 * Most refreshes find nothing new, and then only the question costs anything. A full look that ended in step, with nothing left to
 * write, to restart or to tell, leaves a mark: the object and the Secret as they were. As long as both are the same, and the
 * versions of the sources too, another full look would end as that one did. Workloads, providers and whatever else matters make
 * an object due by themselves when they change.
 */
export interface InStep {
  readonly object: SyncObject;
  readonly target: LiveTarget;
}

export class QuietObjects {
  readonly #inStep = new Map<string, InStep>();

  /** undefined: from now on it needs a full look. */
  mark(key: string, inStep: InStep | undefined): void {
    if (inStep) this.#inStep.set(key, inStep);
    else this.#inStep.delete(key);
  }

  /** Whether both are as they were when the object was last found in step. */
  isQuiet(key: string, object: SyncObject, target: LiveTarget | undefined): target is LiveTarget {
    const inStep = this.#inStep.get(key);
    return inStep !== undefined && inStep.object === object && inStep.target === target;
  }
}

/** Whether the Secret was written from these versions. Several SecretSyncs may merge into one: then nothing is said. */
export const wasWrittenFrom = (
  { records }: LiveTarget,
  spec: SecretSyncSpec,
  versions: SourceVersions,
): boolean =>
  records[annotation.digests]?.version === contentFingerprint(spec, versions) &&
  versions.size === sourcesOf(spec).length;
