import { describe, expect, it } from "@jest/globals";
import { projectClusterSync } from "../../src/cluster/cluster-sync.ts";
import { projectSync } from "../../src/cluster/sync-object.ts";
import type { KubeObject } from "../../src/kube/kube-api.ts";

const API = "secretsync.dev/v1alpha1";
const template = { "secretsync.dev/template": "abc" };
const owner = (more: object) => ({
  apiVersion: API,
  kind: "ClusterSecretSync",
  name: "c",
  uid: "u",
  ...more,
});
const project = (metadata: object) =>
  projectSync({ metadata: { name: "a", namespace: "shop", ...metadata } });

describe("a SecretSync that a ClusterSecretSync made", () => {
  it("is known by its owner, and by the template that it was made from", () => {
    expect(project({ annotations: template, ownerReferences: [owner({})] }).maker).toEqual({
      uid: "u",
      template: "abc",
    });
    expect(project({ ownerReferences: [owner({})] }).maker).toEqual({ uid: "u", template: undefined });
    for (const odd of [owner({ kind: "Pod" }), owner({ apiVersion: "v1" }), owner({ uid: 7 }), null, "x"])
      expect(project({ ownerReferences: [odd] }).maker).toBeUndefined();
  });

  it("is an orphan once it has no owner that controls it any more", () => {
    expect(project({ annotations: template }).isOrphan).toBe(true);
    expect(project({ annotations: template, ownerReferences: [{ kind: "Pod" }, null] }).isOrphan).toBe(true);
    expect(
      project({ annotations: template, ownerReferences: [{ controller: true }] }).isOrphan,
    ).toBeUndefined();
    expect(project({ annotations: template, ownerReferences: [owner({})] }).isOrphan).toBeUndefined();
    expect(project({}).isOrphan).toBeUndefined();
    expect(project({ annotations: { "secretsync.dev/template": 7 } }).isOrphan).toBeUndefined();
  });
});

describe("a ClusterSecretSync", () => {
  it("whose spec is too large is told so, and nothing of it is kept", () => {
    const spec = { template: { spec: { data: "x".repeat(1_000_000) } } };
    const projected = projectClusterSync({ metadata: { name: "c" }, spec } as unknown as KubeObject);
    expect(projected.template).toEqual({});
    expect(projected.spec.ok || projected.spec.problems[0]).toContain("is too large");
    expect([projected.uid, projected.resourceVersion]).toEqual(["", ""]);
  });

  it("keeps the template as it is stored", () => {
    const stored = { data: [{ secretKey: "a" }] };
    const object = {
      metadata: { name: "c", uid: "u", resourceVersion: "1" },
      spec: { template: { spec: stored } },
    };
    expect(projectClusterSync(object as unknown as KubeObject).template).toEqual(stored);
  });
});
