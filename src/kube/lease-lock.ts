import type { KubeApi, KubeObject } from "./kube-api.ts";
import { resources } from "./resources.ts";

/** A Lease as leader election wants it: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/lease-v1/ */

interface LeaseRecord {
  readonly holder: string;
  readonly durationSeconds: number;
  readonly acquiredAt: number;
  readonly renewedAt: number;
  readonly transitions: number;
}

interface LeaseObject extends KubeObject {
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly acquireTime?: string;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
}

export function leaseLock(api: KubeApi, namespace: string, name: string) {
  const toObject = (record: LeaseRecord, resourceVersion?: string): LeaseObject => ({
    metadata: { name, namespace, ...(resourceVersion ? { resourceVersion } : {}) },
    spec: {
      holderIdentity: record.holder,
      leaseDurationSeconds: record.durationSeconds,
      acquireTime: microTime(record.acquiredAt),
      renewTime: microTime(record.renewedAt),
      leaseTransitions: record.transitions,
    },
  });
  const toStored = ({ metadata, spec = {} }: LeaseObject) => ({
    version: metadata.resourceVersion ?? "",
    record: {
      holder: spec.holderIdentity ?? "",
      durationSeconds: spec.leaseDurationSeconds ?? 15,
      acquiredAt: Date.parse(spec.acquireTime ?? "") || 0,
      renewedAt: Date.parse(spec.renewTime ?? "") || 0,
      transitions: spec.leaseTransitions ?? 0,
    },
  });
  return {
    async read(signal: AbortSignal) {
      const found = await api.get<LeaseObject>(resources.lease, name, namespace, signal);
      return found && toStored(found);
    },
    async create(record: LeaseRecord, signal: AbortSignal) {
      return toStored(await api.create(resources.lease, toObject(record), signal));
    },
    async update(record: LeaseRecord, version: string, signal: AbortSignal) {
      const options = { fieldManager: "secretsync", force: true };
      return toStored(
        await api.apply<LeaseObject>(resources.lease, toObject(record, version), options, signal),
      );
    },
  };
}

const microTime = (milliseconds: number): string =>
  new Date(milliseconds).toISOString().replace(/Z$/, "000Z");
