import { weightOf } from "../api/loose.ts";
import type { ListedSecret, RemoteRef, VersionResult } from "../providers/contract.ts";

/** What a listing tells of a secret. */

/** Tags can be 19 KB of one secret, and only those that are filtered by are looked at. */
export const withTags = (secret: ListedSecret, wanted: readonly string[]): ListedSecret => ({
  ...secret,
  tags:
    wanted.length === 0
      ? NO_TAGS
      : Object.fromEntries(
          wanted
            .filter((tag) => Object.hasOwn(secret.tags, tag))
            .map((tag) => [tag, secret.tags[tag] as string]),
        ),
});

const NO_TAGS: ListedSecret["tags"] = {};

/** Bytes, about. */
export const weightOfListed = ({ name, aliases, tags, versions }: ListedSecret): number =>
  100 + weightOf([name, aliases, tags, versions]);

/** The version that has the stage. */
export const versionOf = ({ versions }: ListedSecret, stage: string): string | undefined =>
  Object.hasOwn(versions, stage) ? versions[stage] : undefined;

/** undefined when the listing doesn't know: it lags, or the key is of another account. */
export function versionIn(
  listing: ReadonlyMap<string, ListedSecret>,
  ref: RemoteRef,
  currentStage: string,
): VersionResult | undefined {
  const secret = listing.get(ref.key);
  if (!secret) return undefined;
  const versionId = ref.version ?? versionOf(secret, ref.versionStage ?? currentStage);
  if (versionId === undefined) return undefined;
  const versionStages = Object.entries(secret.versions)
    .filter(([, id]) => id === versionId)
    .map(([stage]) => stage);
  return { kind: "found", versionId, versionStages };
}
