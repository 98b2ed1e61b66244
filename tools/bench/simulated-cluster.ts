import { label } from "../../src/api/group.ts";
import type { KubeApi, KubeObject, ResourceType, WatchEvent } from "../../src/kube/kube-api.ts";
import { resources } from "../../src/kube/resources.ts";
import type { ListedSecret, ReadResult, SecretStore } from "../../src/providers/contract.ts";
import { SecretValue } from "../../src/providers/secret-value.ts";

/**
 * A cluster and a store of any size that take no memory: every object is made when it is asked for. They answer at once, so
 * what is measured is the operator's own work.
 */

const NAMESPACES = 100;
const PAGE = 100;
export const namespaceOf = (index: number): string => `sim-${index % NAMESPACES}`;
const keyOf = (index: number): string => `sim/secret-${index}`;
const indexOf = (key: string): number => Number(key.slice(key.lastIndexOf("-") + 1));

/** As it comes over the wire: no string is shared with another object's. */
const overTheWire = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

const syncOf = (index: number): KubeObject =>
  overTheWire({
    metadata: {
      name: `sync-${index}`,
      namespace: namespaceOf(index),
      uid: `00000000-0000-4000-8000-${String(index).padStart(12, "0")}`,
      resourceVersion: String(1_000_000 + index),
      generation: 1,
      creationTimestamp: "2026-05-01T00:00:00Z",
    },
    spec: {
      providerRef: { kind: "ClusterSecretProvider", name: "sim" },
      refreshInterval: "30s",
      data: [{ secretKey: "password", remoteRef: { key: keyOf(index), property: "password" } }],
      target: { creationPolicy: "Owner", deletionPolicy: "Retain", type: "Opaque" },
      restart: { policy: "Auto" },
    },
  });

export class SimulatedCluster {
  readonly #size: number;
  /** Told of each Secret that is written for the first time, by namespace/name. */
  readonly #onSecret: (key: string) => void;
  #revision = 10_000_000;
  /** By kind. */
  readonly #watches = new Map<string, (event: WatchEvent<KubeObject>) => void>();

  constructor(size: number, onSecret: (key: string) => void) {
    this.#size = size;
    this.#onSecret = onSecret;
  }

