import { describe, expect, it } from "@jest/globals";
import type { KubeApi, KubeObject } from "../../src/kube/kube-api.ts";
import { collectionOf } from "../../src/kube/collection.ts";
import { resources } from "../../src/kube/resources.ts";
import { projectSync } from "../../src/cluster/sync-object.ts";
import { projectNamespace, projectProvider } from "../../src/cluster/views.ts";
import { newOddObjects } from "../../src/cluster/odd-objects.ts";
import { projectSecret } from "../../src/plan/live-target.ts";
import { projectWorkload } from "../../src/rollout/workload.ts";
import { parseSync } from "../../src/api/secret-sync-bounds.ts";
import { newTriggered } from "../support/triggered.ts";

/** Objects of every kind with each field missing, null, of another type, or huge: nothing of it may stop anybody else. */

const metadata = {
  name: "a",
  namespace: "evil",
  uid: "u",
  resourceVersion: "7",
  generation: 1,
  creationTimestamp: "2026-01-01T00:00:00Z",
  deletionTimestamp: "2026-01-01T00:00:00Z",
  labels: { "secretsync.dev/managed": "true" },
  annotations: {
    "secretsync.dev/owner": "a",
    "secretsync.dev/digests": '{"key":"k","version":"v","owned":"o","digests":{"a":"d"}}',
    "secretsync.dev/consumed": '{"db":"x"}',
    "reconcile.secretsync.dev/requestedAt": "now",
  },
  ownerReferences: [{ apiVersion: "v1", kind: "K", name: "n", uid: "u" }],
  managedFields: [
    { manager: "secretsync", operation: "Apply", subresource: "", fieldsV1: { "f:data": { "f:a": {} } } },
  ],
};
const items = [{ key: "a" }];
const container = {
  env: [{ name: "A", valueFrom: { secretKeyRef: { name: "db", key: "a" } } }],
  envFrom: [{ secretRef: { name: "db" } }],
};
const template = {
  metadata: { annotations: { "secretsync.dev/restarted-for": "x" } },
  spec: {
    containers: [container],
    initContainers: [container],
    volumes: [
      { secret: { secretName: "db", items } },
      { projected: { sources: [{ secret: { name: "db", items } }] } },
    ],
  },
};
const spec = {
  providerRef: { kind: "SecretProvider", name: "aws" },
  refreshInterval: "1h",
  suspend: false,
  data: [{ secretKey: "a", remoteRef: { key: "k" }, providerRef: { name: "b" } }],
  dataFrom: [{ find: { name: { regexp: "x" } }, rewrite: [{ regexp: { source: "a", target: "b" } }] }],
  target: { name: "db", creationPolicy: "Owner" },
};
const status = {
  conditions: [{ type: "Ready", status: "True", reason: "Synced", message: "", lastTransitionTime: "" }],
  secretRef: { name: "old" },
};

const values: readonly unknown[] = [
  undefined,
  null,
  5,
  true,
  "text",
  [],
  {},
  [null],
  { a: null },
  "x".repeat(300_000),
];

/** The object with one of its fields replaced, for each field at any depth and each value. */
function* oddities(object: unknown): Iterable<unknown> {
  if (typeof object !== "object" || object === null) return;
  for (const key of Object.keys(object)) {
    const copy = (value: unknown): unknown =>
      Array.isArray(object)
        ? object.map((item: unknown, index) => (String(index) === key ? value : item))
        : { ...object, [key]: value };
    for (const value of values) yield copy(value);
    for (const odd of oddities((object as Record<string, unknown>)[key])) yield copy(odd);
  }
}

const kinds = {
  SecretSync: { object: { metadata, spec, status }, type: resources.secretSync, project: projectSync },
  SecretProvider: {
    object: { metadata, spec: { aws: {} } },
    type: resources.secretProvider,
    project: projectProvider,
  },
  Secret: { object: { metadata }, type: resources.secret, project: projectSecret },
  Namespace: { object: { metadata }, type: resources.namespace, project: projectNamespace },
  Deployment: {
    object: { metadata, spec: { template } },
    type: resources.Deployment,
    project: (object: KubeObject) => projectWorkload("Deployment", object),
  },
} as const;

