import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { parseAllDocuments, stringify } from "yaml";
import { ensureTools, toolPath } from "../cluster/tools.ts";
import { chart, newRelease, type Helm } from "../support/chart.ts";
import { runWith } from "../support/kubectl.ts";

/** What the chart renders for each of its values, by both Helms. */

type Value = string | number | boolean | null | Value[] | { [name: string]: Value };
interface Rendered {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

beforeAll(() => ensureTools("helm", "helm4"), 900_000);

const helms = ["helm", "helm4"] as const satisfies readonly Helm[];

async function render(helm: Helm, ...args: string[]): Promise<readonly Rendered[]> {
  const command = ["template", "rel", chart, "--namespace", "sys", ...args];
  const { stdout } = await promisify(execFile)(toolPath(helm), command, { maxBuffer: 1 << 26 });
  return parseAllDocuments(stdout)
    .map((document) => document.toJS() as Rendered | null)
    .filter((object) => object !== null);
}

/** spec.template.spec.containers.0.image, as a path; a dot in a name is written as %. */
const at = (object: unknown, where: string): unknown =>
  where
    .split(".")
    .reduce<unknown>(
      (node, name) => (node as Record<string, unknown> | undefined)?.[name.replaceAll("%", ".")],
      object,
    );

const pod = (path: string) => `spec.template.spec.${path}`;
const container = (path: string) => pod(`containers.0.${path}`);

/** The value, the kind that shows it, where, and what. undefined: no such object or field. */
const cases: readonly (readonly [values: Value, kind: string, path: string, expected: Value | undefined])[] =
  [
    [{}, "Deployment", "spec.replicas", 2],
    [{ replicaCount: 3 }, "Deployment", "spec.replicas", 3],
    [{}, "Deployment", container("image"), "ghcr.io/secretsync/secretsync:0.1.0"],
    [{ image: { tag: "9" } }, "Deployment", container("image"), "ghcr.io/secretsync/secretsync:9"],
    [
      { image: { digest: `sha256:${"a".repeat(64)}`, tag: "9" } },
      "Deployment",
      container("image"),
      `ghcr.io/secretsync/secretsync@sha256:${"a".repeat(64)}`,
    ],
    [{ image: { repository: "r/i" } }, "Deployment", container("image"), "r/i:0.1.0"],
    [{ image: { pullPolicy: "Always" } }, "Deployment", container("imagePullPolicy"), "Always"],
    [{ imagePullSecrets: [{ name: "p" }] }, "Deployment", pod("imagePullSecrets"), [{ name: "p" }]],
    [
      { serviceAccountTokens: { namespaces: ["shop"] } },
      "Role",
      "rules",
      [{ apiGroups: [""], resources: ["serviceaccounts/token"], verbs: ["create"] }],
    ],
    [{ serviceAccountTokens: { namespaces: ["shop"] } }, "Role", "metadata.namespace", "shop"],
    [{ serviceAccountTokens: { namespaces: ["shop"] } }, "RoleBinding", "metadata.namespace", "shop"],
    [{ fullnameOverride: "full" }, "Deployment", "metadata.name", "full"],
    [{ nameOverride: "other" }, "Deployment", "metadata.labels.app%kubernetes%io/name", "other"],
    [{ commonLabels: { team: "a" } }, "Service", "metadata.labels.team", "a"],
    [{ commonLabels: { team: "a" } }, "Deployment", "spec.template.metadata.labels.team", "a"],
    [{ commonLabels: { team: "a" } }, "Deployment", "spec.selector.matchLabels.team", undefined],
    [
      { commonLabels: { "app.kubernetes.io/part-of": "platform" } },
      "Deployment",
      "metadata.labels.app%kubernetes%io/part-of",
      "platform",
    ],
    [
      { commonLabels: { team: "a" }, podLabels: { team: "b" } },
      "Deployment",
      "spec.template.metadata.labels.team",
      "b",
    ],
    [
      { commonLabels: { team: "a" }, serviceMonitor: { enabled: true, labels: { team: "b" } } },
      "ServiceMonitor",
      "metadata.labels.team",
      "b",
    ],
    [{ crds: { enabled: false } }, "CustomResourceDefinition", "metadata.name", undefined],
    [{}, "CustomResourceDefinition", "metadata.annotations.helm%sh/resource-policy", "keep"],
    [
      { crds: { keep: false } },
      "CustomResourceDefinition",
      "metadata.annotations.helm%sh/resource-policy",
      undefined,
    ],
    [{ podAnnotations: { a: "b" } }, "Deployment", "spec.template.metadata.annotations", { a: "b" }],
    [{ podLabels: { a: "b" } }, "Deployment", "spec.template.metadata.labels.a", "b"],
    [{ deploymentAnnotations: { a: "b" } }, "Deployment", "metadata.annotations", { a: "b" }],
    [{ strategy: { type: "Recreate" } }, "Deployment", "spec.strategy", { type: "Recreate" }],
    [{ revisionHistoryLimit: 3 }, "Deployment", "spec.revisionHistoryLimit", 3],
    [{ dnsPolicy: "Default" }, "Deployment", pod("dnsPolicy"), "Default"],
    [
      { dnsConfig: { options: [{ name: "ndots" }] } },
      "Deployment",
      pod("dnsConfig"),
      { options: [{ name: "ndots" }] },
    ],
    [
      { livenessProbe: { failureThreshold: 7 } },
      "Deployment",
      container("livenessProbe.failureThreshold"),
      7,
    ],
    [{}, "Deployment", container("livenessProbe.httpGet.path"), "/healthz"],
    [{ readinessProbe: { periodSeconds: 9 } }, "Deployment", container("readinessProbe.periodSeconds"), 9],
    [{}, "Deployment", container("readinessProbe.httpGet.path"), "/readyz"],
    [{ startupProbe: { timeoutSeconds: 2 } }, "Deployment", container("startupProbe.timeoutSeconds"), 2],
    [{ extraEnv: [{ name: "A", value: "b" }] }, "Deployment", container("env.2"), { name: "A", value: "b" }],
    [
      { extraVolumes: [{ name: "v", emptyDir: {} }] },
      "Deployment",
      pod("volumes"),
      [{ name: "v", emptyDir: {} }],
    ],
    [
      { extraVolumeMounts: [{ name: "v", mountPath: "/v" }] },
      "Deployment",
      container("volumeMounts"),
      [{ name: "v", mountPath: "/v" }],
    ],
    [
      { extraObjects: [{ apiVersion: "v1", kind: "Secret", metadata: { name: "x" } }] },
      "Secret",
      "metadata.name",
      "x",
    ],
    [{ serviceAccount: { annotations: { a: "b" } } }, "ServiceAccount", "metadata.annotations", { a: "b" }],
    [{ serviceAccount: { labels: { a: "b" } } }, "ServiceAccount", "metadata.labels.a", "b"],
    [{ serviceAccount: { create: false, name: "own" } }, "ServiceAccount", "metadata.name", undefined],
    [{ serviceAccount: { create: false, name: "own" } }, "Deployment", pod("serviceAccountName"), "own"],
    [{ rbac: { create: false } }, "RoleBinding", "metadata.name", undefined],
    [{ nodeSelector: { a: "b" } }, "Deployment", pod("nodeSelector"), { a: "b" }],
    [{ tolerations: [{ operator: "Exists" }] }, "Deployment", pod("tolerations"), [{ operator: "Exists" }]],
    [{ affinity: { nodeAffinity: {} } }, "Deployment", pod("affinity"), { nodeAffinity: {} }],
    [{ priorityClassName: "high" }, "Deployment", pod("priorityClassName"), "high"],
    [{}, "Deployment", pod("topologySpreadConstraints.0.topologyKey"), "kubernetes.io/hostname"],
    [
      {
        topologySpreadConstraints: [{ maxSkew: 2, topologyKey: "rack", whenUnsatisfiable: "DoNotSchedule" }],
      },
      "Deployment",
      pod("topologySpreadConstraints"),
      [{ maxSkew: 2, topologyKey: "rack", whenUnsatisfiable: "DoNotSchedule" }],
    ],
    [{ resources: { limits: { memory: "1Gi" } } }, "Deployment", container("resources.limits.memory"), "1Gi"],
    [{}, "Deployment", container("securityContext.readOnlyRootFilesystem"), true],
    [{}, "Deployment", container("securityContext.capabilities.drop"), ["ALL"]],
    [{}, "Deployment", pod("securityContext.runAsNonRoot"), true],
    [{}, "Deployment", pod("securityContext.seccompProfile.type"), "RuntimeDefault"],
    [{}, "PodDisruptionBudget", "spec.maxUnavailable", 1],
    [{ replicaCount: 1 }, "PodDisruptionBudget", "spec", undefined],
    [{ podDisruptionBudget: { enabled: false } }, "PodDisruptionBudget", "spec", undefined],
    [{ podDisruptionBudget: { minAvailable: "50%" } }, "PodDisruptionBudget", "spec.minAvailable", "50%"],
    [{ podDisruptionBudget: { maxUnavailable: 2 } }, "PodDisruptionBudget", "spec.maxUnavailable", 2],
    [{}, "NetworkPolicy", "spec.policyTypes", ["Ingress", "Egress"]],
    [
      {},
      "NetworkPolicy",
      "spec.ingress",
      [{ ports: [{ protocol: "TCP", port: "metrics" }] }, { ports: [{ protocol: "TCP", port: "probes" }] }],
    ],
    [
      { networkPolicy: { ingressFrom: [{ podSelector: { matchLabels: { app: "prometheus" } } }] } },
      "NetworkPolicy",
      "spec.ingress",
      [
        {
          ports: [{ protocol: "TCP", port: "metrics" }],
          from: [{ podSelector: { matchLabels: { app: "prometheus" } } }],
        },
        { ports: [{ protocol: "TCP", port: "probes" }] },
      ],
    ],
    [{}, "ResourceQuota", "spec", undefined],
    [
      { resourceQuotas: { namespaces: ["shop"], secretSyncs: 7 } },
      "ResourceQuota",
      "spec.hard",
      { "count/secretsyncs.secretsync.dev": "7", "count/secretproviders.secretsync.dev": "50" },
    ],
    [{ resourceQuotas: { namespaces: ["shop"] } }, "ResourceQuota", "metadata.namespace", "shop"],
    [
      { metrics: { tlsSecretName: "tls" } },
      "Deployment",
      pod("volumes"),
      [{ name: "metrics-tls", secret: { secretName: "tls" } }],
    ],
    [
      { metrics: { tlsSecretName: "tls" } },
      "Deployment",
      container("volumeMounts"),
      [{ name: "metrics-tls", mountPath: "/metrics-tls", readOnly: true }],
    ],
    [
      { metrics: { tlsSecretName: "tls" }, serviceMonitor: { enabled: true } },
      "ServiceMonitor",
      "spec.endpoints.0.scheme",
      "https",
    ],
    [
      { metrics: { auth: "token" }, serviceMonitor: { enabled: true } },
      "ServiceMonitor",
      "spec.endpoints.0.bearerTokenFile",
      "/var/run/secrets/kubernetes.io/serviceaccount/token",
    ],
    [{ serviceMonitor: { enabled: true } }, "ServiceMonitor", "spec.endpoints.0.bearerTokenFile", undefined],
    [
      {},
      "NetworkPolicy",
      "spec.egress.0",
      {
        ports: [
          { protocol: "UDP", port: 53 },
          { protocol: "TCP", port: 53 },
        ],
      },
    ],
    [{}, "NetworkPolicy", "spec.egress.1.to.0.ipBlock.cidr", "169.254.170.23/32"],
    [
      {
        networkPolicy: {
          cloudIdentity: false,
          egressPorts: [443],
          egressTo: [{ ipBlock: { cidr: "192.0.2.0/24" } }],
        },
      },
      "NetworkPolicy",
      "spec.egress.1",
      { ports: [{ protocol: "TCP", port: 443 }], to: [{ ipBlock: { cidr: "192.0.2.0/24" } }] },
    ],
    [
      { networkPolicy: { dnsPorts: [5353] } },
      "NetworkPolicy",
      "spec.egress.0",
      {
        ports: [
          { protocol: "UDP", port: 5353 },
          { protocol: "TCP", port: 5353 },
        ],
      },
    ],
    [
      { proxy: { httpsProxy: "http://p:3128", noProxy: ".internal" } },
      "Deployment",
      container("env.2"),
      { name: "HTTPS_PROXY", value: "http://p:3128" },
    ],
    [
      { proxy: { noProxy: ".internal" } },
      "Deployment",
      container("env.2"),
      { name: "NO_PROXY", value: ".internal" },
    ],
    [{ proxy: { httpProxy: "http://p" } }, "Deployment", container("env.2.name"), "HTTP_PROXY"],
    [
      { caBundle: { configMapName: "ca", key: "all.pem" } },
      "Deployment",
      container("env.2"),
      { name: "NODE_EXTRA_CA_CERTS", value: "/ca-bundle/all.pem" },
    ],
    [
      { caBundle: { configMapName: "ca" } },
      "Deployment",
      pod("volumes"),
      [{ name: "ca-bundle", configMap: { name: "ca" } }],
    ],
    [
      { caBundle: { secretName: "ca" } },
      "Deployment",
      pod("volumes"),
      [{ name: "ca-bundle", secret: { secretName: "ca" } }],
    ],
    [
      { caBundle: { secretName: "ca" } },
      "Deployment",
      container("volumeMounts"),
      [{ name: "ca-bundle", mountPath: "/ca-bundle", readOnly: true }],
    ],
    [{ networkPolicy: { enabled: false } }, "NetworkPolicy", "spec", undefined],
    [{}, "ServiceMonitor", "spec", undefined],
    [{ serviceMonitor: { enabled: true, labels: { a: "b" } } }, "ServiceMonitor", "metadata.labels.a", "b"],
    [
      {
        serviceMonitor: {
          enabled: true,
          interval: "5s",
          scrapeTimeout: "4s",
          relabelings: [{ action: "drop" }],
        },
      },
      "ServiceMonitor",
      "spec.endpoints",
      [
        {
          port: "metrics",
          interval: "5s",
          honorLabels: true,
          scrapeTimeout: "4s",
          relabelings: [{ action: "drop" }],
        },
      ],
    ],
    [{ serviceMonitor: { enabled: true, namespace: "mon" } }, "ServiceMonitor", "metadata.namespace", "mon"],
    [
      { serviceMonitor: { enabled: true, namespace: "mon" } },
      "ServiceMonitor",
      "spec.namespaceSelector.matchNames",
      ["sys"],
    ],
    [
      { podMonitor: { enabled: true, metricRelabelings: [{ action: "keep" }] } },
      "PodMonitor",
      "spec.podMetricsEndpoints.0.metricRelabelings",
      [{ action: "keep" }],
    ],
    [{ prometheusRule: { enabled: true } }, "PrometheusRule", "spec.groups.0.name", "secretsync"],
    [{ prometheusRule: { enabled: true, labels: { a: "b" } } }, "PrometheusRule", "metadata.labels.a", "b"],
    [{ grafanaDashboard: { enabled: true } }, "ConfigMap", "metadata.labels.grafana_dashboard", "1"],
    [
      { grafanaDashboard: { enabled: true, annotations: { f: "g" } } },
      "ConfigMap",
      "metadata.annotations",
      { f: "g" },
    ],
  ];

const flags: readonly (readonly [values: Value, flag: string])[] = [
  [{ watchNamespaces: ["a", "b"] }, "--watch-namespaces=a,b"],
  [{ clusterProviders: { enabled: false } }, "--cluster-providers=false"],
  [{}, "--cluster-secret-syncs=true"],
  [{ clusterSecretSyncs: { enabled: false } }, "--cluster-secret-syncs=false"],
  [{ watchNamespaces: ["a"] }, "--cluster-secret-syncs=false"],
  [{ fileRoots: ["/mnt/a", "/mnt/b"] }, "--file-roots=/mnt/a,/mnt/b"],
  [{ allowAmbientIdentity: true }, "--allow-ambient-identity=true"],
  [{ awsRegions: ["eu-*", "us-east-1"] }, "--aws-regions=eu-*,us-east-1"],
  [{ admissionPolicies: { minRefreshInterval: "1m" } }, "--min-refresh-interval=1m"],
  [{ metrics: { auth: "token" } }, "--metrics-auth=token"],
  [{ metrics: { tlsSecretName: "tls" } }, "--metrics-tls-dir=/metrics-tls"],
  [{ concurrent: 7 }, "--concurrent=7"],
  [{ metricsPerObject: false }, "--metrics-per-object=false"],
  [{ logLevel: "debug" }, "--log-level=debug"],
  [{ logFormat: "pretty" }, "--log-format=pretty"],
  [{ extraArgs: ["--lease-name=x"] }, "--lease-name=x"],
  [{}, "--lease-name=rel"],
];

const setting = (values: Value): string[] =>
  Object.entries(values as Record<string, Value>).flatMap(([name, value]) => [
    "--set-json",
    `${name}=${JSON.stringify(value)}`,
  ]);

describe.each(helms)("rendered by %s, a value", (helm) => {
  it.each(cases)("%j shows in the %s at %s as %j", async (values, kind, path, expected) => {
    const object = (await render(helm, ...setting(values))).find((each) => each.kind === kind);
    expect(at(object, path)).toEqual(expected);
  });

  it.each(flags)("%j becomes the flag %s", async (values, flag) => {
    const deployment = (await render(helm, ...setting(values))).find(({ kind }) => kind === "Deployment");
    expect(at(deployment, container("args"))).toContain(flag);
  });

  it.each([
    ["replicaCount=many", "/replicaCount"],
    ["image.tag.x=1", "/image/tag"],
    ["imagePullPolicy=Always", "imagePullPolicy"],
    ["image.digest=latest", "/image/digest"],
    ["watchNamespaces={Not_A_Namespace}", "/watchNamespaces/0"],
    ["crds.enabled=maybe", "/crds/enabled"],
    ["extraArgs={concurrent=3}", "/extraArgs/0"],
    ["extraEnv[0].nam=x", "/extraEnv/0"],
    ["extraVolumeMounts[0].mountpath=x", "/extraVolumeMounts/0"],
    ["tolerations[0].efect=NoExecute", "/tolerations/0"],
    ["topologySpreadConstraints[0].maxSkew=1", "/topologySpreadConstraints/0"],
    ["logLevel=loud", "/logLevel"],
    ["admissionPolicies.minRefreshInterval=often", "/admissionPolicies/minRefreshInterval"],
    ["networkPolicy.egressPorts={99999}", "/networkPolicy/egressPorts/0"],
    ["resources=small", "/resources"],
    ["resources.limits.memory=lots", "/resources/limits/memory"],
    ["resources.limts.memory=1Gi", "/resources"],
    ["serviceMonitor.interval=soon", "/serviceMonitor/interval"],
    ["livenessProbe.path=/x", "/livenessProbe"],
    ["serviceAccount.create=false", "serviceAccount.name"],
    ["serviceAccount.name=x' || request.userInfo.username != '", "/serviceAccount/name"],
    ["awsRegions={eu west}", "/awsRegions/0"],
    ["metrics.auth=basic", "/metrics/auth"],
    ["resourceQuotas.namespaces={A}", "/resourceQuotas/namespaces/0"],
    ["podLabels.app\\.kubernetes\\.io/name=x", "commonLabels, podLabels: app.kubernetes.io/name"],
    ["podDisruptionBudget.minAvailable=1,podDisruptionBudget.maxUnavailable=1", "podDisruptionBudget"],
  ])("that is wrong (%s) fails with a message that names it", async (value, name) => {
    await expect(
      newRelease(helm, "rel", "sys").call("template", "rel", chart, "--set", value),
    ).rejects.toThrow(name);
  });
});

describe.each(helms)("a value that is null, by %s", (helm) => {
  const rendered = (values: Record<string, unknown>) => newRelease(helm, "rel", "sys").template(values);
  const defaults = JSON.parse(readFileSync(path.join(chart, "files/defaults.json"), "utf8")) as Record<
    string,
    unknown
  >;

  it("is the default, and nothing where the fields are Kubernetes' own", async () => {
    const isOwn = (name: string) => ["podSecurityContext", "securityContext", "resources"].includes(name);
    const names = Object.keys(defaults).filter((name) => !isOwn(name));
    const nulls = (of: readonly string[]) => Object.fromEntries(of.map((name) => [name, null]));
    expect(await rendered(nulls(names))).toBe(await rendered({}));
    expect(await rendered(nulls(["resources"]))).toMatch(/resources:\n +\{\}\n/);
  });

  it.each([
    "resourceQuotas.namespaces",
    "admissionPolicies.operator",
    "proxy.httpsProxy",
    "image.tag",
    "serviceMonitor.relabelings",
  ])("%s, too", async (name) => {
    const [group = "", field = ""] = name.split(".");
    expect(await rendered({ [group]: { [field]: null } })).toBe(await rendered({}));
  });
});

describe.each(helms)("names, by %s", (helm) => {
  const names = async (release: string, values: Record<string, unknown> = {}) =>
    [...(await newRelease(helm, release, "sys").template(values)).matchAll(/^ {2}name: "?([^"\n]+)/gm)].map(
      ([, name]) => name,
    );

