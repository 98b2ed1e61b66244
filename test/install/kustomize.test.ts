import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "@jest/globals";
import { parseAllDocuments, stringify } from "yaml";
import { kustomizeBase } from "../../tools/chart/kustomize.ts";
import { ensureTools } from "../cluster/tools.ts";
import { run, runWith } from "../support/kubectl.ts";
import { until } from "../support/wait.ts";

/** Installs without Helm. */

beforeAll(() => ensureTools("helm", "kubectl"), 900_000);

it("the Kustomize base equals the chart", () => {
  expect(readFileSync("config/install.yaml", "utf8")).toBe(kustomizeBase());
});

describe("an overlay with another namespace and a prefix", () => {
  it("keeps the fence around the operator", async () => {
    const objects = parseAllDocuments(await run("kustomize", "examples/kustomize"))
      .map((document) => document.toJS() as { kind: string })
      // The policies hold whoever asks in the operator's name.
      .filter(({ kind }) => kind !== "Deployment" && kind !== "CustomResourceDefinition");
    const applied = await runWith(
      objects.map((object) => stringify(object)).join("---\n"),
      "apply",
      "-f",
      "-",
    );
    expect(applied.output).not.toMatch(/error/i);
    const operator = ["--as", "system:serviceaccount:platform:acme-secretsync"];
    const secret = (type: string) =>
      stringify({
        apiVersion: "v1",
        kind: "Secret",
        type,
        metadata: {
          name: "made",
          namespace: "platform",
          labels: { "secretsync.dev/managed": "true" },
          annotations: { "kubernetes.io/service-account.name": "default" },
        },
      });
    const create = (type: string) =>
      runWith(secret(type), "create", "--dry-run=server", "-f", "-", ...operator);
    await until("the policy holds", async () => {
      const { ok, output } = await create("kubernetes.io/service-account-token");
      return !ok && output.includes("the operator may not write Secrets of a type that gives power");
    });
    // It holds for the operator alone.
    const { output } = await runWith(
      secret("Opaque"),
      "create",
      "--dry-run=server",
      "-f",
      "-",
      "--as",
      "somebody",
      "--as-group",
      "system:masters",
    );
    expect(output).toContain("secret/made created");
    await runWith(
      objects.map((object) => stringify(object)).join("---\n"),
      "delete",
      "--wait=false",
      "-f",
      "-",
    );
  }, 60_000);
});
