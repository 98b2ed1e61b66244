import { isFailure, type Failure } from "../../api/reasons.ts";
import { contentSteps, type Content } from "../../plan/content.ts";
import { digestContent } from "../../plan/digest.ts";
import { wantsLive } from "../../plan/live-content.ts";
import type { LiveTarget } from "../../plan/live-target.ts";
import type { Observed } from "../../plan/observed.ts";
import { liveRecord } from "../../plan/live-record.ts";
import {
  isStalled,
  isUnchanged,
  needs,
  plan,
  planFailure,
  planUnchanged,
  refreshMs,
  type Plan,
} from "../../plan/plan.ts";
import { tellsChange, tellsVersions } from "../../plan/report.ts";
import {
  contentFingerprint,
  versionsOf,
  type FetchedValues,
  type SourceVersions,
} from "../../plan/sources.ts";
import { requestOf } from "../../plan/trigger.ts";
import { withheldKeys } from "../../plan/withheld.ts";
import { Work, type Steps } from "../../plan/work.ts";
import type { SecretValue } from "../../providers/secret-value.ts";
import { sleep, type Clock } from "../../runtime/clock.ts";
import type { Fetcher } from "./fetch.ts";
import type { Freshness } from "./freshness.ts";
import type { Task } from "../controller.ts";
import { waitForProvider, type Due } from "./task.ts";

/** Steps 2 and 3 of a reconcile: asks the providers for no more than is needed, and plans. */

export interface Decision {
  readonly plan: Plan;
  readonly fetched?: FetchedValues;
  /** Where nothing was fetched, since these are the versions that the Secret was made from. */
  readonly versions?: SourceVersions;
  /** Monotonic; present when the sources needed no look. */
  readonly freshUntil?: number;
  readonly nextRotation?: number | undefined;
  /** What was fetched was written, whether it had changed or not. */
  readonly verified?: boolean;
  /** Although it failed, the sources are looked at again at the next refresh: they may have changed. */
  readonly lookSoon?: boolean;
  /** Who was asked. */
  readonly clients?: ReadonlySet<object>;
}

/** Beyond so many keys planning takes milliseconds. */
const MANY_KEYS = 1_000;
const NOTHING: ReadonlyMap<string, SecretValue> = new Map();
const tooMuchWork: Failure = {
  reason: "TooLarge",
  message: "spec.dataFrom: what it finds takes too much work; narrow the finds, or simplify the rewrites",
};

export type Decide = (key: string, observed: Observed, due: Due, task: Task) => Promise<Decision>;

