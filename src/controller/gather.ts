import { parseSpec, type Parsed } from "../api/parse.ts";
import { secretSyncSpec, type SecretSyncSpec } from "../api/secret-sync.ts";
import type { KubeApi } from "../kube/kube-api.ts";
import { resources } from "../kube/resources.ts";
import type { DigestKey } from "../plan/digest.ts";
import { projectSecret, type LiveTarget } from "../plan/live-target.ts";
import { targetName, type Observed, type Rival } from "../plan/observed.ts";
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
      const looks = look || spec.target.creationPolicy === "Merge";
      const target = ours ?? (looks ? await unlabelled(namespace, name, signal) : undefined);
      return {
        metadata,
        spec,
        sources: sourcesOf(spec),
        status: object.status,
        target,
        // Also after a look: until the write somebody else may make one.
        targetUnseen: target === undefined,
        rivals: rivalsOf(object, key),
        abandoned:
          abandonedName !== undefined && abandonedName !== name
            ? views.secrets.get(`${namespace}/${abandonedName}`)
            : undefined,
        digestKey: digestKey(),
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

  function rivalsOf(object: OwnObject, targetKey: string): readonly Rival[] {
    return views.syncsByTarget
      .get(targetKey)
      .filter((key) => key !== object.key)
      .map((key) => views.syncs.get(key))
      .filter((other) => other !== undefined && wholeTargetOf(other) === targetKey)
      .map((other) => {
        const { name, creationTimestamp = "" } = (other as OwnObject).metadata;
        return { name, creationTimestamp };
      });
  }
}

/** The Secret that the other SecretSync writes as a whole; undefined when it only merges keys. */
function wholeTargetOf({ metadata, spec }: OwnObject): string | undefined {
  const target = (spec as { target?: { name?: string; creationPolicy?: string } } | undefined)?.target ?? {};
  if (target.creationPolicy === "Merge" || metadata.deletionTimestamp !== undefined) return undefined;
  return `${metadata.namespace}/${target.name ?? metadata.name}`;
}
