import { beforeAll, describe, expect, it } from "@jest/globals";
import { execFile } from "node:child_process";
import { globSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { parseAllDocuments, stringify } from "yaml";
import { ensureTools, toolPath } from "../cluster/tools.ts";
import { awsUser } from "../support/aws.ts";
import { testValues } from "../support/chart.ts";
import type { KubeObject } from "../../src/kube/kube-api.ts";
import { run, runWith } from "../support/kubectl.ts";
import { awsEndpoint, kubeconfig, logFile, suiteVariable } from "../support/suite.ts";
import { until } from "../support/wait.ts";

/** Every command block and every example of the docs, on a cluster, in the order in which a newcomer meets them. */

const withImage = suiteVariable("NO_IMAGE") ? describe.skip : describe;
const execute = promisify(execFile);
const aws = awsUser(awsEndpoint);

/** Run elsewhere: by CI itself, by test/e2e/demo.test.ts, or by the tests of the builds. */
const elsewhere =
  /^(make (demo|test|build|verify|bench|image|sbom|fuzz|redteam|generate|cluster-up|cluster-down)|kind)\b/;

interface Block {
  readonly file: string;
  readonly command: string;
}
const blocksOf = (file: string): readonly Block[] =>
  [...readFileSync(file, "utf8").matchAll(/```sh\n(.*?)```/gs)]
    .map((block) => ({ file, command: (block[1] ?? "").trim() }))
    .filter(({ command }) => !elsewhere.test(command));

const isEnd = ({ command }: Block): boolean =>
  /^(helm uninstall|kubectl delete (crd|clustersecretsyncs))/.test(command);

// Installs first, uninstalls last.
const files = [
  "README.md",
  "docs/quick-start.md",
  ...globSync("docs/**/*.md").filter((file) => !/quick-start|upgrade/.test(file)),
  "docs/upgrade.md",
];
const blocks = files.flatMap(blocksOf);

let bin: string;
const shell = (command: string) =>
  execute("bash", ["-euo", "pipefail", "-c", command], {
    env: { ...process.env, KUBECONFIG: kubeconfig, PATH: `${bin}:${process.env["PATH"]}` },
    maxBuffer: 1 << 26,
  });

beforeAll(async () => {
  await ensureTools("helm", "kubectl");
  bin = logFile("bin");
  mkdirSync(bin);
  for (const program of ["helm", "kubectl"]) symlinkSync(toolPath(program), path.join(bin, program));
}, 900_000);

withImage("the docs", () => {
  it("have commands", () => {
    expect(blocks.length).toBeGreaterThan(20);
  });

  const install = blocks.find(({ command }) => command.startsWith("helm install"));
  const rest = blocks.filter((block) => block !== install && !isEnd(block));

  it("install the operator by the README's command", async () => {
    await shell(install!.command);
    // The emulator's address is what a newcomer's cluster wouldn't need.
    const values = logFile("emulator.yaml");
    writeFileSync(values, stringify({ extraEnv: testValues()["extraEnv"] }));
    await shell(
      `helm upgrade secretsync charts/secretsync -n secretsync-system --reuse-values -f ${values} --wait`,
    );
    await aws.create("prod/shop/orders", JSON.stringify({ username: "orders", password: "p" }));
    await aws.create("gallery/db", JSON.stringify({ username: "db", password: "p" }), { team: "shop" });
    await aws.create("gallery/registry", JSON.stringify({ auths: {} }));
    const [key, certificate] = ["tls.key", "tls.crt"].map((name) => logFile(name)) as [string, string];
    await shell(
      `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -keyout ${key} -out ${certificate}`,
    );
    await aws.create(
      "gallery/tls",
      JSON.stringify({
        certificate: readFileSync(certificate, "utf8"),
        privateKey: readFileSync(key, "utf8"),
      }),
    );
    await shell(
      "kubectl apply -f examples/orders.yaml && kubectl wait -n shop ssync/orders-db --for=condition=Ready --timeout=60s",
    );
  }, 180_000);

  it.each(rest.map((block) => [block.file, block.command.split("\n")[0] ?? "", block] as const))(
    "%s: %s",
    async (_file, _first, { command }) => {
      // Installed already, by the first.
      const again = command.startsWith("helm install")
        ? command.replace("helm install", "helm upgrade --reuse-values")
        : command;
      await shell(again);
    },
    120_000,
  );
});

withImage("the manifests of the docs", () => {
  const manifests = ["README.md", ...globSync("docs/*.md")].flatMap((file) =>
    [...readFileSync(file, "utf8").matchAll(/```yaml\n(.*?)```/gs)]
      .map((block) => ({ file, manifest: block[1] ?? "" }))
      .filter(({ manifest }) => manifest.includes("secretsync.dev/v1alpha1")),
  );

  it("are there", () => {
    expect(manifests.length).toBeGreaterThan(1);
  });

  it.each(manifests)("$file: the apiserver takes them", async ({ manifest }) => {
    const namespaces = parseAllDocuments(manifest).map(
      (document) => (document.toJS() as { metadata: { namespace?: string } }).metadata.namespace,
    );
    for (const namespace of namespaces)
      if (namespace !== undefined)
        await shell(`kubectl create namespace ${namespace} --dry-run=client -o yaml | kubectl apply -f -`);
    const { ok, output } = await runWith(manifest, "apply", "--dry-run=server", "-f", "-");
    expect(output).not.toContain("rror");
    expect(ok).toBe(true);
  });
});

withImage("an example", () => {
  /** What each leaves in the cluster. */
  const gives: Readonly<
    Record<
      string,
      { secret?: string; keys: readonly string[]; type?: string; immutable?: boolean; says?: string }
    >
  > = {
    "docker-registry": {
      secret: "registry",
      keys: [".dockerconfigjson"],
      type: "kubernetes.io/dockerconfigjson",
    },
    env: { keys: ["password"], says: "password=p" },
    "every-namespace": { keys: ["password"] },
    shared: { keys: ["password"] },
    "env-from": { keys: ["DB_PASSWORD", "DB_USERNAME"], says: "user=db" },
    immutable: { keys: ["password"], immutable: true },
    "many-sources": { keys: ["password", "region", "registry"] },
    merge: { secret: "theirs", keys: ["password", "theirs"] },
    statefulset: { keys: ["password"], says: "password=p" },
    tags: { keys: ["db"] },
    "tenant-provider": { secret: "tenant", keys: ["password"] },
    tls: { keys: ["tls.crt", "tls.key"], type: "kubernetes.io/tls" },
    volume: { keys: ["password", "username"], says: "user=db" },
  };
  const examples = globSync("examples/*.yaml").filter((file) => !/gallery|orders|cross-account/.test(file));

  beforeAll(async () => {
    await shell(
      "helm upgrade --install secretsync charts/secretsync -n secretsync-system --reuse-values --wait",
    );
    await shell("kubectl apply -f examples/gallery.yaml");
    await shell(
      "kubectl create secret generic aws-keys -n gallery --from-literal=accessKeyID=test --from-literal=secretAccessKey=test",
    );
  }, 120_000);

  it.each(examples)(
    "%s is synced, and its pods run",
    async (file) => {
      await shell(`kubectl apply -f ${file}`);
      const objects = parseAllDocuments(readFileSync(file, "utf8")).map(
        (document) => document.toJS() as { kind: string; metadata: { name: string } },
      );
      for (const { kind, metadata } of objects) {
        if (kind === "SecretSync")
          await shell(`kubectl wait -n gallery ssync/${metadata.name} --for=condition=Ready --timeout=60s`);
        if (kind === "ClusterSecretSync")
          await shell(`kubectl wait cssync/${metadata.name} --for=condition=Ready --timeout=60s`);
        if (kind === "Deployment" || kind === "StatefulSet")
          await shell(`kubectl rollout status -n gallery ${kind}/${metadata.name} --timeout=60s`);
      }
      const example = path.basename(file, ".yaml");
      const { secret = example, keys, type = "Opaque", immutable, says } = gives[example]!;
      const live = JSON.parse((await shell(`kubectl get secret -n gallery ${secret} -o json`)).stdout) as {
        data: Record<string, string>;
        type: string;
        immutable?: boolean;
      };
      expect(Object.keys(live.data).sort()).toEqual(keys);
      expect([live.type, live.immutable]).toEqual([type, immutable]);
      if (says)
        await until("the pod says what it sees", async () =>
          (await shell(`kubectl logs -n gallery -l app=${example}`)).stdout.includes(says),
        );
    },
    120_000,
  );

  it("of another account is accepted, and says whose leave is missing", async () => {
    await shell("kubectl apply -f examples/cross-account.yaml");
    await until("it has a verdict", async () =>
      /SecretNotFound|AccessDenied/.test((await shell("kubectl get ssync -n gallery cross-account")).stdout),
    );
  }, 60_000);

  it("is listed in the gallery", () => {
    const listed = readFileSync("examples/README.md", "utf8");
    for (const file of globSync("examples/*.yaml")) expect(listed).toContain(`(${path.basename(file)})`);
  });
});

withImage("the end", () => {
  const ends = blocks.filter(isEnd);

  it("comes by the commands of docs/upgrade.md, and keeps the Secrets or takes them along", async () => {
    expect(ends).toHaveLength(4);
    const [uninstall, deleteSyncs, deleteCrds, deleteAll] = ends as [Block, Block, Block, Block];
    await shell(uninstall.command);
    await shell(deleteSyncs.command);
    await until("no SecretSync is left", async () => (await run("get", "ssync", "-A", "-o", "name")) === "");
    await shell(deleteCrds.command);
    expect(await run("get", "crd", "-o", "name")).not.toContain("secretsync.dev");
    const { metadata } = JSON.parse(
      await run("get", "secret", "-n", "shop", "orders-db", "-o", "json"),
    ) as KubeObject;
    expect(metadata.ownerReferences).toBeUndefined();
    // Once more, with a Secret that belongs to its SecretSync.
    await shell("kubectl apply --server-side -f crds/ && kubectl wait --for=condition=Established -f crds/");
    const spec = { providerRef: { name: "x" }, data: [{ secretKey: "a", remoteRef: { key: "a" } }] };
    const sync = {
      apiVersion: "secretsync.dev/v1alpha1",
      kind: "SecretSync",
      metadata: { name: "x", namespace: "shop" },
      spec,
    };
    expect((await runWith(JSON.stringify(sync), "create", "-f", "-")).ok).toBe(true);
    const uid = await run("get", "ssync", "-n", "shop", "x", "-o", "jsonpath={.metadata.uid}");
    const owner = { apiVersion: "secretsync.dev/v1alpha1", kind: "SecretSync", name: "x", uid };
    const patch = JSON.stringify({ metadata: { ownerReferences: [owner] } });
    await run("patch", "secret", "-n", "shop", "orders-db", "--type=merge", "-p", patch);
    await shell(deleteAll.command);
    await until(
      "the Secret is gone with its owner",
      async () => !(await run("get", "secrets", "-n", "shop", "-o", "name")).includes("orders-db"),
      { timeoutMs: 120_000 },
    );
    await run("delete", "namespace", "secretsync-system", "shop", "gallery");
  }, 200_000);
});
