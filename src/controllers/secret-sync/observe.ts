import { FIELD_MANAGER, mergeFieldManager } from "../../api/group.ts";
import { parseSync, type ParsedSync } from "../../api/secret-sync-bounds.ts";
import { REFUSED_SECRET_TYPES, type SecretSyncSpec } from "../../api/secret-sync.ts";
import { listedObject } from "../../kube/collection.ts";
import { ApiError, type KubeApi, type KubeObject } from "../../kube/kube-api.ts";
import { resources } from "../../kube/resources.ts";
import type { DigestKey } from "../../plan/digest.ts";
import { projectSecret, type LiveTarget } from "../../plan/live-target.ts";
import { merges, targetFieldManager, targetName, type Observed } from "../../plan/observed.ts";
import { sourcesOf } from "../../plan/sources.ts";
import { SecretValue } from "../../providers/secret-value.ts";
import type { Clock } from "../../runtime/clock.ts";
import { Turns } from "../../runtime/turns.ts";
import type { DriftTimes } from "../../cluster/drift.ts";
import { projectSync, type SyncObject } from "../../cluster/sync-object.ts";
import type { Views } from "../../cluster/views.ts";

type SecretObject = KubeObject & { readonly data?: Readonly<Record<string, string>> };

/** Types that are known to be harmless stay so: a Secret's type never changes. */
const MOST_KNOWN_TYPES = 10_000;