  it("begin with a letter, as Services must", async () => {
    expect(await names("1release")).toContain("secretsync-1release-metrics");
    expect(await names("release")).toContain("release-metrics");
  });
});

describe.each(helms)("as an optional part of another chart, by %s", (helm) => {
  const folder = mkdtempSync(path.join(tmpdir(), "umbrella-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const parent = {
    apiVersion: "v2",
    name: "umbrella",
    version: "1.0.0",
    dependencies: [
      {
        name: "secretsync",
        version: ">=0.0.0-0",
        repository: `file://${path.resolve(chart)}`,
        condition: "secretsync.enabled",
        tags: ["secrets"],
      },
    ],
  };
  beforeAll(async () => {
    writeFileSync(path.join(folder, "Chart.yaml"), stringify(parent));
    await promisify(execFile)(toolPath(helm), ["dependency", "update", folder]);
  }, 60_000);

  it.each([
    ["secretsync.enabled=true", true],
    ["secretsync.enabled=false", false],
    ["tags.secrets=false", false],
    ["tags.secrets=true,global.registry=x,secretsync.replicaCount=1", true],
  ])("%s: is there: %s", async (value, isThere) => {
    const command = ["template", "rel", folder, "--set", value];
    const { stdout } = await promisify(execFile)(toolPath(helm), command, { maxBuffer: 1 << 26 });
    expect(stdout.includes("kind: Deployment")).toBe(isThere);
  });

  it("has names of its own, beside those of the other chart, which are often the release's", async () => {
    const { stdout } = await promisify(execFile)(toolPath(helm), ["template", "rel", folder], {
      maxBuffer: 1 << 26,
    });
    expect(stdout).toMatch(/kind: Deployment\nmetadata:\n {2}name: rel-secretsync\n/);
    const own = await promisify(execFile)(toolPath(helm), ["template", "my-secretsync", folder], {
      maxBuffer: 1 << 26,
    });
    expect(own.stdout).toMatch(/kind: Deployment\nmetadata:\n {2}name: my-secretsync\n/);
  });
});

describe("what the chart renders", () => {
  it("is what the apiserver takes, with every value that adds an object of Kubernetes' own", async () => {
    const objects = await render(
      "helm",
      ...setting({
        admissionPolicies: { protectSecrets: { enabled: true }, minRefreshInterval: "30s" },
        metrics: { auth: "token", tlsSecretName: "tls" },
        resourceQuotas: { namespaces: ["sys"] },
        serviceAccountTokens: { namespaces: ["sys"] },
        grafanaDashboard: { enabled: true },
        strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1 } },
        dnsConfig: { options: [{ name: "ndots", value: "1" }] },
        tolerations: [{ operator: "Exists" }],
      }),
      "--skip-tests",
    );
    await runWith("{apiVersion: v1, kind: Namespace, metadata: {name: sys}}", "apply", "-f", "-");
    const list = { apiVersion: "v1", kind: "List", items: objects };
    const { ok, output } = await runWith(
      JSON.stringify(list),
      "apply",
      "--server-side",
      "--force-conflicts",
      "--dry-run=server",
      "-f",
      "-",
    );
    expect(output).not.toContain("rror");
    expect(ok).toBe(true);
  }, 60_000);

  it("asks for as much memory as is measured with 1,000 objects, and allows what 10,000 take", async () => {
    const { figures } = JSON.parse(readFileSync("docs/benchmarks.json", "utf8")) as {
      figures: { name: string; size?: number; value: number }[];
    };
    const measured = (size: number) =>
      figures.find((figure) => figure.name === "memory" && figure.size === size)?.value ?? Infinity;
    const deployment = (await render("helm")).find(({ kind }) => kind === "Deployment");
    const mib = (path: string) =>
      Number(String(at(deployment, container(`resources.${path}`))).replace("Mi", ""));
    expect(mib("requests.memory")).toBeGreaterThanOrEqual(measured(1_000));
    expect(mib("limits.memory")).toBeGreaterThanOrEqual(1.5 * measured(10_000));
  });
});
