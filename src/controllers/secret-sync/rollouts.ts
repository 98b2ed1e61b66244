import type { Workload } from "../../rollout/workload.ts";
import type { Clock } from "../../runtime/clock.ts";

/** As long as Kubernetes waits for a Deployment, which tells of it by itself: spec.progressDeadlineSeconds. */
const DEADLINE_MS = 10 * 60_000;

/** Since when StatefulSets and DaemonSets replace their pods: their status never tells that it doesn't go on. */
export class Rollouts {
  readonly #clock: Clock;
  /** By uid. */
  readonly #seen = new Map<string, { readonly mark: string | undefined; readonly at: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Milliseconds until the rollout counts as stuck, 0 from then on; undefined when none is under way. */
  leftMs({ uid, isRolling, restartedFor: mark }: Workload): number | undefined {
    if (!isRolling) {
      this.#seen.delete(uid);
      return undefined;
    }
    const now = this.#clock.monotonic();
    const known = this.#seen.get(uid);
    const at = known && known.mark === mark ? known.at : now;
    this.#seen.set(uid, { mark, at });
    return Math.max(0, at + DEADLINE_MS - now);
  }

  forget(uid: string): void {
    this.#seen.delete(uid);
  }
}
