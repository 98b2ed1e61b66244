import { text } from "node:stream/consumers";
import { readFileSync } from "node:fs";
import path from "node:path";
import { parseAllDocuments, stringify } from "yaml";
import type { KubeApi, KubeObject } from "../../src/kube/kube-api.ts";
import { resources } from "../../src/kube/resources.ts";
import type { LeaseObject } from "../support/lease.ts";
import { AwsStandIn } from "../support/aws-stand-in.ts";
import { awsEnvironment } from "../support/aws.ts";
import { accountKubeconfig } from "../support/chart.ts";
import { run, runWith } from "../support/kubectl.ts";
import { newMemoryLimit, type MemoryLimit } from "../support/memory-limit.ts";
import { startOperator, type OperatorProcess } from "../support/operator.ts";
import { inNamespace, logFile, newAdmin, signal, unique } from "../support/suite.ts";
import { until } from "../support/wait.ts";

/**
 * Where attacks are tried: a control plane with the rights and policies of config/install.yaml; the operator as its
 * ServiceAccount, with the image's flags and under the chart's memory limit; a tenant with nothing but the ClusterRole edit in
 * a namespace of its own; and a victim in another namespace, who must not notice anything.
 */

const SYSTEM = "secretsync-system";
/** resources.limits.memory of the chart. */
export const MEMORY_LIMIT = 384 * 1024 * 1024;
const CANARY = "canary-redteam";

export const canary = (value: string): string => `${CANARY}-${value}`;

/** The image's command line and environment, from the Dockerfile itself. */
function imageProcess(): { nodeArgs: string[]; env: Record<string, string> } {
  const dockerfile = readFileSync(path.resolve(import.meta.dirname, "../../Dockerfile"), "utf8");
  const [, entrypoint = "[]"] = /^ENTRYPOINT (\[.*\])$/m.exec(dockerfile) ?? [];
  const variables = [...dockerfile.matchAll(/^ENV (\S+?)=(\S+)$/gm)].map(([, name = "", value = ""]) => [
    name,
    value,
  ]);
  return {
    nodeArgs: (JSON.parse(entrypoint) as string[]).slice(1),
    env: Object.fromEntries(variables) as Record<string, string>,
  };
}

/** Eight at once, in order. */
export async function inParallel(count: number, work: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
}

export type Arena = Awaited<ReturnType<typeof openArena>>;

export async function openArena() {
  const { api, transport } = newAdmin();
  const aws = new AwsStandIn();
  aws.latencyMs = 10;
  const endpoint = await aws.start();
  await installRights();
  const [evil, shop] = [unique("evil"), unique("shop")];
  await Promise.all(
    [evil, shop].map((name) => api.create(resources.namespace, { metadata: { name } }, signal)),
  );
  const provider = unique("aws");
  await api.create(resources.clusterSecretProvider, teams(provider, [shop]), signal);
  const tenantFile = await tenantKubeconfig(evil);
  const tenant = newAdmin(tenantFile);
  const operatorFile = await accountKubeconfig(SYSTEM, "secretsync");
  const asOperator = newAdmin(operatorFile);
  const victim = newVictim(api, aws, shop, provider);
  let operator: OperatorProcess | undefined;
  let limit: MemoryLimit | undefined;

  const start = async (): Promise<OperatorProcess> => {
    const { nodeArgs, env } = imageProcess();
    limit = newMemoryLimit(MEMORY_LIMIT);
    operator = await startOperator({
      kubeconfig: operatorFile,
      logFile: logFile(unique("redteam")),
      env: { ...env, ...awsEnvironment(endpoint) },
      nodeArgs,
      memoryLimit: limit,
      args: [`--operator-namespace=${SYSTEM}`, "--lease-name=secretsync", "--log-level=info"],
    });
    return operator;
  };
  await start();
  await victim.settle();

  return {
    api,
    aws,
    evil,
    shop,
    provider,
    victim,
    /** The tenant's own client. */
    tenant: tenant.api,
    inEvil: inNamespace(tenant.api, evil),
    tenantFile,
    /** A client with the operator's rights: for whoever has taken it over. */
    asOperator: asOperator.api,
    /** Kinds of patches that the operator itself never sends. */
    async patchAsOperator(resource: string, type: PatchType, body: unknown) {
      const contentType = { json: "json-patch", merge: "merge-patch", strategic: "strategic-merge-patch" }[
        type
      ];
      const response = await asOperator.transport.send(
        {
          method: "PATCH",
          path: resource,
          headers: { "content-type": `application/${contentType}+json` },
          body: JSON.stringify(body),
          lane: 1,
        },
        signal,
      );
      const output = await text(response);
      return { ok: (response.statusCode ?? 0) < 300, output };
    },
    get operator(): OperatorProcess {
      if (!operator) throw new Error("the operator was never started");
      return operator;
    },
    /** Bytes that the operator had at most since it was started; undefined where nothing tells. */
    memoryPeak(): number | undefined {
      const status = `/proc/${operator?.child.process.pid}/status`;
      const [, peak] = /VmHWM:\s+(\d+)/.exec(readFileSync(status, "utf8")) ?? [];
      return peak === undefined ? undefined : Number(peak) * 1024;
    },
    async restart(): Promise<void> {
      await operator?.kill();
      limit?.remove();
      // The dead one's lease would be waited for.
      await run("delete", "lease", "secretsync", "-n", SYSTEM, "--ignore-not-found");
      await start();
    },
    /** Who holds the lease. */
    async leader(): Promise<string> {
      const lease = await api.get<LeaseObject>(resources.lease, "secretsync", SYSTEM, signal);
      return lease?.spec?.holderIdentity ?? "";
    },
    /** Removes what the tenant made. */
    async clear(): Promise<void> {
      for (const type of [
        resources.secretSync,
        resources.secretProvider,
        resources.Deployment,
        resources.pod,
        resources.secret,
      ]) {
        // Metadata of one can be hundreds of kilobytes.
        const selection = { namespace: evil, metadataOnly: true, limit: 50 };
        let next: string | undefined;
        do {
          const page = { ...selection, ...(next ? { continue: next } : {}) };
          const { items, metadata } = await api.list(type, page, signal);
          await inParallel((items ?? []).length, async (index) => {
            const { name = "", uid = "" } = items?.[index]?.metadata ?? {};
            await api.delete(type, name, evil, { uid }, signal);
          });
          next = metadata.continue;
        } while (next);
      }
    },
    async close(): Promise<void> {
      await operator?.stop();
      limit?.remove();
      for (const client of [tenant, asOperator]) client.transport.close();
      transport.close();
      await aws.stop();
    },
  };
}

