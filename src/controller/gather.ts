import { parseSpec, type Parsed } from "../api/parse.ts";
import { FIELD_MANAGER, mergeFieldManager } from "../api/group.ts";
import { REFUSED_SECRET_TYPES, secretSyncSpec, type SecretSyncSpec } from "../api/secret-sync.ts";
import type { KubeApi } from "../kube/kube-api.ts";
import { resources } from "../kube/resources.ts";
import type { DigestKey } from "../plan/digest.ts";
import { projectSecret, type LiveTarget } from "../plan/live-target.ts";
import { targetName, type Observed } from "../plan/observed.ts";
import { sourcesOf } from "../plan/sources.ts";
import type { Clock } from "../runtime/clock.ts";
import type { OwnObject, Views } from "./views.ts";

/** Step 1 of a reconcile: everything that is known about the object, in one value. */
export function newGatherer(options: {
  readonly api: KubeApi;
  readonly views: Views;
  readonly clock: Clock;
  readonly digestKey: () => DigestKey;
}) {
  const { api, views, clock, digestKey } = options;
  const parsedSpecs = new WeakMap<OwnObject, Parsed<SecretSyncSpec>>();

  return {
    /** The object's spec, checked; checked once for each of its versions. */
    parse(object: OwnObject): Parsed<SecretSyncSpec> {
      let parsed = parsedSpecs.get(object);
      if (!parsed) {
        parsed = parseSpec(secretSyncSpec, object.spec);
        parsedSpecs.set(object, parsed);
      }
      return parsed;
    },

    /** `look`: ask the apiserver for a Secret with the target's name when none of ours has it. */
    async gather(
      object: OwnObject,
      spec: SecretSyncSpec,
      look: boolean,
      signal: AbortSignal,
    ): Promise<Observed> {
      const { namespace = "", uid = "" } = object.metadata;
      const metadata = { ...object.metadata, namespace, uid };
      const name = targetName({ metadata, spec });
      const key = `${namespace}/${name}`;
      const abandonedName = object.status.secretRef?.name;
      const ours = views.secrets.get(key);
      const isMerge = spec.target.creationPolicy === "Merge";
      const target = ours ?? (look || isMerge ? await unlabelled(namespace, name, signal) : undefined);
      const targetRefused = isMerge && !ours && target ? await hasRefusedType(target, signal) : false;
      const others = othersOn(object, key);
      return {
        metadata,
        spec,
        sources: sourcesOf(spec),
        status: object.status,
        target,
        targetRefused,
        otherManagers: others.map(({ spec: theirs, uid: theirUid }) =>
          policyOf(theirs) === "Merge" ? mergeFieldManager(theirUid) : FIELD_MANAGER,
        ),
        // Also after a look: until the write somebody else may make one.
        targetUnseen: target === undefined,
        rivals: others
          .filter((other) => policyOf(other.spec) !== "Merge")
          .map(({ metadata: { name: rival, creationTimestamp = "" } }) => ({
            name: rival,
            creationTimestamp,
          })),
        abandoned:
          abandonedName !== undefined && abandonedName !== name
            ? views.secrets.get(`${namespace}/${abandonedName}`)
            : undefined,
        digestKey: { ...digestKey(), scope: key },
        now: new Date(clock.now()).toISOString(),
      };
    },
  };

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
  async function hasRefusedType({ namespace, name }: LiveTarget, signal: AbortSignal): Promise<boolean> {
    const harmless = REFUSED_SECRET_TYPES.map((type) => `type!=${type}`);
    const fieldSelector = [`metadata.name=${name}`, ...harmless].join(",");
    const selection = { namespace, fieldSelector, metadataOnly: true, limit: 1 };
    const { items } = await api.list(resources.secret, selection, signal);
    return (items ?? []).length === 0;
  }

  /** Other SecretSyncs that write the Secret now. */
  function othersOn(object: OwnObject, targetKey: string): readonly OwnObject[] {
    return views.syncsByTarget
      .get(targetKey)
      .filter((key) => key !== object.key)
      .map((key) => views.syncs.get(key))
      .filter((other) => other !== undefined && targetOf(other) === targetKey)
      .map((other) => other as OwnObject);
  }
}

/** Specs of others are not checked here. */
const targetSpec = (spec: unknown) =>
  (spec as { target?: { name?: string; creationPolicy?: string } } | undefined)?.target ?? {};
const policyOf = (spec: unknown): string | undefined => targetSpec(spec).creationPolicy;

function targetOf({ metadata, spec }: OwnObject): string | undefined {
  if (metadata.deletionTimestamp !== undefined) return undefined;
  return `${metadata.namespace}/${targetSpec(spec).name ?? metadata.name}`;
}
