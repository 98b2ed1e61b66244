import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import { stringify } from "yaml";
import type { KubeApi, KubeObject } from "../../src/kube/kube-api.ts";
import { resources } from "../../src/kube/resources.ts";
import type { Transport } from "../../src/kube/transport.ts";
import { startRelay } from "../cluster/relay.ts";
import { ensureTools } from "../cluster/tools.ts";
import { awsUser, TEST_CREDENTIALS, TEST_REGION } from "../support/aws.ts";
import {
  asOperator,
  allows,
  grantsOf,
  newRelease,
  refusals,
  requestsOf,
  restrictedNamespace,
  testValues,
  type Helm,
} from "../support/chart.ts";
import { installCrds } from "../support/crds.ts";
import { run, runWith } from "../support/kubectl.ts";
import { canary } from "../support/leaks.ts";
import {
  awsEndpoint,
  clusterOrigin,
  clusterProvider,
  inNamespace,
  newAdmin,
  request,
  signal,
  suiteVariable,
  unique,
} from "../support/suite.ts";
import { until } from "../support/wait.ts";

/** The chart, installed by the real Helm; the operator runs as a pod, from its image, with the rights that it grants. */

const withImage = suiteVariable("NO_IMAGE") ? describe.skip : describe;
if (suiteVariable("NO_IMAGE"))
  process.stderr.write(`tests of the operator as a pod are skipped: ${suiteVariable("NO_IMAGE")}\n`);
const withAudit = suiteVariable("AUDIT") ? it : it.skip;

const aws = awsUser(awsEndpoint);
let transport: Transport;
let api: KubeApi;

beforeAll(async () => {
  ({ api, transport } = newAdmin());
  await ensureTools("helm", "helm4");
}, 900_000);
afterAll(() => {
  transport.close();
  // But for what tests asked in an operator's name.
  expect(refusals.filter(({ uri }) => !/fieldManager=test|\/deployments\/fenced/.test(uri))).toEqual([]);
});

/** Applies to a Deployment as the operator does, or as it never should. */
const patchFenced =
  (operator: KubeApi, namespace: string) =>
  (
    spec: Record<string, unknown>,
    annotations: Record<string, string> = {},
    fieldManager = "secretsync-restart",
  ) =>
    operator.apply(
      resources.Deployment,
      { metadata: { name: "fenced", namespace, annotations }, spec } as KubeObject,
      { fieldManager, force: true },
      signal,
    );

interface Reviewed {
  readonly metadata: { annotations?: Record<string, string> };
  readonly spec: { readonly template: { readonly metadata: { annotations?: Record<string, string> } } };
}

