import { createConnection, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { KubeObject } from "../../src/kube/kube-api.ts";
import { resources } from "../../src/kube/resources.ts";
import { run, runWith } from "../support/kubectl.ts";
import { request, signal } from "../support/suite.ts";
import { inParallel, type Arena } from "./arena.ts";
import { startHostileApiserver, type HostileApiserver } from "./hostile-apiserver.ts";

/**
 * What a tenant may do to stop, starve or slow others. Each attack is put in place, and some go on while the victim is
 * probed. `size` scales what there is very much of: tests take less than the benchmark.
 */
export interface Attack {
  /** As docs/security.md names it. */
  readonly id: string;
  readonly what: string;
  launch(arena: Arena, size: Size): Promise<void>;
  /** Goes on until the signal aborts. */
  keepUp?(arena: Arena, stop: AbortSignal): Promise<void>;
}

export type Size = "test" | "bench";

const some = (size: Size, test: number, bench: number) => (size === "test" ? test : bench);

type Spec = Record<string, unknown>;
const syncOf = (
  { evil }: Arena,
  name: string,
  spec: Spec,
  annotations: Record<string, string> = {},
): KubeObject => ({ metadata: { name, namespace: evil, annotations }, spec }) as KubeObject;

/** A rule that lets the tenant read what it owns, of the same provider identity as everybody. */
export async function letTenantRead({ api, evil }: Arena): Promise<{ kind: string; name: string }> {
  const provider = {
    metadata: { name: `of-${evil}` },
    spec: {
      aws: { regions: ["eu-west-1"] },
      access: [{ namespaces: { names: [evil] }, keys: ["prod/{{namespace}}/**"] }],
    },
  } as KubeObject;
  await api.apply(resources.clusterSecretProvider, provider, { fieldManager: "admin", force: true }, signal);
  return { kind: "ClusterSecretProvider", name: `of-${evil}` };
}

const create = ({ tenant }: Arena, object: KubeObject) => tenant.create(resources.secretSync, object, signal);

const oddManagedFields = JSON.stringify([
  {
    op: "replace",
    path: "/metadata/managedFields",
    value: [
      {
        operation: "Update",
        apiVersion: "v1",
        fieldsType: "FieldsV1",
        fieldsV1: { "f:data": { "f:a": {} } },
      },
    ],
  },
]);

/** A spec that costs as much memory as the schema lets: what stands in it is of no use. */
export const largeSync = (arena: Arena, index: number): KubeObject =>
  syncOf(
    arena,
    `large-${index}`,
    {
      suspend: true,
      providerRef: { name: "none" },
      data: Array.from({ length: 256 }, (_, key) => ({
        secretKey: `k${key}`,
        remoteRef: { key: "k" },
        default: "x".repeat(4_096),
      })),
    },
    { note: "x".repeat(200_000) },
  );

export const forgedSecret = ({ evil }: Arena, index: number): KubeObject => ({
  metadata: {
    name: `forged-${index}`,
    namespace: evil,
    labels: { "secretsync.dev/managed": "true" },
    annotations: {
      "secretsync.dev/digests": JSON.stringify({
        key: "k",
        version: "v",
        owned: "o",
        digests: Object.fromEntries(
          Array.from({ length: 256 }, (_, key) => [`${key}`.padStart(240, "k"), "d".repeat(60)]),
        ),
      }),
      "secretsync.dev/digests-x": "x".repeat(150_000),
    },
  },
});

export const largeDeployment = ({ evil }: Arena, index: number): KubeObject =>
  ({
    metadata: { name: `large-${index}`, namespace: evil },
    spec: {
      replicas: 0,
      selector: { matchLabels: { app: "large" } },
      template: {
        metadata: { labels: { app: "large" } },
        spec: {
          containers: [
            {
              name: "c",
              image: "busybox",
              env: Array.from({ length: 5_000 }, (_, key) => ({
                name: `V${key}`,
                valueFrom: {
                  secretKeyRef: { name: `${key}`.padStart(50, "s"), key: "k", optional: true },
                },
              })),
            },
          ],
        },
      },
    },
  }) as KubeObject;

const pattern = (index: number, unit: string, length: number): string => {
  const head = String(index).padStart(4, "x");
  return head + unit.repeat(Math.floor((length - head.length) / unit.length));
};
const rewriteAll = (sources: readonly string[]) =>
  sources.map((source) => ({ regexp: { source, target: "$0" } }));

/** A thousand connections that send half a request each. */
function halfOpen(url: string, count: number): Socket[] {
  const { hostname, port } = new URL(url);
  return Array.from({ length: count }, () => {
    const socket = createConnection({ host: hostname, port: Number(port) });
    socket.on("error", () => undefined);
    socket.write("GET /metrics HTTP/1.1\r\nHost: x\r\n");
    return socket;
  });
}

const branching = (depth: number): object =>
  depth === 0 ? {} : { a: branching(depth - 1), "a.a": branching(depth - 1) };

/** Deployments without pods of their own, whose selector finds all, with notes that tell nothing. */
const lookedAt = ({ evil }: Arena, name: string, secrets: readonly string[]): KubeObject => {
  const note = { "/mark": "zz", ...Object.fromEntries(secrets.map((each) => [each, "0.0.0#"])) };
  const labels = { app: "many" };
  const envFrom = secrets.map((each) => ({ secretRef: { name: each } }));
  return {
    metadata: { name, namespace: evil, annotations: { "secretsync.dev/consumed": JSON.stringify(note) } },
    spec: {
      // Its controller doesn't look at it, so nobody says how many pods it has.
      paused: true,
      replicas: 1,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels, annotations: { "secretsync.dev/restarted-for": "x" } },
        spec: { schedulerName: "nobody", containers: [{ name: "c", image: "i", envFrom }] },
      },
    },
  } as KubeObject;
};

