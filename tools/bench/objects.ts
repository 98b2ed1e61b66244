import type { KubeApi, KubeObject } from "../../src/kube/kube-api.ts";
import { annotation } from "../../src/api/group.ts";
import { resources } from "../../src/kube/resources.ts";
import type { AwsStandIn } from "../../test/support/aws-stand-in.ts";

/** What the operator is given to do. */

export interface Bench {
  readonly folder: string;
  readonly kubeconfig: string;
  readonly api: KubeApi;
  readonly aws: AwsStandIn;
  readonly endpoint: string;
}

/** What each call to the AWS stand-in takes. */
export const LATENCY_MS = 10;
const NAMESPACES = 10;
export const signal = new AbortController().signal;

export const namespaceOf = (index: number) => `bench-${index % NAMESPACES}`;

export async function prepare({ api, aws }: Bench, size: number): Promise<void> {
  for (let index = 0; index < NAMESPACES; index++) {
    await api.create(resources.namespace, { metadata: { name: namespaceOf(index) } }, signal);
  }
  await api.create(
    resources.clusterSecretProvider,
    {
      metadata: { name: "bench" },
      spec: {
        aws: { regions: ["eu-west-1"] },
        access: [{ namespaces: { all: true }, keys: ["**"] }],
        limits: { requestsPerSecond: 1000, maxConcurrent: 32 },
      },
    } as KubeObject,
    signal,
  );
  for (let index = 0; index < size; index++)
    aws.put(`bench/secret-${index}`, JSON.stringify({ password: `value-${index}` }));
}

export const syncOf = (index: number, refreshInterval = "30s", name = `sync-${index}`): KubeObject =>
  ({
    metadata: { name, namespace: namespaceOf(index) },
    spec: {
      providerRef: { kind: "ClusterSecretProvider", name: "bench" },
      refreshInterval,
      data: [{ secretKey: "password", remoteRef: { key: `bench/secret-${index}`, property: "password" } }],
    },
  }) as KubeObject;

/** A new value at AWS, and what tells the operator of it, as an event would. */
export async function rotate({ api, aws }: Bench, index: number, value: string): Promise<void> {
  aws.put(`bench/secret-${index}`, JSON.stringify({ password: value }));
  const metadata = {
    name: `sync-${index}`,
    namespace: namespaceOf(index),
    annotations: { [annotation.requestedAt]: value },
  };
  await api.apply(resources.secretSync, { metadata }, { fieldManager: "bench", force: true }, signal);
}

export async function inParallel(
  count: number,
  concurrency: number,
  work: (index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
}
