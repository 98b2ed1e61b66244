import { describe, expect, it } from "@jest/globals";
import { outlineOfTarget, projectSecret } from "../../src/plan/live-target.ts";
import { plan } from "../../src/plan/plan.ts";
import { contentFingerprint, describeSource, sourcesOf, versionsOf } from "../../src/plan/sources.ts";
import {
  appliedObject,
  failing,
  fetched,
  found,
  missing,
  observed,
  specOf,
  secretSteps,
} from "../support/gen.ts";

const written = () => {
  const now = observed();
  const [step] = secretSteps(plan(now, fetched(now, found("one"))));
  if (step?.kind !== "applySecret") throw new Error("no step");
  return appliedObject(step);
};

describe("what is kept of a Secret", () => {
  it("holds no data, whatever the object holds", () => {
    const object = { ...written(), data: { password: "c2VjcmV0" } };
    expect(JSON.stringify(projectSecret(object))).not.toContain("c2VjcmV0");
  });

  it("of somebody else is empty", () => {
    expect(projectSecret({ metadata: { name: "a" } })).toEqual({
      key: "undefined/a",
      name: "a",
      namespace: "",
      uid: "",
      resourceVersion: "",
      managed: false,
      owner: undefined,
      ownerUids: [],
      controlledBy: undefined,
      records: {},
      owned: {},
      dataKeys: {},
      isUntouched: false,
      isOutline: false,
      weight: 192,
    });
  });

  it("names the keys of each manager of ours, and of nobody who only calls itself like that", () => {
    const { metadata } = written();
    const merged = { operation: "Apply", fieldsV1: { "f:data": { ".": {}, "f:b": {} } } };
    const others = [
      { ...merged, manager: "secretsync-merge-x" },
      { ...merged, manager: "secretsync-update", operation: "Update" },
      { ...merged, manager: "secretsync-status", subresource: "status" },
      { ...merged, manager: "kubectl" },
    ];
    const target = projectSecret({
      metadata: { ...metadata, managedFields: [...(metadata.managedFields ?? []), ...others] },
    });
    expect(target.dataKeys).toEqual({ secretsync: ["password"], "secretsync-merge-x": ["b"] });
  });

  it("is untouched right after our write, and no longer when a field was taken from us", () => {
    const object = written();
    expect(projectSecret(object).isUntouched).toBe(true);
    for (const lost of ["f:data", "f:metadata"]) {
      const managedFields = object.metadata.managedFields?.map((entry) => ({
        ...entry,
        fieldsV1: { ...entry.fieldsV1, [lost]: {} },
      }));
      expect(
        projectSecret({ metadata: { ...object.metadata, managedFields: managedFields! } }).isUntouched,
      ).toBe(false);
    }
    expect(projectSecret({ metadata: { ...object.metadata, managedFields: [] } }).isUntouched).toBe(false);
    expect(projectSecret({ metadata: { ...object.metadata, annotations: {} } }).isUntouched).toBe(false);
    const spoiled = Object.fromEntries(
      Object.keys(object.metadata.annotations ?? {}).map((name) => [name, "spoiled"]),
    );
    expect(projectSecret({ metadata: { ...object.metadata, annotations: spoiled } }).isUntouched).toBe(false);
  });
});

