import { readFileSync } from "node:fs";
import * as z from "zod";

/**
 * The chart's values, once: values.yaml, values.schema.json and the table of its README are made from this. Names are
 * those of cert-manager and External Secrets Operator where they have the same thing.
 */

interface Figure {
  readonly name: string;
  readonly size?: number;
  readonly value: number;
}

/** What the last benchmark says. */
function measuredMemory(): string {
  const { figures } = JSON.parse(readFileSync("docs/benchmarks.json", "utf8")) as { figures: Figure[] };
  const mib = (name: string, size?: number) => {
    const figure = figures.find((each) => each.name === name && (size === undefined || each.size === size));
    if (!figure) throw new Error(`docs/benchmarks.json has no ${name}`);
    return `${Math.round(figure.value)} MiB`;
  };
  return `${mib("memory, idle")} idle, ${mib("memory", 1_000)} with 1,000 objects, ${mib("memory", 10_000)} with 10,000`;
}

const text = (description: string, fallback = "") => z.string().default(fallback).meta({ description });
const name = (description: string) =>
  z
    .string()
    .regex(/^([a-z]([-a-z0-9]{0,48}[a-z0-9])?)?$/, "must be a short DNS label")
    .default("")
    .meta({ description });
const DNS_LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const flag = (description: string, fallback: boolean) => z.boolean().default(fallback).meta({ description });
const strings = (description: string) => z.record(z.string(), z.string()).default({}).meta({ description });
/** Fields of Kubernetes' own, which the apiserver checks. */
const raw = (description: string, fallback: Record<string, unknown> = {}) =>
  z.record(z.string(), z.unknown()).default(fallback).meta({ description });
const rawList = (description: string) =>
  z.array(z.record(z.string(), z.unknown())).default([]).meta({ description });
const group = <S extends z.core.$ZodLooseShape>(description: string, shape: S) =>
  z
    .strictObject(shape)
    .prefault({} as never)
    .meta({ description });

const quantity = z
  .union([z.string().regex(/^[0-9]+(\.[0-9]+)?([EPTGMk]i?|m)?$/), z.number().min(0)])
  .meta({ description: "A quantity such as 100m or 128Mi." });
const quantities = z
  .strictObject({
    cpu: quantity.optional(),
    memory: quantity.optional(),
    "ephemeral-storage": quantity.optional(),
  })
  .optional();
const variable = z.strictObject({
  name: z.string().min(1),
  value: z.string().optional(),
  valueFrom: z.record(z.string(), z.unknown()).optional(),
});
const toleration = z.strictObject({
  key: z.string().optional(),
  operator: z.enum(["Exists", "Equal"]).optional(),
  value: z.string().optional(),
  effect: z.enum(["NoSchedule", "PreferNoSchedule", "NoExecute"]).optional(),
  tolerationSeconds: z.int().optional(),
});
const mount = z.strictObject({
  name: z.string().min(1),
  mountPath: z.string().min(1),
  subPath: z.string().optional(),
  readOnly: z.boolean().optional(),
});
const named = z.looseObject({ name: z.string().min(1) });
const listOf = <S extends z.ZodType>(item: S, description: string) =>
  z.array(item).default([]).meta({ description });
const duration = (description: string, fallback: string) =>
  z
    .string()
    .regex(/^([0-9]+(ms|s|m|h))*$/, "must be a duration such as 30s")
    .default(fallback)
    .meta({ description });
const probe = (what: string, periodSeconds: number, failureThreshold: number) =>
  group(what, {
    periodSeconds: z.int().min(1).default(periodSeconds).meta({ description: "Seconds between two." }),
    timeoutSeconds: z.int().min(1).default(1).meta({ description: "Seconds that one may take." }),
    failureThreshold: z
      .int()
      .min(1)
      .default(failureThreshold)
      .meta({ description: "So many in a row count." }),
  });

const budget = (description: string) =>
  z
    .union([z.int().min(0), z.string().regex(/^([0-9]+%)?$/)])
    .default("")
    .meta({ description });

const monitor = (kind: string) =>
  group(`${kind} of the Prometheus Operator.`, {
    enabled: flag("Create it.", false),
    namespace: text("Where it is created. Default: the release's namespace."),
    interval: duration("How often it is scraped.", "30s"),
    scrapeTimeout: duration("How long a scrape may take. Default: Prometheus' own.", ""),
    labels: strings("Labels that your Prometheus selects by."),
    relabelings: rawList("Relabelings of targets."),
    metricRelabelings: rawList("Relabelings of series."),
  });

