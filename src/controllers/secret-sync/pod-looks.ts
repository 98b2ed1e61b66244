import { AnswerTooLargeError, type KubeApi, type KubeObject } from "../../kube/kube-api.ts";
import { resources } from "../../kube/resources.ts";
import { isStarting, readersIn, type Reader } from "../../rollout/pods.ts";
import type { Workload } from "../../rollout/workload.ts";
import type { Clock } from "../../runtime/clock.ts";

/**
 * Looks at the pods of workloads. Who may write workloads can make any number of looks necessary, each of which is many bytes to
 * read: so a namespace has one under way at a time, and rests after it for several times as long as it took.
 */
export type Looked =
  | {
      readonly kind: "readers";
      readonly readers: readonly Reader[];
      /** There are pods more that a node is about to start. */
      readonly areStarting: boolean;
    }
  /** There are more pods than anybody looks at, or nothing that selects them. */
  | { readonly kind: "unknown" }
  /** Others of the namespace come first; ask again after so many milliseconds. */
  | { readonly kind: "later"; readonly waitMs: number };

export interface PodLooks {
  /** Containers that read the Secret in pods of the workload's present template. */
  look(workload: Workload, secretName: string, signal: AbortSignal): Promise<Looked>;
}

/** Of all namespaces. */
const AT_ONCE = 4;
/** Of a page of pods. */
const PODS = 50;
const MOST_BYTES_OF_A_PAGE = 1024 * 1024;
const MOST_PODS = 2_000;
const MOST_PAGES = 64;
/** Times as long as a look took, and at most. */
const REST = 4;
const LONGEST_REST_MS = 10_000;
const SHORTEST_LOOK_MS = 5;

/** What is kept of a namespace for as long as somebody of it has to wait. */
interface Share {
  /** Monotonic: when the next look may begin, and when the last of those that wait may. */
  nextAt: number;
  lastAt: number;
  tookMs: number;
}

export function newPodLooks(api: KubeApi, clock: Clock): PodLooks {
  const shares = new Map<string, Share>();
  const underWay = new Set<string>();

  return {
    async look(workload, secretName, signal) {
      const { namespace, selector } = workload;
      if (selector === undefined) return { kind: "unknown" };
      if (!workload.hasPods) return { kind: "readers", readers: [], areStarting: false };
      const waitMs = waitOf(namespace);
      if (waitMs > 0) return { kind: "later", waitMs };
      const startedAt = clock.monotonic();
      underWay.add(namespace);
      try {
        return await lookAt(workload, selector, secretName, signal);
      } finally {
        underWay.delete(namespace);
        rest(namespace, Math.max(SHORTEST_LOOK_MS, clock.monotonic() - startedAt));
      }
    },
  };

  /** Each who has to wait is given a time of its own: if all came again at once, all but one would wait again. */
  function waitOf(namespace: string): number {
    const now = clock.monotonic();
    const share = shares.get(namespace) ?? { nextAt: 0, lastAt: 0, tookMs: SHORTEST_LOOK_MS };
    if (share.nextAt <= now && !underWay.has(namespace) && underWay.size < AT_ONCE) return 0;
    share.lastAt = Math.max(now, share.nextAt, share.lastAt) + share.tookMs * (REST + 1);
    shares.set(namespace, share);
    return share.lastAt - now;
  }

  function rest(namespace: string, tookMs: number): void {
    const now = clock.monotonic();
    for (const [of, { nextAt, lastAt }] of shares) if (Math.max(nextAt, lastAt) < now) shares.delete(of);
    const lastAt = shares.get(namespace)?.lastAt ?? 0;
    shares.set(namespace, { nextAt: now + Math.min(tookMs * REST, LONGEST_REST_MS), lastAt, tookMs });
  }

  async function lookAt(
    workload: Workload,
    labelSelector: string,
    secretName: string,
    signal: AbortSignal,
  ): Promise<Looked> {
    const readers: Reader[] = [];
    let areStarting = false;
    const selection = { namespace: workload.namespace, labelSelector, mostBytes: MOST_BYTES_OF_A_PAGE };
    let next: string | undefined;
    let limit = PODS;
    for (let pages = 0, pods = 0; pages < MOST_PAGES && pods < MOST_PODS; pages++) {
      try {
        const page = { ...selection, limit, ...(next ? { continue: next } : {}) };
        const { items, metadata } = await api.list<KubeObject>(resources.pod, page, signal);
        for (const pod of items ?? []) {
          readers.push(...readersIn(pod, workload, secretName));
          areStarting ||= isStarting(pod, workload);
        }
        if (!metadata.continue) return { kind: "readers", readers, areStarting };
        next = metadata.continue;
        pods += items?.length ?? 0;
        limit = Math.min(PODS, limit * 2);
      } catch (error) {
        if (!(error instanceof AnswerTooLargeError)) throw error;
        // One pod alone that can't be held.
        if (limit === 1) return { kind: "unknown" };
        limit = Math.ceil(limit / 4);
      }
    }
    return { kind: "unknown" };
  }
}