export type PatchType = "json" | "merge" | "strategic";

/** Everything of the plain manifests but the Deployment: its part is played by a process that can be looked into. */
async function installRights(): Promise<void> {
  const documents = parseAllDocuments(readFileSync("config/install.yaml", "utf8"))
    .map((document) => document.toJS() as KubeObject | null)
    .filter((object) => object !== null && object.kind !== "Deployment");
  const manifests = [
    readFileSync("config/namespace.yaml", "utf8"),
    ...documents.map((object) => stringify(object)),
  ];
  const { ok, output } = await runWith(
    manifests.join("\n---\n"),
    "apply",
    "--server-side",
    "--force-conflicts",
    "-f",
    "-",
  );
  if (!ok) throw new Error(output);
}

const teams = (name: string, namespaces: readonly string[]): KubeObject =>
  ({
    metadata: { name },
    spec: {
      aws: { regions: ["eu-west-1"] },
      access: [{ namespaces: { names: namespaces }, keys: ["prod/{{namespace}}/**"] }],
    },
  }) as KubeObject;

/** A ServiceAccount with one RoleBinding, to the ClusterRole edit. */
async function tenantKubeconfig(namespace: string): Promise<string> {
  await run("create", "serviceaccount", "tenant", "-n", namespace);
  await run(
    "create",
    "rolebinding",
    "tenant",
    "-n",
    namespace,
    "--clusterrole=edit",
    `--serviceaccount=${namespace}:tenant`,
  );
  const account = `system:serviceaccount:${namespace}:tenant`;
  // Rules of the operator's own roles take a moment to be aggregated.
  await until("the tenant may write SecretSyncs", async () =>
    (
      await run("auth", "can-i", "create", "secretsyncs.secretsync.dev", "-n", namespace, "--as", account)
    ).includes("yes"),
  );
  return accountKubeconfig(namespace, "tenant");
}

/** How the victim is served, in milliseconds. */
export interface Service {
  readonly newSecret: number;
  /** From the change at AWS to the Secret, with a refreshInterval of a second. */
  readonly rotation: number;
}

function newVictim(api: KubeApi, aws: AwsStandIn, namespace: string, provider: string) {
  const ns = inNamespace(api, namespace);
  const providerRef = { kind: "ClusterSecretProvider", name: provider };
  const spec = (key: string, refreshInterval: string) => ({
    providerRef,
    refreshInterval,
    data: [{ secretKey: "password", remoteRef: { key } }],
  });
  const steady = `prod/${namespace}/steady`;
  const untilValue = (name: string, value: string, timeoutMs: number) =>
    until(
      `the victim's Secret ${name} is as wanted`,
      async () => (await ns.values(name))?.["password"] === value,
      {
        timeoutMs,
        everyMs: 20,
      },
    );
  let round = 0;

  return {
    ...ns,
    providerRef,
    spec,
    async settle(): Promise<void> {
      aws.put(steady, canary("start"));
      await ns.sync("steady", spec(steady, "1s"));
      await untilValue("steady", canary("start"), 60_000);
    },
    /** Asks for a new Secret, and for a new value in one that is there, and tells how long each took. */
    async probe(timeoutMs = 60_000): Promise<Service> {
      round++;
      const name = `fresh-${round}`;
      const key = `prod/${namespace}/${name}`;
      aws.put(key, canary(name));
      const before = performance.now();
      await ns.sync(name, spec(key, "1h"));
      await untilValue(name, canary(name), timeoutMs);
      const newSecret = performance.now() - before;
      aws.put(steady, canary(`round-${round}`));
      const since = performance.now();
      await untilValue("steady", canary(`round-${round}`), timeoutMs);
      return { newSecret, rotation: performance.now() - since };
    },
  };
}
