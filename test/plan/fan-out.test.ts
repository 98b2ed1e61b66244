import { describe, expect, it } from "@jest/globals";
import { parseClusterSync, type ClusterSecretSyncStatus } from "../../src/api/cluster-secret-sync.ts";
import {
  planFanOut,
  reportFanOut,
  reportInvalidFanOut,
  type ExistingSync,
  type FanOut,
} from "../../src/plan/fan-out.ts";

/** What a ClusterSecretSync asks for, and what is told of it. */

const syncSpec = { providerRef: { name: "aws" }, data: [{ secretKey: "a", remoteRef: { key: "k" } }] };
function specOf(more: Record<string, unknown> = {}, metadata?: object) {
  const parsed = parseClusterSync({
    namespaces: { selector: { matchLabels: { team: "shop" } } },
    template: { spec: syncSpec, ...(metadata ? { metadata } : {}) },
    ...more,
  });
  if (!parsed.ok) throw new Error(parsed.problems.join("; "));
  return parsed.value;
}
const ready = { status: "True", reason: "Synced", message: "ok" } as const;
/** As it is stored: with more than is told. */
const bad = {
  type: "Ready",
  status: "False",
  reason: "SecretNotFound",
  message: "no such secret",
  lastTransitionTime: "2026-05-01T00:00:00Z",
  observedGeneration: 1,
} as const;
const there = (namespace: string, more: Partial<ExistingSync> = {}): ExistingSync => ({
  namespace,
  name: "pull",
  uid: `uid of ${namespace}`,
  isOurs: true,
  isAnothers: false,
  isOrphan: false,
  isAsWanted: true,
  addition: undefined,
  ready,
  ...more,
});
const shop = (name: string) => ({ name, labels: { team: "shop" } });
const planOf = (
  existing: readonly ExistingSync[],
  { spec = specOf(), namespaces = [shop("a"), shop("b"), { name: "c", labels: {} }] } = {},
) => planFanOut({ name: "pull", spec, namespaces, ending: new Set(["ending"]), existing });

describe("what is written", () => {
  it("is a SecretSync for each namespace that is meant and has none, or one that isn't as wanted", () => {
    expect(planOf([]).apply).toEqual([
      { namespace: "a", uid: undefined },
      { namespace: "b", uid: undefined },
    ]);
    const plan = planOf([there("a"), there("b", { isAsWanted: false })]);
    expect(plan).toMatchObject({
      apply: [{ namespace: "b", uid: "uid of b" }],
      remove: [],
      matched: ["a", "b"],
    });
  });

  it("leaves what somebody else has under that name, and tells", () => {
    const { apply, remove, unready } = planOf([there("a", { isOurs: false, isAsWanted: false }), there("b")]);
    expect([apply, remove]).toEqual([[], []]);
    expect(unready.get("a")).toMatchObject({ reason: "NameTaken" });
  });

  it("takes one whose maker is gone, and removes none that isn't meant", () => {
    const orphan = { isOurs: false, isOrphan: true, isAsWanted: false, uid: "left" };
    const { apply, remove, unready } = planOf([there("a", orphan), there("b"), there("c", orphan)]);
    expect(apply).toEqual([{ namespace: "a", uid: "left" }]);
    expect(remove).toEqual([]);
    expect([...unready]).toEqual([]);
  });

  it("tells whose it is when another one has made it, and one that somebody has suspended as what it is", () => {
    const { unready } = planOf([
      there("a", { isOurs: false, isAnothers: true, isAsWanted: false }),
      there("b"),
    ]);
    expect(unready.get("a")?.message).toContain("another ClusterSecretSync");
    const suspended = { status: "True", reason: "Suspended", message: "spec.suspend is true" } as const;
    expect(planOf([there("a", { ready: suspended }), there("b")]).unready.get("a")).toEqual(suspended);
    const spec = specOf({ template: { spec: { ...syncSpec, suspend: true } } });
    expect(planOf([there("a", { ready: suspended }), there("b")], { spec }).unready.size).toBe(0);
  });

  it("takes away what isn't meant any more, as the policy says, and what another name had", () => {
    const old = [there("a"), there("b"), there("c"), there("a", { name: "old" })];
    const foreign = [there("c", { isOurs: false }), there("a", { name: "x", isOurs: false })];
    expect(planOf([...old, ...foreign]).remove.map(({ namespace, name }) => `${namespace}/${name}`)).toEqual([
      "c/pull",
      "a/old",
    ]);
    const { remove } = planOf(old, { spec: specOf({ deletionPolicy: "Retain" }) });
    expect(remove.map(({ namespace, name }) => `${namespace}/${name}`)).toEqual(["a/old"]);
  });

  it("has the name that the template gives", () => {
    const { apply, remove } = planOf([there("a"), there("b", { name: "other" })], {
      spec: specOf({}, { name: "other" }),
    });
    expect(apply).toEqual([{ namespace: "a", uid: undefined }]);
    expect(remove.map(({ namespace, name }) => `${namespace}/${name}`)).toEqual(["a/pull"]);
  });
});