  readonly api: KubeApi = {
    get: () => Promise.resolve(undefined),
    list: (type, { limit, fieldSelector, continue: from = "0" }) =>
      Promise.resolve(
        (fieldSelector && type === resources.secretSync
          ? { metadata: { resourceVersion: "5000000" }, items: [syncOf(indexOf(fieldSelector))] }
          : this.#page(type, Number(from), limit)) as never,
      ),
    watch: (type, { onOpen }, signal) => this.#watch(type, onOpen, signal) as never,
    apply: (type, object, { fieldManager, subresource }) =>
      Promise.resolve(this.#apply(type, object, fieldManager, subresource) as never),
    create: (_type, object) => Promise.resolve(object),
    delete: () => Promise.resolve(),
    requestToken: () => Promise.resolve(undefined),
  };

  /** A new object shows in the watch. */
  create(index: number): void {
    this.#watches.get(resources.secretSync.kind)?.({ type: "ADDED", object: syncOf(index) });
  }

  #page(type: ResourceType, from: number, limit: number) {
    const metadata = { resourceVersion: "5000000" };
    if (type === resources.clusterSecretProvider) return { metadata, items: [provider] };
    if (type === resources.namespace) return { metadata, items: namespaces() };
    if (type !== resources.secretSync) return { metadata, items: [] };
    const to = Math.min(this.#size, from + limit);
    const items = Array.from({ length: to - from }, (_, offset) => syncOf(from + offset));
    return { metadata: to < this.#size ? { ...metadata, continue: String(to) } : metadata, items };
  }

  async *#watch(
    type: ResourceType,
    onOpen: (() => void) | undefined,
    signal: AbortSignal,
  ): AsyncIterable<WatchEvent<KubeObject>> {
    onOpen?.();
    const events: WatchEvent<KubeObject>[] = [];
    let wake = Promise.withResolvers<void>();
    const tell = (event: WatchEvent<KubeObject>) => {
      events.push(event);
      wake.resolve();
    };
    this.#watches.set(type.kind, tell);
    const bookmark = { metadata: { name: "", resourceVersion: "5000001" } };
    const timer = setInterval(() => tell({ type: "BOOKMARK", object: bookmark }), 30_000);
    signal.addEventListener("abort", () => wake.resolve(), { once: true });
    try {
      while (!signal.aborted) {
        await wake.promise;
        wake = Promise.withResolvers();
        yield* events.splice(0);
      }
    } finally {
      clearInterval(timer);
    }
  }

  #apply(
    type: ResourceType,
    object: KubeObject,
    manager: string,
    subresource: string | undefined,
  ): KubeObject {
    const { metadata } = overTheWire(object);
    const resourceVersion = String(++this.#revision);
    if (type !== resources.secret || subresource)
      return { metadata: { ...metadata, generation: 1, resourceVersion } };
    const { name, namespace = "", labels = {}, annotations = {} } = metadata;
    if (labels[label.managed] === "true") this.#onSecret(`${namespace}/${name}`);
    const fields = (names: object) => Object.fromEntries(Object.keys(names).map((each) => [`f:${each}`, {}]));
    const fieldsV1 = {
      "f:data": fields((object as { data?: object }).data ?? {}),
      "f:metadata": { "f:labels": fields(labels), "f:annotations": fields(annotations) },
    };
    const managedFields = [{ manager, operation: "Apply", fieldsV1 }];
    const written = { ...metadata, uid: `secret-${namespace}-${name}`, resourceVersion, managedFields };
    this.#watches.get(type.kind)?.({ type: "MODIFIED", object: overTheWire({ metadata: written }) });
    return overTheWire({ metadata: written });
  }
}

const provider: KubeObject = {
  metadata: { name: "sim", uid: "sim", resourceVersion: "1", generation: 1 },
  spec: {
    aws: { regions: ["eu-west-1"], auth: {} },
    access: [{ namespaces: { all: true }, keys: ["**"] }],
    limits: { requestsPerSecond: 1000, maxConcurrent: 64 },
  },
} as KubeObject;

const namespaces = (): readonly KubeObject[] =>
  Array.from({ length: NAMESPACES }, (_, index) => ({
    metadata: { name: namespaceOf(index), uid: `namespace-${index}`, resourceVersion: "1" },
  }));

export class SimulatedStore implements SecretStore {
  readonly place = "a simulation";
  readonly currentStage = "AWSCURRENT";
  readonly batch = { most: 20, read: (keys: readonly string[]) => this.#readBatch(keys) };
  readonly versions = { read: (ref: { readonly key: string }) => this.#describe(ref) };
  readonly largest = 64 * 1024;
  readonly listing = { page: (_filter: unknown, next: string | undefined) => this.#page(next) };
  readonly #size: number;
  calls = 0;
  /** Time of performance.now() when a listing last began. */
  listedAt = 0;

  constructor(size: number) {
    this.#size = size;
  }

  #readBatch(keys: readonly string[]): Promise<ReadonlyMap<string, ReadResult>> {
    this.calls++;
    return Promise.resolve(new Map(keys.map((key) => [key, this.#found(key)])));
  }

  read({ key }: { readonly key: string }): Promise<ReadResult> {
    this.calls++;
    return Promise.resolve(this.#found(key));
  }

  #describe({ key }: { readonly key: string }) {
    this.calls++;
    return Promise.resolve({
      kind: "found" as const,
      versionId: versionOf(indexOf(key)),
      versionStages: ["AWSCURRENT"],
    });
  }

  #page(next: string | undefined) {
    this.calls++;
    const from = Number(next ?? 0);
    if (from === 0) this.listedAt = performance.now();
    const to = Math.min(this.#size, from + PAGE);
    const secrets: ListedSecret[] = Array.from({ length: to - from }, (_, offset) => ({
      name: keyOf(from + offset),
      aliases: [`arn:aws:secretsmanager:eu-west-1:000000000000:secret:${keyOf(from + offset)}-abcdef`],
      tags: {},
      versions: { AWSCURRENT: versionOf(from + offset) },
    }));
    const page = { kind: "page" as const, secrets: overTheWire(secrets) };
    return Promise.resolve(to < this.#size ? { ...page, next: String(to) } : page);
  }

  close(): void {
    // There is nothing to close.
  }

  #found(key: string): ReadResult {
    const index = indexOf(key);
    return {
      kind: "found",
      value: SecretValue.fromText(JSON.stringify({ password: `value-${index}` })),
      versionId: versionOf(index),
      versionStages: ["AWSCURRENT"],
      changedAt: 1_700_000_000_000,
    };
  }
}

const versionOf = (index: number): string => `10000000-0000-4000-8000-${String(index).padStart(12, "0")}`;