export function newDecider(options: {
  readonly fetcher: Fetcher;
  readonly freshness: Freshness;
  readonly clock: Clock;
  /** Values of these keys as the live Secret holds them; the only times that values of a target are read. */
  readonly liveValues: (
    target: LiveTarget,
    keys: ReadonlySet<string> | "all",
    signal: AbortSignal,
  ) => Promise<ReadonlyMap<string, SecretValue>>;
}) {
  const { fetcher, freshness, clock, liveValues } = options;
  const pause = () => sleep(clock, 0);

  return async function decide(
    key: string,
    observed: Observed,
    { look, freshAfter }: Due,
    task: Task,
  ): Promise<Decision> {
    const need = needs(observed);
    if (need.kind === "nothing") return { plan: need.plan };
    const { sources, metadata } = observed;
    if (need.kind === "versions" && look !== "exact") {
      const freshUntil = look === "versions" ? undefined : settledUntil(key, observed);
      if (freshUntil !== undefined) {
        const unchanged = planUnchanged(observed);
        if (tellsChange(observed, unchanged.record)) return { plan: unchanged, freshUntil };
      }
      if (!freshness.mustReadExactly(key)) {
        const versions = await waitForProvider(clock, task, (signal) =>
          fetcher.versions(sources, metadata.namespace, freshAfter, signal),
        );
        if (!versions.ok) return { plan: planFailure(observed, versions.failure) };
        const { value, nextRotation } = versions;
        if (value && isUnchanged(observed, value) && tellsVersions(observed, value))
          return { plan: planUnchanged(observed), nextRotation, versions: value };
      }
    }
    const stalled = look === "exact" ? undefined : freshness.stalledBy(key);
    if (stalled) {
      const versions = await waitForProvider(clock, task, (signal) =>
        fetcher.versions(sources, metadata.namespace, freshAfter, signal),
      );
      const isSame =
        versions.ok &&
        versions.value !== undefined &&
        contentFingerprint(observed.spec, versions.value) === stalled.fingerprint;
      if (isSame) return { plan: planFailure(observed, stalled.failure), lookSoon: true };
    }
    // What was written a moment before a crash needs no such look.
    const isTold = tellsChange(observed, liveRecord(observed));
    const verify = (look === "exact" && isTold) || freshness.mustVerify(key);
    return waitForProvider(clock, task, (signal) =>
      fetcher.values(sources, metadata.namespace, freshAfter, signal, async (values) => {
        if (!values.ok) return { plan: planFailure(observed, values.failure) };
        const { value: fetched, nextRotation } = values;
        // The change is as of now, and not of the time before the provider answered.
        const now = new Date(clock.now()).toISOString();
        const made = await planOf({ ...observed, now, verify }, fetched, signal);
        noteStalled(key, observed, fetched, made);
        return {
          plan: made,
          fetched,
          nextRotation,
          verified: verify,
          lookSoon: true,
          clients: values.clients,
        };
      }),
    );
  };

  /** What these versions give is no Secret: as long as they are the same, the work isn't done again. */
  function noteStalled(key: string, { spec }: Observed, fetched: FetchedValues, made: Plan): void {
    const { reason, message, withheld } = made.verdict;
    if (!isStalled(reason) || withheld) return;
    const versions = versionsOf(fetched);
    if (versions && isFailure(reason))
      freshness.stalled(key, {
        fingerprint: contentFingerprint(spec, versions),
        failure: { reason, message },
      });
  }

  async function planOf(observed: Observed, fetched: FetchedValues, signal: AbortSignal): Promise<Plan> {
    const work = new Work();
    const content = await inTurns(contentSteps(observed.spec, fetched, work));
    const withheld = await withheldOf(observed, fetched, content, work, signal);
    if (!withheld) return planFailure(observed, tooMuchWork);
    if (content.kind === "data" && content.data.size > MANY_KEYS) await pause();
    const known = content.kind === "data" ? await withLive(observed, signal) : observed;
    return plan(known, fetched, content, withheld);
  }

  async function withLive(observed: Observed, signal: AbortSignal): Promise<Observed> {
    if (!observed.target || !wantsLive(observed)) return observed;
    const values = await liveValues(observed.target, "all", signal);
    return { ...observed, live: digestContent(observed.digestKey, values) };
  }

  /** Values that must stay, as the live Secret holds them; undefined when it takes too much work to tell. */
  async function withheldOf(
    observed: Observed,
    fetched: FetchedValues,
    content: Content,
    work: Work,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, SecretValue> | undefined> {
    if (content.kind === "failure" && content.failure.reason !== "SecretNotFound") return NOTHING;
    const data = content.kind === "data" ? content.data : NOTHING;
    const keys = await inTurns(withheldKeys(observed, fetched, data, work));
    if (!keys || keys.size === 0 || !observed.target) return keys && NOTHING;
    return liveValues(observed.target, keys, signal);
  }

  /** Others get a turn whenever the steps say that it is time. */
  async function inTurns<T>(steps: Steps<T>): Promise<T> {
    for (;;) {
      const { done, value } = steps.next();
      if (done) return value;
      await pause();
    }
  }

  /** Until when the sources need no look: something else made the object due, such as a workload. */
  function settledUntil(key: string, observed: Observed): number | undefined {
    const { metadata, status } = observed;
    const until = freshness.freshUntil(key, freshFor(observed));
    if (until !== undefined) return until;
    if (freshness.mustLook(key)) return undefined;
    const ready = status.conditions?.find(({ type }) => type === "Ready")?.status === "True";
    const isOnce = refreshMs(observed) === undefined;
    return isOnce && ready && status.observedGeneration === metadata.generation ? Infinity : undefined;
  }
}

/** What must be the same for a look at the sources to stay good. */
export const freshFor = ({ metadata }: Observed) => ({
  uid: metadata.uid,
  generation: metadata.generation,
  requestedAt: requestOf(metadata),
});