export const attacks: readonly Attack[] = [
  {
    id: "S1",
    what: "a labelled Secret whose managedFields name no manager",
    async launch(arena) {
      const { evil, tenant, tenantFile } = arena;
      const labels = { "secretsync.dev/managed": "true" };
      await tenant.create(resources.secret, { metadata: { name: "odd", namespace: evil, labels } }, signal);
      await run(
        "--kubeconfig",
        tenantFile,
        "patch",
        "secret",
        "odd",
        "-n",
        evil,
        "--type=json",
        "-p",
        oddManagedFields,
      );
      await arena.restart();
    },
  },
  {
    id: "S2",
    what: "hundreds of patterns, of 14,000 instructions each or of 400",
    async launch(arena) {
      for (const [name, unit, length] of [
        ["patterns", ".{0,99}", 497],
        ["smaller-patterns", "[^a].*", 400],
      ] as const) {
        const dataFrom = Array.from({ length: 14 }, (_entry, entry) => ({
          extract: { key: "k" },
          rewrite: rewriteAll(
            Array.from({ length: 16 }, (_step, step) => pattern(entry * 16 + step, unit, length)),
          ),
        }));
        await create(arena, syncOf(arena, name, { providerRef: { name: "none" }, dataFrom }));
      }
      await arena.restart();
    },
  },
  {
    id: "S3",
    what: "SecretSyncs of 1.26 MB, forged records of 220 KB and Deployments of 600 KB, and a restart",
    async launch(arena, size) {
      const { tenant } = arena;
      await inParallel(some(size, 60, 100), (index) => create(arena, largeSync(arena, index)));
      await inParallel(some(size, 60, 150), (index) =>
        tenant.create(resources.secret, forgedSecret(arena, index), signal),
      );
      await inParallel(some(size, 25, 50), (index) =>
        tenant.create(resources.Deployment, largeDeployment(arena, index), signal),
      );
      await arena.restart();
    },
  },
  {
    id: "S4",
    what: "256 properties of one 64 KiB JSON of numbers, each second",
    async launch(arena) {
      const providerRef = await letTenantRead(arena);
      const key = `prod/${arena.evil}/numbers`;
      arena.aws.put(key, `{"a":[${"1.0,".repeat(16_300)}1]}`);
      const spec = (property: string) => ({
        providerRef,
        refreshInterval: "1s",
        data: Array.from({ length: 256 }, (_, index) => ({
          secretKey: `k${index}`,
          remoteRef: { key, property },
        })),
      });
      for (const [index, property] of ["a", "a", "a.0"].entries())
        await create(arena, syncOf(arena, `numbers-${index}`, spec(property)));
    },
  },
  {
    id: "S4b",
    what: "64 KiB of blanks to decode, and a path that JSON has many ways for, each second",
    async launch(arena) {
      const providerRef = await letTenantRead(arena);
      const [blanks, ways] = [`prod/${arena.evil}/blanks`, `prod/${arena.evil}/ways`];
      arena.aws.put(blanks, `a${" ".repeat(65_000)}a`);
      arena.aws.put(ways, JSON.stringify(branching(12)));
      const property = Array.from({ length: 256 }, () => "a").join(".");
      for (let index = 0; index < 8; index++) {
        const data = Array.from({ length: 16 }, (_, entry) => ({
          secretKey: `k${entry}`,
          remoteRef: entry < 8 ? { key: blanks, decodingStrategy: "Auto" } : { key: ways, property },
          optional: true,
        }));
        await create(arena, syncOf(arena, `slow-${index}`, { providerRef, refreshInterval: "1s", data }));
      }
    },
  },
  {
    id: "S5",
    what: "rewrites and finds with the most costly patterns, each second",
    async launch(arena) {
      const providerRef = await letTenantRead(arena);
      const key = `prod/${arena.evil}/names`;
      const names = Array.from({ length: 30 }, (_, index) => `${index}`.padStart(1_990, "x"));
      arena.aws.put(key, JSON.stringify(Object.fromEntries(names.map((name) => [name, ""]))));
      for (let index = 0; index < 200; index++)
        arena.aws.put(`prod/${arena.evil}/${"x".repeat(400)}${index}`, "v");
      const costly = [".{0,99}.{0,99}$", "x.*y|x", "(.*x)*y|(x*)*", "[^y]{0,99}x{0,99}y?"];
      const dataFrom = [
        ...costly.map((source) => ({ extract: { key }, rewrite: rewriteAll([source, source, source]) })),
        ...costly.map((source) => ({ find: { name: { regexp: source } } })),
      ];
      for (let index = 0; index < 4; index++)
        await create(
          arena,
          syncOf(arena, `costly-${index}`, { providerRef, refreshInterval: "1s", dataFrom }),
        );
    },
  },
  {
    id: "S6",
    what: "SecretSyncs on one target, and two requests a second for one of them",
    async launch(arena, size) {
      const spec = {
        providerRef: { name: "none" },
        data: [{ secretKey: "a", remoteRef: { key: "k" } }],
        target: { name: "one" },
      };
      await inParallel(some(size, 300, 1_000), (index) =>
        create(arena, syncOf(arena, `rival-${index}`, spec)),
      );
    },
    async keepUp({ evil, tenant }, stop) {
      for (let turn = 0; !stop.aborted; turn++) {
        const metadata = { name: `rival-${turn % 3}`, namespace: evil, annotations: request() };
        await tenant.apply(resources.secretSync, { metadata }, { fieldManager: "evil", force: true }, signal);
        await sleep(500);
      }
    },
  },
  {
    id: "S6b",
    what: "workloads whose pods must be looked at, many and large, and whose notes change without end",
    async launch(arena, size) {
      const { aws, evil, tenant } = arena;
      const providerRef = await letTenantRead(arena);
      const key = `prod/${evil}/one`;
      aws.put(key, "v");
      const secrets = Array.from({ length: 64 }, (_, index) => `looked-${index}`);
      const data = [{ secretKey: "k", remoteRef: { key } }];
      await inParallel(secrets.length, (index) =>
        create(arena, syncOf(arena, `looked-${index}`, { providerRef, refreshInterval: "1h", data })),
      );
      const env = Array.from({ length: 2_000 }, (_, index) => ({ name: `E${index}`, value: "1" }));
      await inParallel(some(size, 60, 200), (index) =>
        tenant.create(
          resources.pod,
          {
            metadata: { name: `many-${index}`, namespace: evil, labels: { app: "many" } },
            spec: { schedulerName: "nobody", containers: [{ name: "c", image: "i", env }] },
          } as KubeObject,
          signal,
        ),
      );
      await inParallel(some(size, 6, 18), (index) =>
        tenant.create(resources.Deployment, lookedAt(arena, `looked-${index}`, secrets), signal),
      );
    },
    async keepUp(arena, stop) {
      const secrets = Array.from({ length: 64 }, (_, index) => `looked-${index}`);
      for (let turn = 0; !stop.aborted; turn++) {
        const { metadata, ...rest } = lookedAt(arena, `looked-${turn % 6}`, secrets);
        const annotations = { ...metadata.annotations, turn: String(turn) };
        const object = { metadata: { ...metadata, annotations }, ...rest };
        await arena.tenant.apply(resources.Deployment, object, { fieldManager: "evil", force: true }, signal);
        await sleep(20);
      }
    },
  },
  {
    id: "S7",
    what: "finds of a namespace that no rule names, each second",
    async launch(arena) {
      const providerRef = { kind: "ClusterSecretProvider", name: arena.provider };
      for (let index = 0; index < 32; index++) {
        const dataFrom = [{ find: { path: `prod/shop/guess-${index}`, name: { regexp: "." } } }];
        await create(arena, syncOf(arena, `find-${index}`, { providerRef, refreshInterval: "1s", dataFrom }));
      }
    },
  },
  {
    id: "S12",
    what: "32 connections that scrape in a loop, and 300 that never finish their request",
    launch: () => Promise.resolve(),
    async keepUp({ operator }, stop) {
      const sockets = halfOpen(operator.metricsUrl, 300);
      const scrape = async () => {
        while (!stop.aborted) {
          await fetch(operator.metricsUrl)
            .then((answer) => answer.text())
            .catch(() => sleep(20));
        }
      };
      await Promise.all(Array.from({ length: 32 }, scrape));
      for (const socket of sockets) socket.destroy();
    },
  },
  {
    id: "S14",
    what: "a find over more than a Secret can hold, each second",
    async launch(arena, size) {
      const providerRef = await letTenantRead(arena);
      const value = "x".repeat(some(size, 16_384, 65_536));
      for (let index = 0; index < some(size, 1_500, 3_000); index++)
        arena.aws.put(`prod/${arena.evil}/huge/${index}`, value);
      for (const [name, path] of [
        ["all", "huge/"],
        ["some", "huge/1"],
      ] as const) {
        const dataFrom = [{ find: { path: `prod/${arena.evil}/${path}` } }];
        await create(arena, syncOf(arena, `huge-${name}`, { providerRef, refreshInterval: "1s", dataFrom }));
      }
    },
  },
  {
    id: "S15",
    what: "255 optional versions that don't exist, and objects whose keys don't, each second",
    async launch(arena, size) {
      const providerRef = await letTenantRead(arena);
      const key = `prod/${arena.evil}/one`;
      arena.aws.put(key, "v");
      const missing = Array.from({ length: 255 }, (_, index) => ({
        secretKey: `k${index}`,
        remoteRef: { key, version: `00000000-0000-0000-0000-${String(index).padStart(12, "0")}` },
        optional: true,
      }));
      const data = [{ secretKey: "one", remoteRef: { key } }, ...missing];
      await create(arena, syncOf(arena, "versions", { providerRef, refreshInterval: "1s", data }));
      await inParallel(some(size, 300, 1_000), (index) => {
        const data = [{ secretKey: "a", remoteRef: { key: `prod/${arena.evil}/none-${index}` } }];
        return create(arena, syncOf(arena, `none-${index}`, { providerRef, refreshInterval: "1s", data }));
      });
    },
  },
  {
    id: "S16",
    what: "edits of a SecretProvider's limits, without end",
    async launch(arena) {
      const { evil, tenant } = arena;
      const data = { accessKeyID: "dGVzdA==", secretAccessKey: "dGVzdA==" };
      await tenant.create(
        resources.secret,
        { metadata: { name: "keys", namespace: evil }, data } as KubeObject,
        signal,
      );
      await setLimits(arena, 50);
      const spec = {
        providerRef: { name: "own" },
        refreshInterval: "1s",
        data: [{ secretKey: "a", remoteRef: { key: "k" } }],
      };
      await inParallel(20, (index) => create(arena, syncOf(arena, `own-${index}`, spec)));
    },
    async keepUp(arena, stop) {
      for (let turn = 1; !stop.aborted; turn++) await setLimits(arena, 10 + (turn % 5_000));
    },
  },
  {
    id: "S17",
    what: "288,000 keys without a byte, each second",
    async launch(arena) {
      const providerRef = await letTenantRead(arena);
      const key = `prod/${arena.evil}/members`;
      const members = Object.fromEntries(Array.from({ length: 9_000 }, (_, index) => [`k${index}`, ""]));
      // AWS takes 64 KiB; whoever controls an endpoint may send more.
      arena.aws.put(key, JSON.stringify(members));
      const dataFrom = Array.from({ length: 32 }, (_, index) => ({
        extract: { key },
        rewrite: [{ regexp: { source: "^", target: `p${index}_` } }],
      }));
      await create(arena, syncOf(arena, "members", { providerRef, refreshInterval: "1s", dataFrom }));
    },
  },
  {
    id: "S3b",
    what: "Secrets of 4,000 owners each, and Deployments whose notes name 1,480 Secrets each",
    async launch(arena, size) {
      const { tenant, evil } = arena;
      await inParallel(some(size, 40, 300), (index) =>
        tenant.create(resources.secret, manyOwners(arena, index), signal),
      );
      await inParallel(some(size, 500, 1_500), (index) => {
        const names = Array.from({ length: 1_480 }, (_, name) => [`${index}-${name}`, "x"]);
        const annotations = {
          "secretsync.dev/consumed": JSON.stringify(Object.fromEntries(names)).slice(0, 16_384),
        };
        return tenant.create(
          resources.Deployment,
          {
            metadata: { name: `noted-${index}`, namespace: evil, annotations },
            spec: {
              replicas: 0,
              selector: { matchLabels: { app: "noted" } },
              template: {
                metadata: { labels: { app: "noted" } },
                spec: { containers: [{ name: "c", image: "busybox" }] },
              },
            },
          } as KubeObject,
          signal,
        );
      });
    },
  },
  {
    id: "S12b",
    what: "320 connections to the probes, of 40 addresses, that never finish their request",
    launch: () => Promise.resolve(),
    async keepUp({ operator }, stop) {
      const { hostname, port } = new URL(operator.probesUrl);
      while (!stop.aborted) {
        const sockets = Array.from({ length: 320 }, (_, index) => {
          const localAddress = `127.0.2.${1 + (index % 40)}`;
          const socket = createConnection({ host: hostname, port: Number(port), localAddress });
          socket.on("error", () => undefined);
          socket.write("GET /healthz HTTP/1.1\r\n");
          return socket;
        });
        await sleep(2_000);
        for (const socket of sockets) socket.destroy();
      }
    },
  },
  {
    id: "S12c",
    what: "connections that ask for all metrics 1,000 times and read nothing, again and again",
    launch: () => Promise.resolve(),
    async keepUp({ operator }, stop) {
      const { hostname, port } = new URL(operator.metricsUrl);
      while (!stop.aborted) {
        const sockets = Array.from({ length: 8 }, () => {
          const socket = createConnection({ host: hostname, port: Number(port) });
          socket.on("error", () => undefined);
          socket.pause();
          socket.write("GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1_000));
          return socket;
        });
        await sleep(1_000);
        for (const socket of sockets) socket.destroy();
      }
    },
  },
  {
    id: "S25",
    what: "100 intervals, none like another, and for each a listing of everything",
    async launch(arena, size) {
      const providerRef = await letTenantRead(arena);
      const secrets = some(size, 2_000, 5_000);
      for (let index = 0; index < secrets; index++) arena.aws.put(`prod/${arena.evil}/swept/${index}`, "v");
      await inParallel(100, (index) => {
        const data = Array.from({ length: 64 }, (_, key) => ({
          secretKey: `k${key}`,
          remoteRef: { key: `prod/${arena.evil}/swept/${(index * 64 + key) % secrets}` },
        }));
        const refreshInterval = `${1_000 + index * 10}ms`;
        return create(arena, syncOf(arena, `swept-${index}`, { providerRef, refreshInterval, data }));
      });
    },
  },
  {
    id: "S16b",
    what: "60 providers of its own, each with 16 MiB of values, each second",
    async launch(arena) {
      const { evil, tenant, aws } = arena;
      for (let index = 0; index < 250; index++) aws.put(`value/${index}`, "x".repeat(65_536));
      await inParallel(60, async (index) => {
        const data = {
          accessKeyID: Buffer.from(`id${index}`).toString("base64"),
          secretAccessKey: "dGVzdA==",
        };
        const metadata = { name: `keys-${index}`, namespace: evil };
        await tenant.create(resources.secret, { metadata, data } as KubeObject, signal);
        await tenant.create(
          resources.secretProvider,
          {
            metadata: { name: `own-${index}`, namespace: evil },
            spec: {
              aws: { regions: ["eu-west-1"], auth: { secretRef: { name: `keys-${index}` } } },
              limits: { requestsPerSecond: 10_000, maxConcurrent: 256 },
            },
          } as KubeObject,
          signal,
        );
        const spec = {
          providerRef: { name: `own-${index}` },
          refreshInterval: "1s",
          data: Array.from({ length: 250 }, (_, key) => ({
            secretKey: `k${key}`,
            remoteRef: { key: `value/${key}` },
          })),
        };
        await create(arena, syncOf(arena, `own-${index}`, spec));
      });
    },
  },
  {
    id: "S26",
    what: "200 providers of its own, each of which reads Kubernetes as another ServiceAccount, each second",
    async launch(arena) {
      const names = Array.from({ length: 200 }, (_, index) => `account-${index}`);
      await ownSource(arena, names);
      await inParallel(200, async (index) => {
        const name = names[index] ?? "";
        await reader(arena, name, name, arena.evil);
        const spec = {
          providerRef: { name },
          refreshInterval: "1s",
          dataFrom: [{ extract: { key: "source" } }],
        };
        await create(arena, syncOf(arena, name, spec));
      });
    },
    async keepUp({ tenant, evil }, stop) {
      for (let round = 0; !stop.aborted; round++) {
        const source = {
          metadata: { name: "source", namespace: evil },
          data: { a: Buffer.from(String(round)).toString("base64") },
        };
        await tenant.apply(resources.secret, source, { fieldManager: "evil", force: true }, signal);
        await sleep(100);
      }
    },
  },
  {
    id: "S27",
    what: "a cluster of its own that answers, lists and tells as much as it may, read each second by 20 keys and finds",
    async launch(arena) {
      const { api, evil, shop } = arena;
      hostile = await startHostileApiserver();
      const name = `remote-${evil}`;
      await api.create(
        resources.secret,
        { metadata: { name, namespace: shop }, stringData: { kubeconfig: hostile.kubeconfig } } as KubeObject,
        signal,
      );
      await api.create(
        resources.clusterSecretProvider,
        {
          metadata: { name },
          spec: {
            kubernetes: { namespace: "far", kubeconfig: { secretRef: { namespace: shop, name } } },
            access: [{ namespaces: { names: [evil] }, keys: ["**"] }],
          },
        } as KubeObject,
        signal,
      );
      const providerRef = { kind: "ClusterSecretProvider", name };
      const data = Array.from({ length: 20 }, (_, index) => ({
        secretKey: `k${index}`,
        remoteRef: { key: `k${index}`, property: "a" },
      }));
      await create(arena, syncOf(arena, "reads", { providerRef, refreshInterval: "1s", data }));
      const dataFrom = [{ find: { name: { regexp: "." } } }];
      await create(arena, syncOf(arena, "finds", { providerRef, refreshInterval: "1s", dataFrom }));
    },
    async keepUp({ api, evil }, stop) {
      while (!stop.aborted) await sleep(100);
      const name = `remote-${evil}`;
      const provider = await api.get(resources.clusterSecretProvider, name, undefined, signal);
      const { uid = "" } = provider?.metadata ?? {};
      await api.delete(resources.clusterSecretProvider, name, undefined, { uid }, signal);
      await hostile?.close();
    },
  },
  {
    id: "S28",
    what: "eight providers that listen, and edits without end of sixteen others, which then wait to",
    async launch(arena) {
      const holders = Array.from({ length: 8 }, (_, index) => `holds-${index}`);
      await ownSource(arena, [...holders, "churns"]);
      await inParallel(8, async (index) => {
        const name = holders[index] ?? "";
        await reader(arena, name, name, arena.evil);
        const dataFrom = [{ extract: { key: "source" } }];
        await create(arena, syncOf(arena, name, { providerRef: { name }, refreshInterval: "1h", dataFrom }));
      });
      for (let index = 0; index < 8; index++)
        await arena.inEvil.untilReason(`holds-${index}`, "Synced", 120_000);
      const names = Array.from({ length: 16 }, (_, index) => `churns-${index}`);
      for (const name of names) await reader(arena, name, "churns", arena.evil);
      const data = names.map((name) => ({
        secretKey: name,
        remoteRef: { key: "source", property: "a" },
        optional: true,
        providerRef: { name },
      }));
      await create(
        arena,
        syncOf(arena, "churns", { providerRef: { name: "churns-0" }, refreshInterval: "1s", data }),
      );
    },
    async keepUp(arena, stop) {
      const edit = async (from: number) => {
        for (let round = 0; !stop.aborted; round++)
          for (const index of [from, from + 8])
            await reader(arena, `churns-${index}`, "churns", `n${round}-${from}`);
      };
      await Promise.all(Array.from({ length: 8 }, (_, from) => edit(from)));
    },
  },
  {
    id: "S29",
    what: "sixteen providers alike, hundreds of suspended SecretSyncs of 256 entries that name all of them, and edits of what they read, and of a provider",
    async launch(arena, size) {
      const names = Array.from({ length: 16 }, (_, index) => `alike-${index}`);
      await ownSource(arena, ["one"]);
      for (const name of names) await reader(arena, name, "one", arena.evil);
      const data = Array.from({ length: 256 }, (_, index) => ({
        secretKey: `k${index}`,
        remoteRef: { key: "source", property: "a" },
        optional: true,
        providerRef: { name: names[index % names.length] },
      }));
      const spec = { providerRef: { name: names[0] }, refreshInterval: "1h", data };
      await create(arena, syncOf(arena, "reads", spec));
      await inParallel(some(size, 100, 500), (index) =>
        create(arena, syncOf(arena, `sleeps-${index}`, { ...spec, suspend: true })),
      );
    },
    async keepUp(arena, stop) {
      const { tenant, evil } = arena;
      for (let round = 0; !stop.aborted; round++) {
        const data = { a: Buffer.from(String(round)).toString("base64") };
        const source = { metadata: { name: "source", namespace: evil }, data };
        await tenant.apply(resources.secret, source, { fieldManager: "evil", force: true }, signal);
        if (round % 4 === 0)
          await reader(arena, "alike-0", "one", evil, { requestsPerSecond: 10 + (round % 8) });
        await sleep(60);
      }
    },
  },
  {
    id: "S14b",
    what: "finds over thousands of secrets with 19 KB of tags each",
    async launch(arena, size) {
      const providerRef = await letTenantRead(arena);
      const count = some(size, 4_000, 10_000);
      for (let index = 0; index < count; index++) {
        const tags = Array.from({ length: 50 }, (_, tag) => [
          `${index}-${tag}`.padEnd(128, "t"),
          `${index}-${tag}`.padEnd(256, "v"),
        ]);
        arena.aws.put(`prod/${arena.evil}/tagged/${index}`, "v", Object.fromEntries(tags));
      }
      const dataFrom = Array.from({ length: 16 }, (_, index) => ({
        find: { path: `prod/${arena.evil}/tagged/`.slice(0, -index || undefined) },
      }));
      await create(arena, syncOf(arena, "tags", { providerRef, refreshInterval: "1s", dataFrom }));
    },
  },
];

let hostile: HostileApiserver | undefined;

/** A provider that reads Secrets of a namespace as one of the tenant's ServiceAccounts. */
const reader = (
  { tenant, evil }: Arena,
  name: string,
  account: string,
  namespace: string,
  limits?: { readonly requestsPerSecond: number },
) =>
  tenant.apply(
    resources.secretProvider,
    {
      metadata: { name, namespace: evil },
      spec: {
        kubernetes: { namespace, serviceAccountRef: { name: account } },
        ...(limits ? { limits } : {}),
      },
    } as KubeObject,
    { fieldManager: "evil", force: true },
    signal,
  );

/** A Secret of the tenant's own, and accounts that may read it. */
async function ownSource(arena: Arena, accounts: readonly string[]): Promise<void> {
  const { tenant, evil } = arena;
  await letAskForTokens(arena);
  const source = { metadata: { name: "source", namespace: evil }, stringData: { a: "x" } };
  await tenant.create(resources.secret, source, signal);
  await inParallel(accounts.length, (index) =>
    tenant.create(serviceAccount, { metadata: { name: accounts[index] ?? "", namespace: evil } }, signal),
  );
}

/** As the chart's serviceAccountTokens.namespaces does; and its accounts may read there. */
export async function letAskForTokens({ evil }: Arena): Promise<void> {
  for (const [name, verb, resource, account] of [
    ["tokens", "create", "serviceaccounts/token", "secretsync-system:secretsync"],
    ["reading", "get,list,watch", "secrets", ""],
  ] as const) {
    if ((await runWith("", "get", "role", name, "-n", evil)).ok) continue;
    await run("create", "role", name, "-n", evil, `--verb=${verb}`, `--resource=${resource}`);
    const subject = account ? `--serviceaccount=${account}` : `--group=system:serviceaccounts:${evil}`;
    await run("create", "rolebinding", name, "-n", evil, `--role=${name}`, subject);
  }
}

export const serviceAccount = {
  group: "",
  version: "v1",
  plural: "serviceaccounts",
  kind: "ServiceAccount",
  namespaced: true,
};

const manyOwners = ({ evil }: Arena, index: number): KubeObject => ({
  metadata: {
    name: `owned-${index}`,
    namespace: evil,
    labels: { "secretsync.dev/managed": "true" },
    ownerReferences: Array.from({ length: 4_000 }, (_, owner) => ({
      apiVersion: "x/v1",
      kind: "X",
      name: "x",
      uid: `${index}-${owner}`.padStart(250, "u"),
    })),
  },
});

const setLimits = ({ evil, tenant }: Arena, requestsPerSecond: number) =>
  tenant.apply(
    resources.secretProvider,
    {
      metadata: { name: "own", namespace: evil },
      spec: {
        aws: { regions: ["eu-west-1"], auth: { secretRef: { name: "keys" } } },
        limits: { requestsPerSecond },
      },
    } as KubeObject,
    { fieldManager: "evil", force: true },
    signal,
  );
