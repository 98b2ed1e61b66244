/** Names that users and other programs see. They are API: changing one is a breaking change. */
export const GROUP = "secretsync.dev";
export const VERSION = "v1alpha1";
export const API_VERSION = `${GROUP}/${VERSION}`;

/** Field manager of Secrets (Owner and Orphan) and of every status. */
export const FIELD_MANAGER = "secretsync";
/** Field manager of the restart annotations on workloads. */
export const RESTART_FIELD_MANAGER = "secretsync-restart";
/** Field manager of the SecretSyncs that a ClusterSecretSync makes. */
export const FAN_OUT_FIELD_MANAGER = "secretsync-fan-out";
/** Several SecretSyncs may merge keys into one Secret, so each needs a field manager of its own. */
export const mergeFieldManager = (uid: string): string => `secretsync-merge-${uid}`;

export const label = {
  /** On every Secret that the operator writes; the only Secrets that it watches. */
  managed: `${GROUP}/managed`,
} as const;

export const annotation = {
  /** On a Secret: the name of the SecretSync that owns its content. */
  owner: `${GROUP}/owner`,
  /** On a Secret: keyed digests of its content, for drift and restart decisions. */
  digests: `${GROUP}/digests`,
  /** On a workload: the digests that its running pods were started with. */
  consumed: `${GROUP}/consumed`,
  /** On a pod template: changes when the pods must restart. */
  restartedFor: `${GROUP}/restarted-for`,
  /** On a Secret or ConfigMap that a provider of kind kubernetes reads: namespaces that may have it, as globs with commas between. */
  sharedWith: `${GROUP}/shared-with`,
  /** On a SecretSync that a ClusterSecretSync made: fingerprint of the template. */
  template: `${GROUP}/template`,
  /** On a SecretSync: set it to any new value for an immediate sync. */
  requestedAt: `reconcile.${GROUP}/requestedAt`,
} as const;