describe("of a Secret that somebody filled", () => {
  const many = (count: number, length: number) =>
    Array.from({ length: count }, (_, index) => String(index).padStart(length, "x"));
  const fieldsOf = (names: readonly string[]) => ({
    "f:data": Object.fromEntries(names.map((name) => [`f:${name}`, {}])),
  });
  const entry = (manager: string, names: readonly string[]) => ({
    manager,
    operation: "Apply",
    fieldsV1: fieldsOf(names),
  });
  const isOwner = { apiVersion: "secretsync.dev/v1alpha1", kind: "SecretSync", name: "n" };

  it.each([
    ["owners", { ownerReferences: many(4_000, 250).map((uid) => ({ ...isOwner, uid })) }],
    ["owners of its own", { ownerReferences: many(4_000, 36).map((uid) => ({ ...isOwner, uid })) }],
    ["managers", { managedFields: many(4_000, 250).map((name) => entry(name, ["a"])) }],
    [
      "managers of ours",
      { managedFields: many(4_000, 30).map((name) => entry(`secretsync-merge-${name}`, ["a"])) },
    ],
    ["fields", { managedFields: [entry("secretsync", many(90_000, 6))] }],
    [
      "records",
      {
        annotations: Object.fromEntries(
          many(400, 40).map((name) => [
            `secretsync.dev/digests-${name}`,
            JSON.stringify({ key: "k", version: "v", owned: "o", digests: { a: "b" } }),
          ]),
        ),
      },
    ],
    ["an owner", { annotations: { "secretsync.dev/owner": "x".repeat(200_000) } }],
  ])("with %s, what is kept is little, and an outline nearly nothing", (_what, more) => {
    const target = projectSecret({ metadata: { name: "a", ...more } });
    const bytes = JSON.stringify(target).length;
    expect(bytes).toBeLessThan(64 * 1024);
    // Whatever there is beyond names counts.
    expect(bytes).toBeLessThan(1_000 + target.weight);
    expect(JSON.stringify(outlineOfTarget(target)).length).toBeLessThan(1_000);
  });

  it("names what else controls it", () => {
    const controlledBy = (...ownerReferences: readonly object[]) =>
      projectSecret({ metadata: { name: "a", ownerReferences } as never }).controlledBy;
    const other = { apiVersion: "x/v1", kind: "ExternalSecret", name: "db", uid: "u" };
    expect(controlledBy({ ...other, controller: true })).toBe("ExternalSecret/db");
    expect(controlledBy({ ...other, kind: 5, name: null, controller: true })).toBe("?/?");
    expect(controlledBy(other, { ...isOwner, controller: true })).toBeUndefined();
  });

  it("names the SecretSyncs among the owners", () => {
    const ownerReferences = [
      { apiVersion: "apps/v1", kind: "Deployment", name: "n", uid: "deployment" },
      { ...isOwner, uid: "ours" },
      { ...isOwner, apiVersion: "other.dev/v1", uid: "theirs" },
    ];
    expect(projectSecret({ metadata: { name: "a", ownerReferences } }).ownerUids).toEqual(["ours"]);
  });
});

describe("sources", () => {
  it("are each read once, however many entries use them", () => {
    const data = ["a", "b", "c"].map((secretKey) => ({
      secretKey,
      remoteRef: { key: "k", property: secretKey },
    }));
    const sources = sourcesOf(
      specOf({ data, dataFrom: [{ extract: { key: "k" } }, { extract: { key: "k", version: "v" } }] }),
    );
    expect(sources.map(describeSource)).toEqual(["k", "k"]);
    expect(sources[0]?.field).toBe("spec.data[0]");
  });

  it("are told apart by provider, version and stage", () => {
    const refs = [{}, { version: "v" }, { versionStage: "s" }];
    const data = refs.map((ref, index) => ({ secretKey: `k${index}`, remoteRef: { key: "k", ...ref } }));
    expect(
      sourcesOf(
        specOf({
          data: [...data, { secretKey: "o", remoteRef: { key: "k" }, providerRef: { name: "other" } }],
        }),
      ),
    ).toHaveLength(4);
  });

  it("of a find are described by what is looked for", () => {
    const find = { path: "p/", name: { regexp: "x" }, tags: { team: "a" } };
    const [source] = sourcesOf(specOf({ data: undefined, dataFrom: [{ find }] }));
    expect(describeSource(source!)).toBe('find({"path":"p/","name":"x","team":"a"})');
  });

  it("have versions unless one failed", () => {
    const now = observed(
      {},
      {
        data: [
          { secretKey: "a", remoteRef: { key: "k1" } },
          { secretKey: "b", remoteRef: { key: "k2" }, optional: true },
        ],
      },
    );
    expect([...versionsOf(fetched(now, found("x", "v7"), missing))!.values()]).toEqual(["v7", "missing"]);
    expect(versionsOf(fetched(now, found("x"), failing()))).toBeUndefined();
  });

  it("have a fingerprint that changes with versions, matches and the spec, and not with their order", () => {
    const spec = specOf();
    const of = (...entries: [string, string | Map<string, string>][]) =>
      contentFingerprint(spec, new Map(entries));
    expect(of(["a", "1"], ["b", "2"])).toBe(of(["b", "2"], ["a", "1"]));
    expect(of(["a", "1"])).not.toBe(of(["a", "2"]));
    const matches = (...each: [string, string][]) => of(["f", new Map(each)]);
    expect(matches(["x", "1"], ["y", "2"])).toBe(matches(["y", "2"], ["x", "1"]));
    expect(matches(["x", "1"])).not.toBe(matches(["x", "1"], ["y", "2"]));
    expect(contentFingerprint(specOf({ target: { name: "n" } }), new Map())).not.toBe(
      contentFingerprint(spec, new Map()),
    );
    expect(contentFingerprint(specOf({ refreshInterval: "5m" }), new Map())).toBe(
      contentFingerprint(spec, new Map()),
    );
  });
});
