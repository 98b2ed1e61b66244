import { annotation } from "../api/group.ts";
import type { Clock } from "../runtime/clock.ts";
import { Damper } from "./damper.ts";
import { workloadKinds } from "../api/secret-sync.ts";
import type { WorkQueue } from "../runtime/work-queue.ts";
import type { Freshness } from "./freshness.ts";
import type { Lane } from "./lanes.ts";
import { isUntouched } from "../plan/live-target.ts";
import { providerKey, secretsOf, type OwnObject, type Views } from "./views.ts";

/** Which changes in the cluster make which SecretSyncs due. The reconcile itself never learns what it was. */
export function connectTriggers(
  views: Views,
  queue: WorkQueue<Lane>,
  freshness: Pick<Freshness, "forget" | "expire">,
  clock: Clock,
): void {
  const damper = new Damper(clock);
  const addAll = (keys: Iterable<string>, lane: Lane) => {
    for (const key of keys) queue.add(key, lane);
  };
  /** What they may read, or where, has changed. */
  const lookAgain = (keys: Iterable<string>) => {
    for (const key of keys) {
      freshness.expire(key);
      queue.add(key, "edit");
    }
  };
  const rivals = (item: OwnObject) => {
    const name =
      (item.spec as { target?: { name?: string } } | undefined)?.target?.name ?? item.metadata.name;
    return views.syncsByTarget.get(`${item.metadata.namespace}/${name}`).filter((key) => key !== item.key);
  };

  views.syncs.listen((before, after) => {
    if (!after) {
      if (before) {
        queue.remove(before.key);
        freshness.forget(before.key);
        damper.forget(before.key);
        // Whoever waited for its target may have it now.
        addAll(rivals(before), "edit");
      }
    } else if (!before || before.uid !== after.uid) {
      if (before) freshness.forget(before.key);
      queue.add(after.key, after.status.conditions ? "edit" : "new");
    } else if (isEdit(before, after)) {
      queue.add(after.key, "edit");
      addAll(rivals(before), "edit");
    }
  });

  for (const [store, kind] of [
    [views.providers, "SecretProvider"],
    [views.clusterProviders, "ClusterSecretProvider"],
  ] as const) {
    store.listen((before, after) => {
      const isSame = before?.uid === after?.uid && before?.metadata.generation === after?.metadata.generation;
      if (before && after && isSame) return;
      const { metadata } = (after ?? before) as OwnObject;
      lookAgain(views.syncsByProvider.get(providerKey(kind, metadata.namespace ?? "", metadata.name)));
    });
  }

  views.namespaces.listen((before, after) => {
    // One that is new to us counts: its SecretSyncs may have come before it.
    if (!after || (before && sameMap(before.labels, after.labels))) return;
    for (const { key, metadata } of views.syncs.values())
      if (metadata.namespace === after.key) lookAgain([key]);
  });

  views.secrets.listen((before, after, origin) => {
    if (origin === "own" || (after && isUntouched(after))) return;
    const { namespace, name } = (after ?? before) as { namespace: string; name: string };
    for (const key of views.syncsByTarget.get(`${namespace}/${name}`)) {
      const waitMs = damper.waitMs(key);
      if (waitMs > 0) queue.addAfter(key, waitMs, "edit");
      // A deleted target is what hurts most.
      else queue.add(key, after ? "edit" : "new");
    }
  });

  for (const kind of workloadKinds) {
    views.workloads[kind].listen((before, after, origin) => {
      if (origin === "own" || !after) return;
      // Somebody who replaces the whole object drops what is recorded on it.
      const isSame = before && sameMap(before.consumes, after.consumes) && before.consumed === after.consumed;
      if (isSame) return;
      for (const name of secretsOf(after))
        addAll(views.syncsByTarget.get(`${after.namespace}/${name}`), "edit");
    });
  }
}

function isEdit(before: OwnObject, after: OwnObject): boolean {
  const requested = ({ metadata }: OwnObject) => metadata.annotations?.[annotation.requestedAt];
  return before.metadata.generation !== after.metadata.generation || requested(before) !== requested(after);
}

const sameMap = (a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>): boolean =>
  JSON.stringify(a) === JSON.stringify(b);
