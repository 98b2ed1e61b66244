import { projectClusterSync } from "../../src/cluster/cluster-sync.ts";
import { describe, expect, it } from "@jest/globals";
import { newViews, workloadsOf } from "../../src/cluster/views.ts";
import { projectWorkload } from "../../src/rollout/workload.ts";

const consumer = (namespace: string, name: string, secrets: readonly string[], consumed = "{}") =>
  projectWorkload("Deployment", {
    metadata: {
      name,
      namespace,
      uid: `${namespace}/${name}`,
      resourceVersion: "1",
      annotations: { "secretsync.dev/consumed": consumed },
    },
    spec: {
      template: {
        spec: { containers: [{ envFrom: secrets.map((secret) => ({ secretRef: { name: secret } })) }] },
      },
    },
  } as never);

const names = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${prefix}${index}`);

describe("views of workloads", () => {
  const leftAlone: string[] = [];
  const newOnes = () =>
    newViews({
      mostBytes: 8 * 1024 * 1024,
      onError: (_kind, error) => {
        throw error;
      },
      onLeftAlone: (_kind, key) => leftAlone.push(key),
    });

  it.each([
    ["consumed", (index: number) => consumer("evil", `d${index}`, names(`s${index}-`, 64))],
    [
      "recorded",
      (index: number) => {
        const slots = names(`s${index}-`, 120).map((name) => [name, "x"]);
        return consumer("evil", `d${index}`, [], JSON.stringify(Object.fromEntries(slots)));
      },
    ],
  ])("give up those of whoever names most Secrets, here %s, and find the others", (_what, made) => {
    leftAlone.length = 0;
    const views = newOnes();
    const { Deployment } = views.workloads;
    Deployment.set(consumer("shop", "large", names("db", 64)));
    for (let index = 0; index < 1_000; index++) Deployment.set(made(index));
    Deployment.set(consumer("shop", "usual", ["db0"]));
    expect(views.budgets.workloads.Deployment.bytes).toBeLessThanOrEqual(1024 * 1024);
    expect(leftAlone.length).toBeGreaterThan(900);
    expect(leftAlone.every((key) => key.startsWith("evil/"))).toBe(true);
    expect(workloadsOf(views, "shop", "db0").map(({ name }) => name)).toEqual(["large", "usual"]);
    // Nothing is found by what was given up.
    expect(workloadsOf(views, "evil", "s0-0")).toEqual([]);
    expect(Deployment.get("evil/d0")).toMatchObject({ consumes: {}, consumed: undefined, isOutline: true });
  });

  it("take a note of more digests than ours has for none", () => {
    const slots = (count: number) =>
      JSON.stringify(Object.fromEntries(names("s", count).map((name) => [name, "x"])));
    expect(consumer("shop", "a", [], slots(128)).consumed).toBe(slots(128));
    expect(consumer("shop", "a", [], slots(129)).consumed).toBeUndefined();
  });

  it("count nothing for workloads with as few Secrets as usual", () => {
    expect(consumer("shop", "a", names("secret-", 8)).weight).toBe(0);
  });
});

describe("a ClusterSecretSync", () => {
  const clusterSync = (spec: unknown) =>
    projectClusterSync({ metadata: { name: "a", uid: "u", resourceVersion: "1" }, spec } as never);

  it("that is too large is kept without its template, and says so", () => {
    const data = Array.from({ length: 256 }, () => ({ secretKey: "a", default: "x".repeat(10_000) }));
    const { spec, template } = clusterSync({ namespaces: {}, template: { spec: { data } } });
    expect(template).toEqual({});
    expect(spec).toEqual({ ok: false, problems: [expect.stringMatching(/^spec: is too large/)] });
  });

  it("keeps its template as it was stored, whatever that is", () => {
    const template = { spec: { providerRef: { name: "aws" }, data: [{ secretKey: "a" }] } };
    expect(clusterSync({ namespaces: {}, template }).template).toEqual(template.spec);
    expect(clusterSync("odd").template).toBeUndefined();
    expect(clusterSync("odd").spec.ok).toBe(false);
  });
});
