import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { stringify } from "yaml";
import { check } from "../../src/cli/check.ts";
import { ApiError, type KubeApi, type KubeObject } from "../../src/kube/kube-api.ts";

const sync = (name: string, spec: Record<string, unknown> = {}) => ({
  apiVersion: "secretsync.dev/v1alpha1",
  kind: "SecretSync",
  metadata: { name, namespace: "shop" },
  spec: {
    providerRef: { kind: "ClusterSecretProvider", name: "aws" },
    data: [{ secretKey: "a", remoteRef: { key: "k" } }],
    ...spec,
  },
});
const provider = (keys: readonly string[]) => ({
  apiVersion: "secretsync.dev/v1alpha1",
  kind: "ClusterSecretProvider",
  metadata: { name: "aws" },
  spec: { aws: { regions: ["eu-west-1"] }, access: [{ namespaces: { all: true }, keys }] },
});
const arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-AbCdEf";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "check-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const write = (name: string, ...objects: readonly unknown[]): string => {
  const file = path.join(folder, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, objects.map((object) => stringify(object)).join("---\n"));
  return file;
};

async function checked(argv: readonly string[], stdin = "", api?: Partial<KubeApi>) {
  let [out, fail] = ["", ""];
  let closed = false;
  const code = await check({
    argv,
    readStdin: () => stdin,
    connect: () => ({ api: api as KubeApi, close: () => (closed = true) }),
    out: (text) => (out += text),
    fail: (text) => (fail += text),
    colour: false,
  });
  return { code, out, fail, closed };
}