/** Step 1 of a reconcile: everything that is known about the object, in one value. */
export interface Observer {
  /** The object with all its details; undefined when it isn't there any more. */
  whole(object: SyncObject, signal: AbortSignal): Promise<SyncObject | undefined>;
  /** The object's spec, checked; checked once for each of its versions. */
  parse(object: SyncObject): ParsedSync;
  /** What was parsed isn't needed before long, and takes memory. */
  forget(object: SyncObject): void;
  /** `look`: ask the apiserver for a Secret with the target's name when none of ours has it. */
  observe(object: SyncObject, spec: SecretSyncSpec, look: boolean, signal: AbortSignal): Promise<Observed>;
  /** Values of a live Secret; of one that was replaced meanwhile, none. */
  liveValues(
    target: LiveTarget,
    keys: ReadonlySet<string> | "all",
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, SecretValue>>;
}

export function newObserver(options: {
  readonly api: KubeApi;
  readonly views: Views;
  readonly clock: Clock;
  readonly digestKey: () => DigestKey;
  readonly leastRefreshMs: number;
  readonly drift: DriftTimes;
  /** The view of the namespace's Secrets can't be relied on. */
  readonly isUnwatched: (namespace: string) => boolean;
}): Observer {
  const { api, views, clock, digestKey, leastRefreshMs, drift, isUnwatched } = options;
  const parsedSpecs = new WeakMap<SyncObject, ParsedSync>();
  const valueTurns = new Turns(1);
  /** Uids of Secrets. */
  const harmless = new Set<string>();

  return {
    async whole(object: SyncObject, signal: AbortSignal): Promise<SyncObject | undefined> {
      if (!object.isOutline) return object;
      const { name, namespace = "" } = object.metadata;
      const found = await listedObject(api, resources.secretSync, name, namespace, signal);
      const read = found && projectSync(found);
      // The watch is about to tell of another one.
      if (read?.uid !== object.uid) return undefined;
      views.budgets.syncs.restore(read);
      return read;
    },

    parse(object: SyncObject): ParsedSync {
      let parsed = parsedSpecs.get(object);
      if (!parsed) {
        parsed = parseSync(object.spec, object.tooLarge ?? 0);
        parsedSpecs.set(object, parsed);
      }
      return parsed;
    },

    forget(object: SyncObject): void {
      parsedSpecs.delete(object);
    },

    async liveValues(
      { name, namespace, uid }: LiveTarget,
      keys: ReadonlySet<string> | "all",
      signal: AbortSignal,
    ): Promise<ReadonlyMap<string, SecretValue>> {
      // As much as a Secret holds, for each namespace: a tenant has one read at a time.
      const read = () => api.get<SecretObject>(resources.secret, name, namespace, signal);
      const found = await valueTurns.run(namespace, read, signal);
      const entries = Object.entries(found?.metadata.uid === uid ? (found.data ?? {}) : {})
        .filter(([key]) => keys === "all" || keys.has(key))
        .map(([key, value]) => [key, SecretValue.fromBytes(Buffer.from(value, "base64"))] as const);
      return new Map(entries);
    },

    async observe(
      object: SyncObject,
      spec: SecretSyncSpec,
      look: boolean,
      signal: AbortSignal,
    ): Promise<Observed> {
      const { namespace = "", uid = "" } = object.metadata;
      const metadata = { ...object.metadata, namespace, uid };
      const name = targetName({ metadata, spec });
      const key = `${namespace}/${name}`;
      const abandonedName = object.status.secretRef?.name;
      const isMerge = merges({ spec });
      const ours = await managed(namespace, name, signal);
      const target = ours ?? (look || isMerge ? await unlabelled(namespace, name, signal) : undefined);
      const abandoned =
        abandonedName !== undefined && abandonedName !== name
          ? await abandonedSecret(namespace, abandonedName, signal)
          : undefined;
      const winner = isMerge ? undefined : views.claims.winner(key, target?.owner);
      const observed: Observed = {
        metadata,
        spec,
        sources: sourcesOf(spec),
        status: object.status,
        target,
        targetRefused: isMerge && target ? await hasRefusedType(target, signal) : false,
        otherManagers: [],
        // Also after a look: until the write somebody else may make one.
        targetUnseen: target === undefined,
        winner: winner === object.key ? undefined : winner?.slice(namespace.length + 1),
        abandoned,
        driftSince: drift.since(key),
        digestKey: { ...digestKey(), scope: key },
        verify: false,
        leastRefreshMs,
        now: new Date(clock.now()).toISOString(),
      };
      return { ...observed, otherManagers: otherManagers(object, key, observed) };
    },
  };

  /** One that the apiserver can't decrypt counts as not there: what replaces it need not wait for its clean-up. */
  async function abandonedSecret(
    namespace: string,
    name: string,
    signal: AbortSignal,
  ): Promise<LiveTarget | undefined> {
    try {
      return await managed(namespace, name, signal);
    } catch (error) {
      if (error instanceof ApiError && error.unreadable !== undefined) return undefined;
      throw error;
    }
  }

  /** As the watch tells. */
  async function managed(
    namespace: string,
    name: string,
    signal: AbortSignal,
  ): Promise<LiveTarget | undefined> {
    if (!isUnwatched(namespace)) return wholeTarget(views.secrets.get(`${namespace}/${name}`), signal);
    const read = await unlabelled(namespace, name, signal);
    return read?.managed ? read : undefined;
  }

  /** Read again where only an outline is kept. */
  async function wholeTarget(
    target: LiveTarget | undefined,
    signal: AbortSignal,
  ): Promise<LiveTarget | undefined> {
    if (!target?.isOutline) return target;
    const read = await unlabelled(target.namespace, target.name, signal);
    if (read?.uid !== target.uid) return undefined;
    views.budgets.secrets.restore(read);
    return read;
  }

  /** Only Secrets with our label are watched. */
  async function unlabelled(
    namespace: string,
    name: string,
    signal: AbortSignal,
  ): Promise<LiveTarget | undefined> {
    const found = await api.get(resources.secret, name, namespace, signal, { metadataOnly: true });
    return found && projectSecret(found);
  }

  /** The type isn't in the metadata, and types can be selected by: a Secret of a harmless one is found. */
  async function hasRefusedType({ namespace, name, uid }: LiveTarget, signal: AbortSignal): Promise<boolean> {
    if (harmless.has(uid)) return false;
    const others = REFUSED_SECRET_TYPES.map((type) => `type!=${type}`);
    const fieldSelector = [`metadata.name=${name}`, ...others].join(",");
    const selection = { namespace, fieldSelector, metadataOnly: true, limit: 1 };
    const { items } = await api.list(resources.secret, selection, signal);
    const found = items?.[0];
    if (found === undefined) return true;
    if (harmless.size >= MOST_KNOWN_TYPES) harmless.clear();
    if (found.metadata.uid === uid) harmless.add(uid);
    return false;
  }

  /** Of the managers that the target has: which belong to other SecretSyncs that write it now. */
  function otherManagers(object: SyncObject, targetKey: string, observed: Observed): readonly string[] {
    const ours = targetFieldManager(observed);
    const merging = views.claims.merging(targetKey);
    const winner = views.claims.winner(targetKey, observed.target?.owner);
    return Object.keys(observed.target?.owned ?? {}).filter((manager) => {
      if (manager === ours) return false;
      if (manager === FIELD_MANAGER) return winner !== undefined && winner !== object.key;
      const uid = manager.slice(mergeFieldManager("").length);
      return merging.has(uid) && uid !== object.uid;
    });
  }
}