/** Changes every Deployment of the namespace when it is updated, as tools do that add a team or a sidecar. */
async function startWebhook(namespace: string) {
  const folder = mkdtempSync(path.join(tmpdir(), "webhook-"));
  const [cert, key] = [path.join(folder, "tls.crt"), path.join(folder, "tls.key")];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"];
  const how = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-out", cert, "-keyout", key];
  execFileSync("openssl", [...how, ...subject], { stdio: "ignore" });
  const add = (at: string, { annotations }: { annotations?: Record<string, string> }) => ({
    op: "add",
    path: `${at}/metadata/annotations`,
    value: { ...annotations, webhook: "was here" },
  });
  const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (asked, response) => {
    let asText = "";
    asked.on("data", (chunk: Buffer) => (asText += chunk.toString()));
    asked.on("end", () => {
      const { request: review } = JSON.parse(asText) as { request: { uid: string; object: Reviewed } };
      const { metadata, spec } = review.object;
      const changes = [add("", metadata), add("/spec/template", spec.template.metadata)];
      const patch = Buffer.from(JSON.stringify(changes)).toString("base64");
      const answer = { uid: review.uid, allowed: true, patchType: "JSONPatch", patch };
      response.setHeader("content-type", "application/json");
      response.end(
        JSON.stringify({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", response: answer }),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const name = unique("webhook");
  const { port } = server.address() as AddressInfo;
  const object = {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "MutatingWebhookConfiguration",
    metadata: { name },
    webhooks: [
      {
        name: "adds.example.com",
        admissionReviewVersions: ["v1"],
        sideEffects: "None",
        failurePolicy: "Ignore",
        namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": namespace } },
        rules: [
          { apiGroups: ["apps"], apiVersions: ["v1"], operations: ["UPDATE"], resources: ["deployments"] },
        ],
        clientConfig: {
          url: `https://127.0.0.1:${port}/`,
          caBundle: readFileSync(cert).toString("base64"),
        },
      },
    ],
  };
  const { ok, output } = await runWith(stringify(object), "apply", "-f", "-");
  if (!ok) throw new Error(output);
  return {
    async stop(): Promise<void> {
      await run("delete", "mutatingwebhookconfiguration", name);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      rmSync(folder, { recursive: true });
    },
  };
}

const restricted = {
  allowPrivilegeEscalation: false,
  runAsNonRoot: true,
  runAsUser: 1000,
  capabilities: { drop: ["ALL"] },
  seccompProfile: { type: "RuntimeDefault" },
};

/** A workload that shows what it sees of the Secret; without pods for kinds that only need to be adopted. */
async function consumer(
  kind: "Deployment" | "StatefulSet" | "DaemonSet",
  namespace: string,
  name: string,
  replicas: number,
): Promise<void> {
  const container = {
    name: "app",
    image: "busybox:1.37",
    command: ["sh", "-c", 'echo "env=$PASSWORD"; trap "exit 0" TERM; while :; do sleep 1 & wait $!; done'],
    env: [{ name: "PASSWORD", valueFrom: { secretKeyRef: { name, key: "password" } } }],
    securityContext: restricted,
  };
  const template = {
    metadata: { labels: { app: name } },
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [container],
      ...(kind === "DaemonSet" ? { nodeSelector: { none: "such" } } : {}),
    },
  };
  const spec = {
    selector: { matchLabels: { app: name } },
    template,
    ...(kind === "DaemonSet" ? {} : { replicas }),
    ...(kind === "StatefulSet" ? { serviceName: name } : {}),
  };
  await api.create(resources[kind], { metadata: { name, namespace }, spec } as KubeObject, signal);
}

const untilPodSees = (namespace: string, name: string, value: string) =>
  until(
    `the pod of ${name} sees ${value}`,
    async () =>
      (await run("logs", "-n", namespace, "-l", `app=${name}`, "--tail=-1").catch(() => "")).includes(
        `env=${value}`,
      ),
    { timeoutMs: 60_000, everyMs: 200 },
  );

/** A namespace with a provider of the kind, and a SecretSync that a pod consumes. */
async function tenant(kind: "ClusterSecretProvider" | "SecretProvider", namespace: string) {
  const ns = inNamespace(api, namespace);
  if (kind === "ClusterSecretProvider")
    await api.create(resources.clusterSecretProvider, clusterProvider(namespace, [namespace]), signal);
  else {
    const keys = {
      metadata: { name: "aws-keys", namespace },
      stringData: {
        accessKeyID: TEST_CREDENTIALS.accessKeyId,
        secretAccessKey: TEST_CREDENTIALS.secretAccessKey,
      },
    };
    await api.create(resources.secret, keys, signal);
    const provider = {
      metadata: { name: namespace, namespace },
      spec: { aws: { regions: [TEST_REGION], auth: { secretRef: { name: "aws-keys" } } } },
    };
    await api.create(resources.secretProvider, provider, signal);
  }
  const spec = (key: string, more: Record<string, unknown> = {}) => ({
    providerRef: { kind, name: namespace },
    data: [{ secretKey: "password", remoteRef: { key } }],
    ...more,
  });
  return { ...ns, spec };
}

/** Everything that needs a right: sync, look, restart each kind of workload, repair, delete. */
/** One SecretSync for the namespaces with a label: as they are, for one that comes, and for none. */
async function fanOutJob(namespaces: readonly string[]): Promise<void> {
  const name = unique("fan");
  await aws.create(name, canary("one"));
  const [early = "", late = ""] = namespaces;
  await api.create(resources.clusterSecretProvider, clusterProvider(name, namespaces), signal);
  const put = (labels: Record<string, string>) =>
    api.apply(
      resources.clusterSecretSync,
      {
        metadata: { name },
        spec: {
          namespaces: { selector: { matchLabels: { fan: name } } },
          template: {
            metadata: { labels },
            spec: {
              providerRef: { kind: "ClusterSecretProvider", name },
              data: [{ secretKey: "password", remoteRef: { key: name } }],
            },
          },
        },
      } as KubeObject,
      { fieldManager: "test", force: true },
      signal,
    );
  const label = (namespace: string, to: string) => run("label", "namespace", namespace, to, "--overwrite");
  const syncOf = (namespace: string) => inNamespace(api, namespace).getSync(name);
  const isSynced = async (namespace: string) =>
    (await inNamespace(api, namespace).values(name))?.["password"] === canary("one");
  await label(early, `fan=${name}`);
  await put({ a: "1" });
  await until("the namespace has it", () => isSynced(early));
  await label(late, `fan=${name}`);
  await until("the one that has come too", () => isSynced(late));
  await put({ a: "2" });
  await until("they follow the template", async () => (await syncOf(late))?.metadata.labels?.["a"] === "2");
  await label(early, "fan-");
  await until("it is taken away", async () => (await syncOf(early)) === undefined);
  await run("wait", `cssync/${name}`, "--for=condition=Ready", "--timeout=30s");
  await run("delete", "cssync", name, "--timeout=60s");
  await until("the garbage collector takes the rest", async () => (await syncOf(late)) === undefined);
}

async function mainJob(kind: "ClusterSecretProvider" | "SecretProvider", namespace: string): Promise<void> {
  const { sync, spec, untilReason, getSecret } = await tenant(kind, namespace);
  const name = unique("job");
  await aws.create(name, canary("one"));
  await sync(name, spec(name));
  await untilReason(name, "Synced", 40_000);
  await consumer("Deployment", namespace, name, 1);
  await consumer("StatefulSet", namespace, name, 0);
  await consumer("DaemonSet", namespace, name, 0);
  await untilPodSees(namespace, name, canary("one"));
  const restarts = async (workload: "Deployment" | "StatefulSet" | "DaemonSet") => {
    const object = await api.get<KubeObject & { spec: { template: KubeObject } }>(
      resources[workload],
      name,
      namespace,
      signal,
    );
    return object?.spec.template.metadata.annotations?.["secretsync.dev/restarted-for"];
  };
  await aws.rotate(name, canary("two"));
  await sync(name, spec(name), request());
  await untilPodSees(namespace, name, canary("two"));
  for (const workload of ["Deployment", "StatefulSet", "DaemonSet"] as const)
    await until(`the ${workload} restarts`, () => restarts(workload));

  // Who puts a template back has the operator look at the pods.
  const note = async () =>
    (await api.get<KubeObject>(resources.Deployment, name, namespace, signal))?.metadata.annotations?.[
      "secretsync.dev/consumed"
    ];
  const noted = await note();
  const annotation = "/spec/template/metadata/annotations/secretsync.dev~1restarted-for";
  await run(
    "patch",
    "deployment",
    name,
    "-n",
    namespace,
    "--type=json",
    `-p=[{"op":"remove","path":"${annotation}"}]`,
  );
  // Where a pod of before still runs, it is restarted once more, with the same mark and note.
  await until(
    "it is noted anew, or restarted again",
    async () => (await note()) !== noted || (await restarts("Deployment")) !== undefined,
  );

  const before = await getSecret(name);
  await api.delete(resources.secret, name, namespace, { uid: before?.metadata.uid ?? "" }, signal);
  await until("the Secret is back", async () => {
    const uid = (await getSecret(name))?.metadata.uid;
    return uid !== undefined && uid !== before?.metadata.uid;
  });

  const foreign = unique("foreign");
  await api.create(resources.secret, { metadata: { name: foreign, namespace } }, signal);
  await sync(foreign, spec(name, { target: { name: foreign } }));
  await untilReason(foreign, "TargetConflict");

  const gone = unique("gone");
  await aws.create(gone, canary("gone"));
  await sync(gone, spec(gone, { target: { deletionPolicy: "Delete" } }));
  await untilReason(gone, "Synced");
  await aws.remove(gone);
  await sync(gone, spec(gone, { target: { deletionPolicy: "Delete" } }), request());
  await until("its Secret is deleted", async () => (await getSecret(gone)) === undefined);
}

/** helm test; where no kube-proxy serves addresses of Services, a relay does. */
async function helmTest({ name, namespace, call }: ReturnType<typeof newRelease>): Promise<void> {
  const field = (kind: string, query: string, ...selection: string[]) =>
    run("get", kind, "-n", namespace, ...selection, "-o", `jsonpath=${query}`);
  if (clusterOrigin !== "built-in") return void (await call("test", name));
  const relay = await startRelay(await field("service", "{.spec.clusterIP}", `${name}-metrics`));
  const selector = `app.kubernetes.io/instance=${name},app.kubernetes.io/component=operator`;
  await relay.forward(8080, 8080, await field("pods", "{.items[0].status.podIP}", "-l", selector));
  try {
    await call("test", name, "--timeout=60s");
  } finally {
    await relay.stop();
  }
}

/** Helm 4 waits by kstatus, as Flux does: for a SecretSync until it is synced, and not for what only was applied. */
async function helmWaits(
  { call, namespace }: ReturnType<typeof newRelease>,
  shop: string,
  spec: (key: string) => Record<string, unknown>,
): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), "secretsync-app-"));
  mkdirSync(path.join(folder, "templates"));
  writeFileSync(path.join(folder, "Chart.yaml"), "apiVersion: v2\nname: app\nversion: 0.1.0\n");
  const write = (name: string, key: string) => {
    const sync = {
      apiVersion: "secretsync.dev/v1alpha1",
      kind: "SecretSync",
      metadata: { name, namespace: shop },
      spec: spec(key),
    };
    writeFileSync(path.join(folder, "templates/sync.yaml"), JSON.stringify(sync));
  };
  const key = unique("waited");
  try {
    write(unique("missing"), `${key}-missing`);
    await expect(call("install", unique("app"), folder, "--wait", "--timeout=5s")).rejects.toThrow(
      /not ready\. status: InProgress/,
    );
    await aws.create(key, canary("waited"));
    write(key, key);
    await call("install", unique("app"), folder, "--wait", "--timeout=60s");
    await inNamespace(api, shop).untilReason(key, "Synced", 1_000);
    // Without an operator nothing is synced, and so nothing is ready.
    await run("scale", "deployment", "-n", namespace, "--all", "--replicas=0");
    await run("wait", "--for=delete", "pod", "-n", namespace, "--all", "--timeout=60s");
    write(`${key}-late`, key);
    await expect(call("install", unique("app"), folder, "--wait", "--timeout=5s")).rejects.toThrow(
      /not ready\. status: InProgress/,
    );
    await run("scale", "deployment", "-n", namespace, "--all", "--replicas=2");
    await run("rollout", "status", "deployment", "-n", namespace, "--timeout=60s");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The next release brings its own. */
const deleteCrds = async () => {
  for (const crd of ["clustersecretsyncs", "secretsyncs", "secretproviders", "clustersecretproviders"])
    await run("delete", "crd", `${crd}.secretsync.dev`);
};

withImage.each(["helm", "helm4"] as const satisfies readonly Helm[])("installed by %s", (helm) => {
  it("the operator works, survives its leader, upgrades, rolls back, and leaves CRDs and Secrets behind", async () => {
    const system = await restrictedNamespace("system");
    // CRDs stay when a release goes, and belong to a release of that name in that namespace.
    const release = newRelease(helm, unique("secretsync"), system);
    await release.install(testValues({ crds: { enabled: true } })).catch(async (error: unknown) => {
      throw new Error(`${String(error)}\n${await release.logs().catch(String)}`);
    });
    // What Helm tells to do next.
    const notes = (await release.call("get", "notes", release.name))
      .split("\n")
      .filter((line) => line.startsWith("   kubectl "));
    expect(notes).toHaveLength(4);
    for (const command of notes) await run(...command.trim().split(" ").slice(1));
    const shop = await restrictedNamespace("shop");
    const { sync, spec, untilReason, values } = await tenant("ClusterSecretProvider", shop);
    const name = unique("orders");
    await aws.create(name, canary("one"));
    await sync(name, spec(name));
    await untilReason(name, "Synced", 40_000);
    await consumer("Deployment", shop, name, 1);
    await untilPodSees(shop, name, canary("one"));

    const first = await release.leader();
    await run("delete", "pod", "-n", system, first);
    await until("another pod leads", async () => ![first, ""].includes(await release.leader()), {
      timeoutMs: 60_000,
    });
    await aws.rotate(name, canary("two"));
    await sync(name, spec(name), request());
    await untilPodSees(shop, name, canary("two"));

    if (helm === "helm4") await helmWaits(release, shop, spec);
    await helmTest(release);
    await release.upgrade(testValues({ podAnnotations: { upgraded: "once" }, crds: { enabled: true } }));
    await release.rollback(1);
    await aws.rotate(name, canary("three"));
    await sync(name, spec(name), request());
    await untilPodSees(shop, name, canary("three"));
    const revisions =
      (await run("rollout", "history", "-n", shop, `deployment/${name}`)).trim().split("\n").length - 2;
    expect(revisions).toBe(3);

    expect(await release.logs()).not.toContain(canary(""));
    await release.uninstall();
    expect(await run("get", "crd", "-o", "name")).toContain("secretsyncs.secretsync.dev");
    expect(await values(name)).toEqual({ password: canary("three") });
    // Nothing of ours holds up a namespace when no operator runs.
    await run("delete", "namespace", shop, "--timeout=90s");
    await deleteCrds();
  }, 400_000);
});

withImage("rights", () => {
  let cleanUp: () => Promise<void> = () => Promise.resolve();
  afterEach(async () => {
    await cleanUp();
    cleanUp = () => Promise.resolve();
  });
  afterAll(deleteCrds);
  beforeAll(async () => {
    await installCrds(run);
  }, 60_000);

  const modes = [
    { mode: "the whole cluster", scoped: 0, clusterProviders: true },
    { mode: "listed namespaces", scoped: 2, clusterProviders: true },
    { mode: "one namespace", scoped: 1, clusterProviders: false },
    { mode: "listed namespaces and nothing beyond", scoped: 2, clusterProviders: false },
  ] as const;

  withAudit.each(modes)(
    "for $mode are those that are used, and enough",
    async ({ scoped, clusterProviders }) => {
      const system = await restrictedNamespace("system");
      const namespaces = await Promise.all(
        Array.from({ length: scoped || 2 }, () => restrictedNamespace("team")),
      );
      const release = newRelease("helm", unique("secretsync"), system);
      await release.install(
        testValues({
          crds: { enabled: false },
          clusterProviders: { enabled: clusterProviders },
          ...(scoped ? { watchNamespaces: namespaces } : {}),
        }),
      );
      for (const namespace of namespaces)
        await mainJob(clusterProviders ? "ClusterSecretProvider" : "SecretProvider", namespace);
      if (scoped === 0) await fanOutJob(namespaces);
      // Whatever is granted was used, where and on what it is granted; and nothing else was asked for.
      const requests = requestsOf(release.account);
      const grants = await grantsOf(release.name);
      expect(requests.filter((request) => request.refused)).toEqual([]);
      expect(grants.filter((grant) => !requests.some((request) => allows(grant, request)))).toEqual([]);
      expect(requests.filter((request) => !grants.some((grant) => allows(grant, request)))).toEqual([]);
      const cluster = grants
        .filter(({ namespace }) => namespace === undefined)
        .map(({ verb, what }) => `${verb} ${what}`);
      if (scoped > 0)
        expect(cluster.sort()).toEqual(
          clusterProviders
            ? ["list", "watch"].map((verb) => `${verb} secretsync.dev/clustersecretproviders`)
            : [],
        );
      // Nobody lists Secrets but those of the operator, or one by its name.
      const lists = requests.filter(({ verb, what }) => what === "/secrets" && /list|watch/.test(verb));
      expect(lists.length).toBeGreaterThan(0);
      for (const { uri } of lists)
        expect(decodeURIComponent(uri)).toMatch(
          /labelSelector=secretsync\.dev\/managed=true|fieldSelector=metadata\.name=/,
        );
      if (!clusterProviders) {
        const narrow = {
          rbac: { aggregateClusterRoles: false },
          admissionPolicies: { operator: { enabled: false } },
        };
        const rendered = await release.template(
          testValues({
            crds: { enabled: false },
            clusterProviders: { enabled: false },
            watchNamespaces: namespaces,
            ...narrow,
          }),
        );
        expect(rendered).not.toMatch(
          /kind: (ClusterRole|ClusterRoleBinding|ValidatingAdmissionPolicy|CustomResource)/,
        );
        const clusterWide = await run(
          "get",
          "clusterrolebindings",
          "-o",
          "jsonpath={.items[*].subjects[*].name}",
        );
        expect(clusterWide).not.toContain(release.name);
      }
      await release.uninstall();
      await run("delete", "namespace", system, ...namespaces, "--timeout=90s");
    },
    400_000,
  );

  it.each<Helm>(["helm", "helm4"])(
    "whose namespace is gone stop an upgrade by %s, which names it, until it is there or taken off the list",
    async (helm) => {
      const [system, stays, goes] = [unique("system"), unique("stays"), unique("goes")];
      await run("create", "namespace", system);
      for (const namespace of [stays, goes]) await run("create", "namespace", namespace);
      const release = newRelease(helm, unique("secretsync"), system);
      const values = (watchNamespaces: readonly string[]) =>
        testValues({
          crds: { enabled: false },
          replicaCount: 1,
          admissionPolicies: { operator: { enabled: false } },
          watchNamespaces,
        });
      await release.install(values([stays, goes]));
      await run("delete", "namespace", goes, "--timeout=60s");
      await expect(release.upgrade(values([stays, goes]))).rejects.toMatchObject({
        stderr: expect.stringContaining(`namespaces "${goes}" not found`),
      });
      await release.upgrade(values([stays]));
      await run("create", "namespace", goes);
      await release.upgrade(values([stays, goes]));
      await run("get", "role", "-n", goes, `${release.name}.${system}`);
      await release.uninstall();
      await run("delete", "namespace", system, stays, goes, "--wait=false");
    },
    200_000,
  );

  withAudit(
    "of two installs keep each to its own namespaces",
    async () => {
      const [systemA, systemB] = [await restrictedNamespace("system"), await restrictedNamespace("system")];
      const [teamA, teamB] = [await restrictedNamespace("team"), await restrictedNamespace("team")];
      const installs = [
        { release: newRelease("helm", unique("a"), systemA), own: teamA, other: teamB },
        { release: newRelease("helm", unique("b"), systemB), own: teamB, other: teamA },
      ];
      for (const { release, own } of installs)
        await release.install(
          testValues({ crds: { enabled: false }, watchNamespaces: [own], replicaCount: 1 }),
        );
      for (const { own } of installs) {
        const { sync, spec, untilReason } = await tenant("ClusterSecretProvider", own);
        const name = unique("k");
        await aws.create(name, canary("one"));
        await sync(name, spec(name, { refreshInterval: "1s" }));
        await untilReason(name, "Synced", 40_000);
      }
      for (const { release, own, other } of installs) {
        expect(await run("auth", "can-i", "get", "secrets", "-n", own, "--as", release.account)).toContain(
          "yes",
        );
        await expect(
          run("auth", "can-i", "get", "secrets", "-n", other, "--as", release.account),
        ).rejects.toMatchObject({ stdout: expect.stringMatching(/^no\b/) });
        const requests = requestsOf(release.account);
        expect(requests.filter((request) => request.refused)).toEqual([]);
        expect(requests.filter(({ namespace }) => namespace === other)).toEqual([]);
        const writes = () =>
          requestsOf(release.account).filter(
            ({ verb, what }) => verb === "patch" && !what.includes("leases"),
          );
        const before = writes().length;
        await until("it has looked again", async () => {
          const leases = requestsOf(release.account).filter(({ what }) => what.includes("leases")).length;
          return leases > requests.filter(({ what }) => what.includes("leases")).length + 2;
        });
        expect(writes()).toHaveLength(before);
        await release.uninstall();
      }
    },
    300_000,
  );

  it("end at the fence around the operator", async () => {
    const system = await restrictedNamespace("system");
    const release = newRelease("helm", unique("secretsync"), system);
    await release.install(testValues({ crds: { enabled: false }, replicaCount: 1 }));
    const shop = await restrictedNamespace("shop");
    const operator = await asOperator(release);
    const secret = (more: Record<string, unknown>) => {
      const managed = { "secretsync.dev/managed": "true" };
      return { metadata: { name: unique("s"), namespace: shop, labels: managed }, ...more } as KubeObject;
    };
    // A policy takes a moment to be enforced.
    await until("a Secret without the label is refused", () =>
      operator.api
        .create(resources.secret, { metadata: { name: unique("s"), namespace: shop } }, signal)
        .then(
          () => false,
          (error: Error) => error.message.includes(`${release.name}.${system}.secrets denies it`),
        ),
    );
    await operator.api.create(resources.secret, secret({ type: "Opaque" }), signal);
    for (const [type, annotations] of [
      ["helm.sh/release.v1", {}],
      ["bootstrap.kubernetes.io/token", {}],
      ["kubernetes.io/service-account-token", { "kubernetes.io/service-account.name": "default" }],
      ["Opaque", { "kubernetes.io/service-account.name": "default" }],
    ] as const) {
      const { metadata } = secret({});
      const wrong = { metadata: { ...metadata, annotations }, type } as KubeObject;
      await expect(operator.api.create(resources.secret, wrong, signal)).rejects.toThrow("denies it");
    }
    for (const metadata of [
      { name: "sh.helm.release.v1.app.v2", labels: { "secretsync.dev/managed": "true" } },
      { name: unique("s"), labels: { "secretsync.dev/managed": "true", owner: "helm" } },
    ])
      await expect(
        operator.api.create(resources.secret, { metadata: { namespace: shop, ...metadata } }, signal),
      ).rejects.toThrow("denies it");
    await consumer("Deployment", shop, "fenced", 0);
    const patch = patchFenced(operator.api, shop);
    const foreign = unique("theirs");
    await run("create", "secret", "generic", foreign, "-n", shop, "--from-literal=theirs=x");
    const write = (data: Record<string, string>, digests = Object.keys(data)) => {
      const labels = { "secretsync.dev/managed": "true" };
      const notes = JSON.stringify({ digests: Object.fromEntries(digests.map((key) => [key, "d"])) });
      const annotations = { "secretsync.dev/digests-uid": notes };
      return operator.api.apply(
        resources.secret,
        { metadata: { name: foreign, namespace: shop, labels, annotations }, data } as KubeObject,
        { fieldManager: "test", force: true },
        signal,
      );
    };
    await expect(write({ theirs: "aGFja2Vk" })).rejects.toThrow("denies it");
    await write({ ours: "eA==" });
    // What was added may change, and nothing else, also once the Secret carries our label.
    await write({ ours: "eQ==" });
    await expect(write({ ours: "eQ==", theirs: "aGFja2Vk" })).rejects.toThrow("denies it");
    const digestKey = { metadata: { name: "secretsync-digest-key", namespace: system, labels: {} } };
    await expect(
      operator.api.apply(resources.secret, digestKey, { fieldManager: "test", force: true }, signal),
    ).rejects.toThrow(/\.secrets denies it: the operator may make the key of its digests/);
    const note = { "secretsync.dev/consumed": "{}" };
    const mark = { template: { metadata: { annotations: { "secretsync.dev/restarted-for": "x" } } } };
    await patch(mark, note);
    await expect(patch(mark, note, "test")).rejects.toThrow("denies it");
    await expect(patch({}, { note: "not the operator's" })).rejects.toThrow("denies it");
    // Nor by another kind of patch, nor by one that spoils the apiserver's own notes.
    for (const more of [{}, { metadata: { managedFields: [{}] } }]) {
      const answer = await operator.transport.send(
        {
          method: "PATCH",
          path: `/apis/apps/v1/namespaces/${shop}/deployments/fenced?fieldManager=secretsync-restart`,
          headers: { "content-type": "application/merge-patch+json" },
          body: JSON.stringify({ spec: { replicas: 3 }, ...more }),
          lane: 1,
        },
        signal,
      );
      expect(await text(answer)).toContain("denied request: the operator may only");
    }
    for (const spec of [
      { paused: true },
      { template: { metadata: { annotations: { "sidecar.istio.io/inject": "true" } } } },
      { template: { metadata: { labels: { more: "x" } } } },
      { template: { spec: { containers: [{ name: "app", image: "evil" }] } } },
      { replicas: 3 },
      { template: { spec: { serviceAccountName: "admin" } } },
    ])
      await expect(patch(spec)).rejects.toThrow("denies it");
    operator.transport.close();
    await release.uninstall();
  }, 200_000);

  withAudit(
    "don't end a restart that a webhook of somebody else adds to",
    async () => {
      const system = await restrictedNamespace("system");
      const release = newRelease("helm", unique("secretsync"), system);
      await release.install(testValues({ crds: { enabled: false }, replicaCount: 1 }));
      const shop = await restrictedNamespace("shop");
      await consumer("Deployment", shop, "fenced", 0);
      const webhook = await startWebhook(shop);
      cleanUp = () => webhook.stop();
      const operator = await asOperator(release);
      const patch = patchFenced(operator.api, shop);
      const mark = { template: { metadata: { annotations: { "secretsync.dev/restarted-for": "x" } } } };
      await until("the policy is enforced", () =>
        patch({ paused: true }).then(
          () => false,
          (error: Error) => error.message.includes("denies it"),
        ),
      );
      await patch(mark, { "secretsync.dev/consumed": "{}" });
      const restarted = await run("get", "deployment", "fenced", "-n", shop, "-o", "json");
      const { metadata, spec } = JSON.parse(restarted) as KubeObject & {
        spec: { template: { metadata: { annotations: unknown }; spec: { priorityClassName?: string } } };
      };
      expect(metadata.annotations).toMatchObject({ webhook: "was here" });
      expect(spec.template.metadata.annotations).toEqual({
        "secretsync.dev/restarted-for": "x",
        webhook: "was here",
      });
      await expect(patch({ ...mark, replicas: 3 })).rejects.toThrow("denies it");
      operator.transport.close();
      await release.uninstall();
    },
    200_000,
  );

  it("of users: views read no Secrets, and the optional policies hold for everybody", async () => {
    const system = await restrictedNamespace("system");
    const release = newRelease("helm", unique("secretsync"), system);
    const policies = { protectSecrets: { enabled: true }, minRefreshInterval: "30s" };
    await release.install(
      testValues({ crds: { enabled: false }, replicaCount: 1, admissionPolicies: policies }),
    );
    const shop = await restrictedNamespace("shop");
    const { sync, spec, untilReason } = await tenant("ClusterSecretProvider", shop);
    for (const role of ["view", "edit"])
      await run("create", "rolebinding", role, "-n", shop, `--clusterrole=${role}`, `--user=${role}er`);
    const can = (user: string, verb: string, what: string) =>
      run("auth", "can-i", verb, what, "-n", shop, "--as", user).then(
        () => true,
        () => false,
      );
    await until("roles are aggregated", () => can("viewer", "get", "secretsyncs.secretsync.dev"));
    expect(await can("viewer", "get", "secrets")).toBe(false);
    expect(await can("viewer", "create", "secretsyncs.secretsync.dev")).toBe(false);
    expect(await can("editer", "create", "secretsyncs.secretsync.dev")).toBe(true);
    expect(await can("editer", "create", "clustersecretproviders.secretsync.dev")).toBe(false);

    const name = unique("k");
    await aws.create(name, canary("one"));
    await sync(name, spec(name));
    await untilReason(name, "Synced");
    const edit = () =>
      run(
        "patch",
        "secret",
        name,
        "-n",
        shop,
        "-p",
        '{"stringData":{"password":"hacked"}}',
        "--as",
        "editer",
      );
    await until("the edit is refused", () =>
      edit().then(
        () => false,
        (error: Error) => error.message.includes("this Secret is kept by SecretSync"),
      ),
    );
    await expect(sync(name, spec(name, { refreshInterval: "5s" }))).rejects.toThrow(
      /\.refresh denies it: spec\.refreshInterval: must be 0s/,
    );
    await sync(name, spec(name, { refreshInterval: "30s" }));
    // Kubernetes' own controllers are no "everybody": the owner's deletion takes the Secret along.
    await run("delete", "secretsyncs.secretsync.dev", name, "-n", shop);
    await until("the Secret is gone", async () => {
      const found = await run("get", "secret", name, "-n", shop, "--ignore-not-found");
      return found === "";
    });
    await release.uninstall();
  }, 200_000);
});
