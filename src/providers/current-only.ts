import type { Failed, RemoteRef } from "./contract.ts";
import { failed } from "./failed.ts";

/** Stores that keep the current version of a value and no earlier one. */

export const CURRENT = "current";
/** Bytes of a value: as much as a Secret can hold. https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size */
export const LARGEST = 1024 * 1024;

/** Refuses a reference to another version. `what`: what has no earlier ones, in the plural. */
export function refusedVersion({ version, versionStage }: RemoteRef, what: string): Failed | undefined {
  if (version === undefined && (versionStage === undefined || versionStage === CURRENT)) return undefined;
  return failed(
    "ProviderRefused",
    "request",
    `${what} have no earlier versions; remove version and versionStage`,
  );
}
