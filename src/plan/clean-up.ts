import { FIELD_MANAGER, mergeFieldManager } from "../api/group.ts";
import type { LiveTarget } from "./live-target.ts";
import { targetFieldManager, type Observed } from "./observed.ts";
import type { Step } from "./step.ts";

/** A Secret under the name that an earlier spec gave it goes, once the new one is written. */
export function cleanUp(observed: Observed): readonly Step[] {
  const { abandoned, metadata } = observed;
  const merged = mergeFieldManager(metadata.uid);
  const steps: Step[] = leftManagers(observed).map((manager) => releaseOf(observed.target, manager));
  if (abandoned && merged in abandoned.owned) steps.push(releaseOf(abandoned, merged));
  if (abandoned?.owner === metadata.name && abandoned.ownerUids.includes(metadata.uid))
    steps.push(deletionOf(abandoned));
  return steps;
}

/** Keys that this SecretSync, under an earlier spec, or one that is gone wrote into the target: nobody holds them any more. */
export const leftKeys = (observed: Observed): readonly string[] =>
  leftManagers(observed).flatMap((manager) => observed.target?.dataKeys[manager] ?? []);

/**
 * Managers on the target that write it no more: of this SecretSync from before its creationPolicy changed, and of
 * SecretSyncs that are gone. What they still own nobody would ever change or remove, an owner reference among it.
 */
function leftManagers(observed: Observed): readonly string[] {
  const { target, metadata, otherManagers } = observed;
  if (!target) return [];
  const ours = targetFieldManager(observed);
  const isLeft = (manager: string) =>
    manager.startsWith(mergeFieldManager("")) ||
    (manager === FIELD_MANAGER && target.owner === metadata.name);
  return Object.keys(target.owned).filter(
    (manager) => manager !== ours && !otherManagers.includes(manager) && isLeft(manager),
  );
}

const releaseOf = (secret: LiveTarget | undefined, fieldManager: string): Step => ({
  kind: "releaseSecret",
  fieldManager,
  name: secret?.name ?? "",
  namespace: secret?.namespace ?? "",
  uid: secret?.uid ?? "",
});

export const deletionOf = ({ name, namespace, uid, resourceVersion }: LiveTarget): Step => ({
  kind: "deleteSecret",
  name,
  namespace,
  uid,
  resourceVersion,
});
