import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { readFileSync, readdirSync } from "node:fs";
import { parse } from "yaml";
import type { KubeApi } from "../../src/kube/kube-api.ts";
import { resources } from "../../src/kube/resources.ts";
import type { Transport } from "../../src/kube/transport.ts";
import { invalidManifests, validProviders, validSyncs, type InvalidCase } from "../support/manifests.ts";
import { run, runWith } from "../support/kubectl.ts";
import { newAdmin, signal } from "../support/suite.ts";

/** The API as the real apiserver enforces it; test/api/ has our own parser before the same manifests. */

let transport: Transport;
let api: KubeApi;
beforeAll(() => {
  ({ transport, api } = newAdmin());
});
afterAll(() => transport.close());

const types = {
  SecretSync: resources.secretSync,
  ClusterSecretSync: resources.clusterSecretSync,
  SecretProvider: resources.secretProvider,
  ClusterSecretProvider: resources.clusterSecretProvider,
} as const;

/** What the apiserver says to the manifest; undefined when it takes it. */
async function refusal(kind: InvalidCase["kind"], spec: unknown): Promise<string | undefined> {
  const { group, version, plural, namespaced } = types[kind];
  const path = `/apis/${group}/${version}${namespaced ? "/namespaces/default" : ""}/${plural}?dryRun=All`;
  const body = JSON.stringify({ apiVersion: `${group}/${version}`, kind, metadata: { name: "case" }, spec });
  const response = await transport.send(
    { method: "POST", path, body, headers: { "content-type": "application/json" }, lane: 1 },
    signal,
  );
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  if ((response.statusCode ?? 0) < 300) return undefined;
  return (JSON.parse(Buffer.concat(chunks).toString()) as { message: string }).message;
}

describe("a valid manifest is taken", () => {
  it.each(Object.entries(validSyncs))("SecretSync: %s", async (_title, spec) => {
    expect(await refusal("SecretSync", spec)).toBeUndefined();
  });

  it.each(validProviders)("$kind: $title", async ({ kind, spec }) => {
    expect(await refusal(kind, spec)).toBeUndefined();
  });
});

describe("an invalid manifest is refused", () => {
  it("by a corpus of at least 80", () => {
    expect(invalidManifests.length).toBeGreaterThanOrEqual(80);
  });

  it.each(invalidManifests)("$kind: $title", async ({ kind, spec, message }) => {
    expect(await refusal(kind, spec)).toContain(message);
  });
});

describe("kubectl apply", () => {
  // The gallery makes the namespace of the others.
  const files = ["gallery.yaml", ...readdirSync("examples").filter((file) => file !== "gallery.yaml")];
  beforeAll(() => run("apply", "-f", "examples/gallery.yaml"));
  afterAll(() => run("delete", "namespace", "gallery", "shop", "--ignore-not-found", "--wait=false"));

  it.each(files.filter((file) => file.endsWith(".yaml")))(
    "of %s again leaves everything of ours unchanged",
    async (file) => {
      await run("apply", "-f", `examples/${file}`);
      const said = (await run("apply", "-f", `examples/${file}`)).trim().split("\n");
      const ours = said.filter((line) => line.includes("secretsync.dev"));
      expect(ours.length).toBeGreaterThan(0);
      for (const line of ours) expect(line).toMatch(/ unchanged$/);
    },
  );
});

describe("the CRDs", () => {
  it("fill in the defaults", async () => {
    const metadata = { name: "defaults", namespace: "default" };
    const object = {
      metadata,
      spec: { providerRef: { name: "aws" }, data: [{ secretKey: "a", remoteRef: { key: "k" } }] },
    };
    const created = await api.create(resources.secretSync, object, signal);
    expect(created.spec).toMatchObject({
      providerRef: { kind: "SecretProvider" },
      refreshInterval: "1h",
      target: { creationPolicy: "Owner", deletionPolicy: "Retain" },
      restart: { policy: "Auto" },
    });
    // Below a list nothing is filled in, or kubectl apply would never say unchanged.
    expect(created.spec.data).toEqual(object.spec.data);
    await run("delete", "ssync", "defaults");
  });

  it.each(readdirSync("crds"))("%s is below 256 KiB and has a description on every field", (file) => {
    const text = readFileSync(`crds/${file}`, "utf8");
    expect(text.length).toBeLessThan(256 * 1024);
    const undescribed: string[] = [];
    const visit = (node: unknown, path: string) => {
      for (const [name, child] of Object.entries(
        (node as { properties?: Record<string, unknown> }).properties ?? {},
      )) {
        const field = `${path}.${name}`;
        if (name !== "metadata" && !(child as { description?: string }).description) undescribed.push(field);
        visit(child, field);
        const { items } = child as { items?: unknown };
        if (items) visit(items, `${field}[]`);
      }
    };
    const crd = parse(text) as { spec: { versions: { schema: { openAPIV3Schema: unknown } }[] } };
    for (const { schema } of crd.spec.versions) visit(schema.openAPIV3Schema, file);
    expect(undescribed).toEqual([]);
  });

  it("read well in kubectl explain", async () => {
    const text = await run("explain", "secretsyncs.secretsync.dev.spec.data.remoteRef");
    expect(text).toContain("Name or ARN of the secret in the provider, for example prod/shop/orders.");
    expect(await run("explain", "csprov.spec.access.keys")).toContain("{{namespace}}");
  });

  it("have short names, a category and the columns that people look for", async () => {
    expect(await run("api-resources", "--api-group=secretsync.dev", "--no-headers")).toMatch(
      /secretsyncs +ssync/,
    );
    const made = {
      apiVersion: "secretsync.dev/v1alpha1",
      kind: "SecretSync",
      metadata: { name: "columns" },
      spec: validSyncs["the shortest"],
    };
    expect((await runWith(JSON.stringify(made), "apply", "-f", "-")).ok).toBe(true);
    expect(await run("get", "ssync", "columns")).toMatch(
      /NAME +READY +STATUS +PROVIDER +SECRET +LAST CHANGE +AGE/,
    );
    expect(await run("get", "ssync", "columns", "-o", "wide")).toMatch(/AGE +RESTART +VERSION +MESSAGE/);
    expect(await run("get", "secretsync")).toContain("columns");
    await run("delete", "ssync", "columns");
  });

  it("stand beside the other project's kind of the same name", async () => {
    const other = readFileSync("test/golden/secret-sync.x-k8s.io.yaml", "utf8");
    expect((await runWith(other, "apply", "--server-side", "-f", "-")).output).toContain(
      "serverside-applied",
    );
    await run("wait", "--for=condition=Established", "crd/secretsyncs.secret-sync.x-k8s.io", "--timeout=30s");
    expect(await run("get", "secretsyncs.secretsync.dev", "-A")).toBeDefined();
    expect(await run("get", "secretsyncs.secret-sync.x-k8s.io", "-A")).toBeDefined();
    expect(await run("get", "ssync", "-A")).toBeDefined();
    await run("delete", "crd", "secretsyncs.secret-sync.x-k8s.io");
  });
});