const normal = (object: { readonly metadata: object }): KubeObject => ({
  ...object,
  metadata: { ...object.metadata, name: "z", namespace: "shop", uid: "z" },
});

describe.each(Object.entries(kinds))("odd objects of kind %s", (_kind, { object, type, project }) => {
  const odd = [...oddities(object)] as KubeObject[];

  it("end no list and no watch: each is taken, or passed over alone", async () => {
    const passedOver: unknown[] = [];
    const api = {
      list: () => Promise.resolve({ metadata: { resourceVersion: "1" }, items: [...odd, normal(object)] }),
      async *watch() {
        for (const each of odd) yield { type: "MODIFIED", object: each };
        yield await Promise.resolve({ type: "ADDED", object: normal(object) });
      },
    } as unknown as KubeApi;
    const collection = collectionOf<{ key: string; uid: string; resourceVersion: string }>(
      api,
      type,
      {},
      project,
      (each) => passedOver.push(each),
    );
    const { signal } = new AbortController();
    const { items: listed } = await collection.list({ limit: 500 }, signal);
    expect(listed.length + passedOver.length).toBe(odd.length + 1);
    expect(listed.at(-1)?.uid).toBe("z");
    const seen = [];
    for await (const change of collection.watch({ resourceVersion: "1", timeoutSeconds: 1 }, signal))
      seen.push(change);
    expect(seen).toHaveLength(odd.length + 1);
    expect(seen.at(-1)).toMatchObject({ type: "set", item: { uid: "z" } });
  });

  it("are passed over only without what names them", () => {
    const failing = odd.filter((each) => {
      try {
        project(each);
        return false;
      } catch {
        return true;
      }
    });
    // Without metadata there is nothing to pass over.
    expect(failing.every((each) => typeof each.metadata !== "object" || each.metadata === null)).toBe(true);
  });

  it("throw in no listener, and leave every object to those who want it", () => {
    const thrown: string[] = [];
    const { views } = newTriggered((kind, error) => thrown.push(`${kind} ${String(error)}`));
    const stores = {
      SecretSync: views.syncs,
      SecretProvider: views.providers,
      Secret: views.secrets,
      Namespace: views.namespaces,
      Deployment: views.workloads.Deployment,
    } as const;
    const store = stores[_kind as keyof typeof stores] as {
      set(item: unknown): void;
      get(key: string): unknown;
    };
    let version = 10;
    for (const each of odd) {
      try {
        store.set({ ...project(each), key: "evil/a", resourceVersion: String(version++) });
      } catch {
        // It is passed over.
      }
    }
    store.set(project(normal(object)));
    expect(thrown).toEqual([]);
    expect(store.get(_kind === "Namespace" ? "z" : "shop/z")).toBeDefined();
  });
});

describe("a spec of any shape", () => {
  it("is taken or refused, and never thrown at", () => {
    for (const odd of oddities(spec)) {
      const parsed = parseSync(odd, 0);
      if (!parsed.ok) expect(parsed.failure.message).not.toBe("");
    }
  });
});

describe("what is told of odd objects", () => {
  it("names each once, counts all, and quotes none of an error's words", () => {
    const warned: object[] = [];
    const counted: string[] = [];
    const odd = newOddObjects({ warn: (fields: object) => warned.push(fields) } as never, (kind) =>
      counted.push(kind),
    );
    for (let turn = 0; turn < 3; turn++) odd("Secret", new TypeError("canary"), "evil/a");
    odd("Secret", new RangeError("canary"), "evil/a");
    odd("Secret", "canary", "evil/b");
    expect(counted).toHaveLength(5);
    expect(warned).toEqual([
      { object: "Secret evil/a", problem: "TypeError" },
      { object: "Secret evil/a", problem: "RangeError" },
      { object: "Secret evil/b", problem: "unknown" },
    ]);
  });
});
