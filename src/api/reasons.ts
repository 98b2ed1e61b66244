interface Cause {
  /** Only a person can help, so trying again soon is of no use (kstatus: Failed, not InProgress). */
  readonly stalled: boolean;
  /** A call to a provider can end so. */
  readonly ofCall?: boolean;
  /** It passes when the provider answers again, which wakes who waits for it. */
  readonly returns?: boolean;
  readonly meaning: string;
}

/** Reasons of the Ready condition: one stable word for each cause, and what it asks of the user. */
export const reasons = {
  Synced: { stalled: false, meaning: "The Secret holds what the provider holds." },
  Suspended: { stalled: false, meaning: "spec.suspend is true; nothing is read or written." },
  InvalidSpec: {
    stalled: true,
    meaning: "The manifest breaks a rule; the message says which field and why.",
  },
  ProviderNotFound: { stalled: false, meaning: "The provider object that spec names doesn't exist." },
  InvalidProvider: {
    stalled: true,
    meaning: "The provider object breaks a rule; the message says which field and why.",
  },
  AmbientIdentityRefused: {
    stalled: true,
    meaning:
      "A SecretProvider without auth would use the operator's own identity, and the operator doesn't allow that.",
  },
  KeyNotAllowed: {
    stalled: true,
    meaning: "No access rule of the ClusterSecretProvider lets this namespace read the key.",
  },
  CredentialsNotFound: {
    stalled: false,
    meaning: "The Secret with the provider's credentials, or a key in it, doesn't exist.",
  },
  AuthenticationFailed: {
    stalled: false,
    ofCall: true,
    returns: true,
    meaning: "The provider didn't accept the credentials.",
  },
  AccessDenied: {
    stalled: false,
    ofCall: true,
    meaning: "The provider knows the identity, and it may not read the secret.",
  },
  SecretNotFound: { stalled: false, meaning: "The provider has no such secret, version or match." },
  PropertyNotFound: { stalled: false, meaning: "The secret's JSON has no such property." },
  DecryptionFailed: {
    stalled: false,
    ofCall: true,
    meaning: "The provider could not decrypt the secret; look at its KMS key.",
  },
  RateLimited: {
    stalled: false,
    ofCall: true,
    returns: true,
    meaning:
      "The provider throttles, or the namespace has more providers in use than the operator keeps open; it slows down and tries again.",
  },
  ProviderUnreachable: {
    stalled: false,
    ofCall: true,
    returns: true,
    meaning: "The provider doesn't answer, or answers with server errors.",
  },
  ProviderRefused: { stalled: true, ofCall: true, meaning: "The provider refused the request as invalid." },
  InvalidValue: {
    stalled: true,
    meaning: "A value can't become a Secret as it is; the message says which and why.",
  },
  TooLarge: {
    stalled: true,
    ofCall: true,
    meaning:
      "The data exceeds what a Secret can hold (1 MiB), or the manifest or the work that it causes exceeds a bound.",
  },
  TargetConflict: { stalled: true, meaning: "The Secret belongs to someone else." },
  TargetNotFound: { stalled: false, meaning: "creationPolicy Merge needs a Secret that exists." },
  TargetImmutable: {
    stalled: true,
    meaning: "The Secret is immutable or has another type, and its content should change.",
  },
  WriteFailed: {
    stalled: false,
    meaning: "The apiserver didn't take the Secret, or can't decrypt the one that it has.",
  },
  Deleted: {
    stalled: false,
    meaning: "The secrets are gone from the provider, so the Secret was deleted, as deletionPolicy says.",
  },
} as const satisfies Record<string, Cause>;

export type Reason = keyof typeof reasons;

/** Those for which a flag holds. */
export const reasonsWith = (flag: "ofCall" | "returns"): readonly Reason[] =>
  (Object.entries(reasons) as [Reason, Cause][]).filter(([, cause]) => cause[flag]).map(([reason]) => reason);

/** Reasons of failures; everything but the good ends. */
export type FailureReason = Exclude<Reason, "Synced" | "Suspended" | "Deleted">;

export const isFailure = (reason: Reason): reason is FailureReason =>
  reason !== "Synced" && reason !== "Suspended" && reason !== "Deleted";

/** A cause and a sentence that is the same on every retry: no request ids, counts or times, and never a value. */
export interface Failure {
  readonly reason: FailureReason;
  readonly message: string;
}
