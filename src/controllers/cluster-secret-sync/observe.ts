import { recordOf } from "../../api/loose.ts";
import type { ClusterSyncObject } from "../../cluster/cluster-sync.ts";
import type { SyncObject } from "../../cluster/sync-object.ts";
import type { Views } from "../../cluster/views.ts";
import { listedObject } from "../../kube/collection.ts";
import type { KubeApi, KubeObject } from "../../kube/kube-api.ts";
import { resources } from "../../kube/resources.ts";
import type { ExistingSync } from "../../plan/fan-out.ts";
import { addition, contains } from "../../plan/likeness.ts";
import type { MadeSyncs } from "./made.ts";

/** Which SecretSyncs there are: those that the ClusterSecretSync has made, and those that have the name it wants. */
export function newClusterObserver(api: KubeApi, views: Views, made: MadeSyncs) {
  /** Of SecretSyncs that were found to be as the template says, with the template's version. */
  const seen = new WeakMap<SyncObject, Likeness & { readonly template: string }>();

  return async function existing(
    object: ClusterSyncObject,
    name: string,
    template: string,
    signal: AbortSignal,
  ): Promise<readonly ExistingSync[]> {
    const { uid } = object;
    const found = new Map<string, SyncObject>();
    for (const each of views.syncsByMaker.get(uid)) {
      const sync = views.syncs.get(each);
      if (sync) found.set(each, sync);
    }
    for (const namespace of views.namespaces.values()) {
      const sync = views.syncs.get(`${namespace.key}/${name}`);
      if (sync) found.set(sync.key, sync);
    }
    const all: ExistingSync[] = [...made.unseen(uid, found)].map((each) => ({
      namespace: each.namespace,
      name: each.name,
      uid: each.uid,
      isOurs: true,
      isAnothers: false,
      isOrphan: false,
      isAsWanted: each.template === template,
      addition: undefined,
      ready: undefined,
    }));
    for (const sync of found.values()) {
      if (sync.metadata.deletionTimestamp !== undefined) continue;
      const isOurs = sync.maker?.uid === uid;
      const ready = sync.status.conditions?.find(({ type }) => type === "Ready");
      const isCurrent = ready?.observedGeneration === sync.metadata.generation;
      all.push({
        namespace: sync.metadata.namespace ?? "",
        name: sync.metadata.name,
        uid: sync.uid,
        isOurs,
        isAnothers: !isOurs && sync.maker !== undefined,
        isOrphan: sync.isOrphan === true,
        ...(isOurs ? await likenessOf(sync, template, object.template, signal) : unlike),
        ready: isCurrent ? ready : undefined,
      });
    }
    return all;
  };

  /** The mark tells which template was applied last; what somebody changed since shows in the spec. */
  async function likenessOf(
    sync: SyncObject,
    template: string,
    wanted: unknown,
    signal: AbortSignal,
  ): Promise<Likeness> {
    if (sync.maker?.template !== template) return unlike;
    const known = seen.get(sync);
    if (known?.template === template) return known;
    const { name, namespace = "" } = sync.metadata;
    const whole = sync.isOutline
      ? await listedObject<KubeObject & { spec?: unknown }>(
          api,
          resources.secretSync,
          name,
          namespace,
          signal,
        )
      : sync;
    if (!whole || !contains(whole.spec, wanted)) return unlike;
    // Whether it is suspended its own status tells.
    const likeness = {
      isAsWanted: true,
      addition: addition(whole.spec, { suspend: true, ...recordOf(wanted) }, "spec"),
    };
    seen.set(sync, { template, ...likeness });
    return likeness;
  }
}

type Likeness = Pick<ExistingSync, "isAsWanted" | "addition">;

const unlike: Likeness = { isAsWanted: false, addition: undefined };