describe("what is told", () => {
  const at = "2026-05-01T00:00:00.000Z";
  const later = "2026-05-02T00:00:00.000Z";
  const report = (plan: FanOut, refused = new Map<string, string>(), before: ClusterSecretSyncStatus = {}) =>
    reportFanOut(before, 3, plan, refused, at);
  const readyOf = (status: ClusterSecretSyncStatus) => {
    const told = status.conditions?.find(({ type }) => type === "Ready");
    return `${told?.status} ${told?.reason} ${told?.message}`;
  };
  const types = ({ conditions = [] }: ClusterSecretSyncStatus) => conditions.map(({ type }) => type);

  it("is ready when all are", () => {
    const status = report(planOf([there("a"), there("b")]));
    expect(readyOf(status)).toBe("True Synced 2 namespaces are as wanted");
    expect(status).toMatchObject({
      observedGeneration: 3,
      namespaces: { matched: 2, ready: 2, failed: 0 },
    });
    expect(types(status)).toEqual(["Ready"]);
    expect(readyOf(report(planOf([], { namespaces: [] })))).toBe(
      "True Synced no namespace is meant by spec.namespaces",
    );
    expect(readyOf(report(planOf([there("a")], { namespaces: [shop("a")] })))).toContain("1 namespace is");
  });

  it("is in progress while nobody has told", () => {
    const status = report(planOf([there("a", { ready: undefined })]));
    expect(readyOf(status)).toBe("False Progressing SecretSyncs were just made or changed");
    expect(status.namespaces).toEqual({ matched: 2, ready: 0, failed: 0 });
    expect(types(status)).toEqual(["Ready", "Reconciling"]);
  });

  it("names who fails and why, the first ten, and cuts what is long", () => {
    const names = Array.from({ length: 12 }, (_, index) => `n${String(index).padStart(2, "0")}`);
    const long = { ...bad, message: "x".repeat(1_000) };
    const plan = planOf(
      names.map((name) => there(name, { ready: long })),
      { namespaces: [...names.map(shop), shop("refused")] },
    );
    const status = report(plan, new Map([["refused", "no room"]]));
    expect(status.namespaces).toEqual({ matched: 13, ready: 0, failed: 13 });
    expect(status.failing?.map(({ namespace }) => namespace)).toEqual(names.slice(0, 10));
    expect(status.failing?.[0]).toEqual({
      namespace: "n00",
      reason: "SecretNotFound",
      message: `${"x".repeat(512)}…`,
    });
    expect(readyOf(status)).toMatch(
      /^False NamespacesFailing 13 of 13 namespaces fail, the first is n00: SecretNotFound: x{512}…$/,
    );
    const refused = report(planOf([], { namespaces: [shop("a")] }), new Map([["a", "no room"]]));
    expect(refused.failing).toEqual([{ namespace: "a", reason: "WriteFailed", message: "no room" }]);
  });

  it("names who has something of its own beside the template", () => {
    const status = report(planOf([there("a", { addition: "spec.target.name" }), there("b")]));
    expect(status.namespaces).toEqual({ matched: 2, ready: 1, failed: 1 });
    expect(status.failing?.[0]).toMatchObject({ namespace: "a", reason: "Added" });
    expect(status.failing?.[0]?.message).toContain("spec.target.name");
    const both = there("a", { addition: "spec.target.name", ready: bad });
    expect(report(planOf([both])).failing?.[0]?.reason).toBe("SecretNotFound");
  });

  it("names a namespace that is meant and that there isn't", () => {
    const told = (...names: string[]) =>
      readyOf(report(planOf([there("a")], { spec: specOf({ namespaces: { names } }) })));
    expect(told("a", "shpo")).toBe("True Synced 1 namespace is as wanted; there is no namespace shpo");
    expect(told("a", "shpo", "shpo", "ending")).toBe(told("a", "shpo"));
    expect(told("a", "shpo", "x", "y")).toContain("no namespace shpo and 2 more of spec.namespaces.names");
    expect(told("shpo")).toContain("no namespace is meant by spec.namespaces; there is no namespace shpo");
  });

  it("keeps the time of a condition as long as it holds", () => {
    const before = report(planOf([there("a"), there("b")]));
    const again = reportFanOut(before, 4, planOf([there("a"), there("b")]), new Map(), later);
    expect(again.conditions?.[0]).toMatchObject({ lastTransitionTime: at, observedGeneration: 4 });
    const failing = reportFanOut(before, 4, planOf([there("a", { ready: bad })]), new Map(), later);
    expect(failing.conditions?.[0]).toMatchObject({ lastTransitionTime: later });
  });

  it("of a broken spec keeps what is known of the namespaces", () => {
    const before = report(planOf([there("a"), there("b")]));
    const status = reportInvalidFanOut(before, 4, ["spec.a: x", "spec.b: y"], later);
    expect(readyOf(status)).toBe("False InvalidSpec spec.a: x; spec.b: y");
    expect(types(status)).toEqual(["Ready", "Stalled"]);
    expect(status.namespaces).toEqual(before.namespaces);
  });
});