export const chartValues = z.strictObject({
  global: raw("Values of a parent chart; not used here."),
  // Without a value of its own, since that would outdo a parent's tags.
  enabled: z.boolean().optional().meta({
    description: "For the condition of a parent chart that has this one as a dependency; not used here.",
  }),
  nameOverride: name("Name of the chart in names and labels."),
  fullnameOverride: name("Name of everything that is installed. Default: the release's name."),
  commonLabels: strings("Labels of everything that is installed."),

  replicaCount: z.int().min(0).max(9).default(2).meta({
    description: "How many operators. One of them works, the others stand by.",
  }),
  image: group("The operator's image.", {
    repository: z.string().min(1).default("ghcr.io/secretsync/secretsync").meta({
      description: "Registry and name.",
    }),
    tag: text("Tag. Default: the chart's appVersion."),
    digest: z
      .string()
      .regex(/^(sha256:[0-9a-f]{64})?$/, "must be sha256:…")
      .default("")
      .meta({ description: "Digest, sha256:…; wins over the tag." }),
    pullPolicy: z
      .enum(["Always", "IfNotPresent", "Never"])
      .default("IfNotPresent")
      .meta({ description: "When it is pulled." }),
  }),
  imagePullSecrets: listOf(named, "Secrets with which it is pulled."),

  crds: group("The CustomResourceDefinitions.", {
    enabled: flag("Install and upgrade them. False for a second install in the same cluster.", true),
    keep: flag("Keep them, and so every SecretSync, when the release is uninstalled.", true),
  }),
  watchNamespaces: z
    .array(z.string().regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, "must be the name of a namespace"))
    .default([])
    .meta({
      description:
        "Only these namespaces; they must exist. The operator then gets a Role in each instead of rights in all. Empty: the whole cluster.",
    }),
  clusterProviders: group("ClusterSecretProviders.", {
    enabled: flag(
      "Serve them. False with watchNamespaces: the operator has no rights beyond those namespaces.",
      true,
    ),
    credentialSecrets: z
      .array(z.strictObject({ namespace: z.string().min(1), name: z.string().min(1) }))
      .default([])
      .meta({
        description:
          "With watchNamespaces: Secrets elsewhere that auth.secretRef of ClusterSecretProviders names; the operator may get these.",
      }),
    sourceNamespaces: z
      .array(z.string().regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, "must be the name of a namespace"))
      .default([])
      .meta({
        description:
          "Namespaces whose Secrets and ConfigMaps providers of kind kubernetes read. Without watchNamespaces the operator may read Secrets anywhere, so this is needed for ConfigMaps only.",
      }),
  }),
  clusterSecretSyncs: group("ClusterSecretSyncs.", {
    enabled: flag(
      "Serve them: the operator then may write the SecretSyncs that they make. Not with watchNamespaces.",
      true,
    ),
  }),
  serviceAccountTokens: group("Tokens of ServiceAccounts, for providers with a serviceAccountRef.", {
    namespaces: z
      .array(z.string().regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, "must be the name of a namespace"))
      .default([])
      .meta({
        description:
          "Namespaces whose ServiceAccounts providers may name. The operator may then act as any ServiceAccount there. Empty: none.",
      }),
  }),
  fileRoots: z
    .array(z.string().regex(/^\/[^,/][^,]*$/, "must be an absolute path"))
    .default([])
    .meta({
      description:
        "Folders of the operator's pod below which ClusterSecretProviders may read files; mount them by extraVolumes. Empty: none.",
    }),
  allowAmbientIdentity: flag(
    "Lets SecretProviders of namespaces use the operator's own AWS identity. Whoever may write one then reads all that it may read.",
    false,
  ),
  awsRegions: z
    .array(
      z.string().regex(/^[a-z]{2}(-[a-z]+)*(-[0-9]+|-?[*])$/, "must be a region such as eu-west-1, or eu-*"),
    )
    .default([])
    .meta({ description: "AWS regions that providers may name, such as eu-west-1 or eu-*. Empty: any." }),
  concurrent: z
    .int()
    .min(1)
    .max(1000)
    .default(128)
    .meta({ description: "Objects that are reconciled at once." }),
  metricsPerObject: flag(
    "Readiness and last success of each SecretSync as metrics. Switch off in large clusters.",
    true,
  ),
  metrics: group("How metrics are served.", {
    auth: z.enum(["none", "token"]).default("none").meta({
      description:
        "token: who scrapes must show a token of the cluster that may get /metrics, as the ClusterRole RELEASE.NAMESPACE.metrics lets; verdicts hold a minute. Use tlsSecretName with it.",
    }),
    tlsSecretName: z
      .string()
      .regex(/^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)?$/, "must be the name of a Secret")
      .default("")
      .meta({
        description:
          "Secret of type kubernetes.io/tls with which they are served. Empty: plain HTTP, over which tokens can be read on the way. Restart the pods when it is renewed.",
      }),
  }),
  logLevel: z
    .enum(["trace", "debug", "info", "warn", "error"])
    .default("info")
    .meta({ description: "What is logged." }),
  logFormat: z.enum(["json", "pretty"]).default("json").meta({ description: "Form of the log." }),
  extraArgs: z
    .array(z.string().startsWith("--"))
    .default([])
    .meta({ description: "More flags; docs/reference/flags.md lists them." }),
  extraEnv: listOf(variable, "More environment variables, for example AWS_REGION."),
  proxy: group("The HTTP proxy that leads to AWS. The apiserver is asked without it.", {
    httpsProxy: text("Of https:// addresses, for example `http://proxy.example.com:3128`."),
    httpProxy: text("Of http:// addresses."),
    noProxy: text("Hosts that are asked without it, with commas between: .internal,10.0.0.5."),
  }),
  caBundle: group(
    "Certificates of authorities that are trusted beside the usual ones, as of a proxy that looks in.",
    {
      configMapName: text("ConfigMap of the release's namespace that holds them; or secretName."),
      secretName: text("Secret that holds them."),
      key: text("Key in it, with PEM text.", "ca.crt"),
    },
  ),
  extraVolumes: listOf(named, "More volumes of the pod."),
  extraVolumeMounts: listOf(mount, "More mounts of the container."),
  extraObjects: rawList(
    "More objects to install, as they are. Kinds of this chart's own CRDs only once those are installed.",
  ),

  serviceAccount: group("The operator's ServiceAccount.", {
    create: flag("Create it. False: serviceAccount.name must exist.", true),
    name: z
      .string()
      .regex(
        /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)?$/,
        "must be the name of a ServiceAccount; it stands in the admission policies",
      )
      .default("")
      .meta({ description: "Its name. Default: the name of the release." }),
    annotations: strings("For example eks.amazonaws.com/role-arn: the AWS identity of the operator."),
    labels: strings("More labels."),
  }),
  rbac: group("Rights.", {
    create: flag("Create the operator's Roles and bindings.", true),
    aggregateClusterRoles: flag(
      "Let the roles view, edit and admin of namespaces see and write SecretSyncs. View reads no Secret.",
      true,
    ),
  }),
  admissionPolicies: group("ValidatingAdmissionPolicies (Kubernetes 1.30).", {
    operator: group("A fence around the operator itself.", {
      enabled: flag(
        "The operator's ServiceAccount may write only Secrets of its own, keys into others, no types that give power, and nothing of a workload but its own annotations.",
        true,
      ),
    }),
    protectSecrets: group("A fence around the Secrets.", {
      enabled: flag(
        "Only the operator and Kubernetes' own controllers may change or delete Secrets that a SecretSync owns.",
        false,
      ),
      exemptGroups: z
        .array(z.string())
        .default(["system:masters"])
        .meta({ description: "Groups that still may." }),
    }),
    minRefreshInterval: z
      .string()
      .regex(/^(([0-9]+)(s|m|h))*$/, "must be a duration such as 30s")
      .default("")
      .meta({
        description:
          "SecretSyncs that refresh more often are refused, for example 1m; and however often a refresh is asked for, the operator holds to it. Empty: no limit.",
      }),
  }),

  deploymentAnnotations: strings("Annotations of the Deployment."),
  strategy: raw("How an upgrade replaces pods. Default: Kubernetes' own."),
  revisionHistoryLimit: z.int().min(0).default(10).meta({ description: "Old ReplicaSets that are kept." }),
  dnsPolicy: z
    .enum(["", "ClusterFirst", "Default", "None", "ClusterFirstWithHostNet"])
    .default("")
    .meta({ description: "DNS policy of the pods." }),
  dnsConfig: raw("DNS configuration of the pods."),
  startupProbe: probe("Until the operator answers.", 1, 60),
  livenessProbe: probe("Whether the operator must be restarted.", 20, 3),
  readinessProbe: probe("Whether the operator has all that it needs.", 5, 3),
  podAnnotations: strings("Annotations of the pods."),
  podLabels: strings("Labels of the pods."),
  podSecurityContext: raw(
    "Security of the pods; as it is, they run under the restricted Pod Security level.",
    {
      runAsNonRoot: true,
      runAsUser: 65532,
      runAsGroup: 65532,
      seccompProfile: { type: "RuntimeDefault" },
    },
  ),
  securityContext: raw("Security of the container.", {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ["ALL"] },
  }),
  resources: z
    .strictObject({ requests: quantities, limits: quantities })
    .default({ requests: { cpu: "50m", memory: "128Mi" }, limits: { memory: "384Mi" } })
    .meta({ description: `CPU and memory. Measured: ${measuredMemory()}.` }),
  nodeSelector: strings("Nodes that may run it."),
  tolerations: listOf(toleration, "Taints that it tolerates."),
  affinity: raw("Affinity of the pods."),
  topologySpreadConstraints: listOf(
    z.looseObject({
      maxSkew: z.int().min(1),
      topologyKey: z.string().min(1),
      whenUnsatisfiable: z.enum(["DoNotSchedule", "ScheduleAnyway"]),
    }),
    "How pods are spread. Default: over nodes and zones, where that is possible.",
  ),
  priorityClassName: text("Priority class of the pods."),
  podDisruptionBudget: group("PodDisruptionBudget, with two replicas or more.", {
    enabled: flag("Create it: one pod at a time may be evicted.", true),
    minAvailable: budget("So many pods stay, instead of maxUnavailable."),
    maxUnavailable: budget("So many pods may be evicted at once. Default: 1."),
  }),
  networkPolicy: group(
    "NetworkPolicy: nothing comes in but scrapes and probes; DNS and these ports go out.",
    {
      enabled: flag("Create it.", true),
      egressPorts: z.array(z.int().min(1).max(65535)).default([443, 6443]).meta({
        description:
          "TCP ports of the apiserver and of AWS. Add that of a proxy, and 4318 for traces to an OpenTelemetry collector.",
      }),
      dnsPorts: z
        .array(z.int().min(1).max(65535))
        .default([53])
        .meta({ description: "Ports of the cluster's DNS pods, UDP and TCP. OpenShift: [53, 5353]." }),
      egressTo: rawList("Peers that these ports lead to, such as an ipBlock for each. Empty: anywhere."),
      ingressFrom: rawList(
        "Peers that may scrape metrics, such as the namespace of Prometheus. Empty: every pod.",
      ),
      cloudIdentity: flag(
        "Let out what asks the node for an identity: EKS Pod Identity, and instance metadata.",
        true,
      ),
    },
  ),

  resourceQuotas: group(
    "ResourceQuotas: how many objects of the operator a namespace may have. Each is bounded in size.",
    {
      namespaces: z
        .array(z.string().regex(DNS_LABEL, "must be the name of a namespace"))
        .default([])
        .meta({ description: "Namespaces that get one." }),
      secretSyncs: z.int().min(0).default(500).meta({ description: "SecretSyncs in each." }),
      secretProviders: z.int().min(0).default(50).meta({ description: "SecretProviders in each." }),
    },
  ),

  serviceMonitor: monitor("ServiceMonitor"),
  podMonitor: monitor("PodMonitor"),
  prometheusRule: group(
    "Alerts as a PrometheusRule of the Prometheus Operator; docs/runbooks.md tells what to do.",
    {
      enabled: flag("Create it.", false),
      labels: strings("Labels that your Prometheus selects by."),
    },
  ),
  grafanaDashboard: group("The dashboard as a ConfigMap for Grafana's sidecar.", {
    enabled: flag("Create it.", false),
    labels: z
      .record(z.string(), z.string())
      .default({ grafana_dashboard: "1" })
      .meta({ description: "Labels that the sidecar selects by." }),
    annotations: strings("For example grafana_folder."),
  }),
});
