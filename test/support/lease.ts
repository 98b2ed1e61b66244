import type { KubeObject } from "../../src/kube/kube-api.ts";

export type LeaseObject = KubeObject & {
  readonly spec?: { readonly holderIdentity?: string; readonly leaseTransitions?: number };
};