describe("the check of manifests", () => {
  it("says that all is fine, passing over what isn't ours", async () => {
    const file = write(
      "fine.yaml",
      sync("a"),
      { kind: "Deployment", apiVersion: "apps/v1" },
      provider(["**"]),
      null,
    );
    expect(await checked(["-f", file])).toMatchObject({ code: 0, out: "✔ 2 objects, none refused\n" });
  });

  it("names each object that would be refused, where it is, and what to do", async () => {
    const large = sync("large", { data: undefined, dataFrom: [{ extract: { key: "k".repeat(2_000) } }] });
    const items = Array.from({ length: 80 }, (_, index) => ({
      secretKey: `k${index}`,
      remoteRef: { key: "k".repeat(2_000) },
    }));
    write("many/a.yaml", large, sync("size", { data: items }));
    write("many/deep/b.yml", sync("bad key", { data: [{ secretKey: "a", remoteRef: { key: "a b" } }] }));
    write("many/c.json", sync("merge", { target: { creationPolicy: "Merge", template: {} } }));
    const { code, out } = await checked(["-f", path.join(folder, "many")]);
    expect(code).toBe(1);
    expect(out).toMatch(
      /✘ SecretSync shop\/size \(.*a\.yaml\)\n {4}spec: takes 160 KiB as JSON, and may take 128 KiB/,
    );
    expect(out).toMatch(
      /✘ SecretSync shop\/bad key \(.*b\.yml\)\n {4}spec\.data\[0\]\.remoteRef\.key: a key consists of/,
    );
    expect(out).toMatch(/✘ SecretSync shop\/merge \(.*c\.json\)\n {4}spec\.target: .*remove template/);
    expect(out).toMatch(/\n4 objects, 3 refused\n$/);
  });

  it("tells of ARNs that no rule matches any more, where the provider is at hand", async () => {
    const reading = sync("by-arn", { data: [{ secretKey: "a", remoteRef: { key: arn } }] });
    const { code, out } = await checked(
      ["-f", "-"],
      [reading, provider(["**"])].map((each) => stringify(each)).join("---\n"),
    );
    expect(code).toBe(1);
    expect(out).toContain("no glob in spec.access of ClusterSecretProvider/aws begins with arn:");
    const allowed = [reading, provider(["**", "arn:aws:secretsmanager:*:123456789012:secret:prod/**"])];
    expect((await checked(["-f", "-"], allowed.map((each) => stringify(each)).join("---\n"))).code).toBe(0);
    expect((await checked(["-f", "-"], stringify(reading))).code).toBe(0);
  });

  it("takes what kubectl get prints", async () => {
    const list = { apiVersion: "v1", kind: "List", items: [sync("a"), sync("b", { data: [] })] };
    expect((await checked(["-f", "-"], stringify(list))).out).toContain("2 objects, 1 refused");
  });

  it("looks at the cluster without files, page by page", async () => {
    const pages: Record<string, KubeObject[]> = {
      SecretSync: [sync("a"), sync("b", { refreshInterval: "soon" })] as never,
    };
    const api = {
      list: ({ kind }: { kind: string }, { continue: token }: { continue?: string }) => {
        const all = pages[kind] ?? [];
        const from = Number(token ?? 0);
        const rest = from + 1 < all.length ? { continue: String(from + 1) } : {};
        const { apiVersion: _a, kind: _k, ...bare } = (all[from] ?? {}) as KubeObject;
        return Promise.resolve({
          metadata: { resourceVersion: "1", ...rest },
          items: all.length > 0 ? [bare] : null,
        });
      },
    } as unknown as KubeApi;
    const { code, out, closed } = await checked([], "", api);
    expect([code, closed]).toEqual([1, true]);
    expect(out).toContain("✘ SecretSync shop/b (cluster)");
    expect(out).toContain("2 objects, 1 refused");
  });

  it("of a wrong call says how it is used", async () => {
    const { code, fail } = await checked(["--nonsense"]);
    expect(code).toBe(2);
    expect(fail).toContain("usage:");
  });

  it("tells every field that there isn't, each on a line, and what is no version or kind of ours", async () => {
    const typos = sync("typos", {
      refreshIntervall: "1h",
      data: [{ secretKey: "a", remoteRef: { key: "k", propertyy: "b" } }],
    });
    const others = [
      { ...sync("beta"), apiVersion: "secretsync.dev/v1beta9" },
      { ...sync("kind"), kind: "SecretSink" },
      { ...sync("x"), metadata: { name: { a: 1 } } },
    ];
    const { code, out } = await checked(["-f", write("typos.yaml", typos, ...others)]);
    expect(code).toBe(1);
    expect(out).toContain(
      "    spec.data[0].remoteRef.propertyy: there is no such field; correct its name or its place\n",
    );
    expect(out).toContain("    spec.refreshIntervall: there is no such field");
    expect(out).toContain("apiVersion: secretsync.dev/v1beta9 isn't served; use secretsync.dev/v1alpha1");
    expect(out).toContain("kind: SecretSink is none of SecretSync, SecretProvider, ClusterSecretProvider");
    expect(out).toContain("metadata.name is no text; is this a template? render it first");
    expect(out).toContain("4 objects, 4 refused");
  });

  it("isn't content with nothing: who checks the wrong folder must notice", async () => {
    const empty = write("nothing/other.yaml", { kind: "Deployment", apiVersion: "apps/v1" });
    for (const argv of [
      ["-f", empty],
      ["-f", "-"],
    ]) {
      const { code, out } = await checked(argv, "hello");
      expect(code).toBe(2);
      expect(out).toContain("there is no SecretSync and no provider in");
    }
  });

  it("goes on behind what it can't read, and says so", async () => {
    const broken = path.join(folder, "broken.yaml");
    writeFileSync(broken, "a: [");
    const { code, out } = await checked([
      "-f",
      broken,
      path.join(folder, "none.yaml"),
      write("bad.yaml", sync("b", { data: [] })),
    ]);
    expect(code).toBe(2);
    expect(out).toContain(`✘ ${broken} is no YAML`);
    expect(out).toContain("none.yaml doesn't exist");
    expect(out).toContain("✘ SecretSync shop/b");
  });

  it("says what it may not see in the cluster, and looks at the rest", async () => {
    const api = {
      list: ({ kind }: { kind: string }) =>
        kind === "ClusterSecretProvider"
          ? Promise.reject(new ApiError(403, "Forbidden", "tenant may not list"))
          : kind === "SecretProvider" || kind === "ClusterSecretSync"
            ? Promise.reject(new ApiError(404, "NotFound", ""))
            : Promise.resolve({ metadata: { resourceVersion: "1" }, items: [sync("a")] }),
    } as unknown as KubeApi;
    const { code, out } = await checked([], "", api);
    expect(code).toBe(2);
    expect(out).toContain("clustersecretproviders: tenant may not list");
    expect(out).toContain("secretproviders: the CRD isn't installed in this cluster");
    // A kind that an older version doesn't have is no gap.
    expect(out).not.toContain("clustersecretsyncs");
    expect(out).toContain("1 object, none refused");
  });

  it("explains itself", async () => {
    expect(await checked(["--help"])).toMatchObject({
      code: 0,
      out: expect.stringContaining("usage: operator.mjs check"),
    });
  });
});
