import * as z from "zod";
import { clusterSecretSyncSpec, clusterSecretSyncStatus } from "./cluster-secret-sync.ts";
import { API_VERSION, GROUP, VERSION } from "./group.ts";
import { clusterSecretProviderSpec, secretProviderSpec } from "./secret-provider.ts";
import { secretSyncSpec } from "./secret-sync.ts";
import { secretSyncStatus } from "./secret-sync-status.ts";

/**
 * The kinds as CustomResourceDefinitions. Structural schema:
 * https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
 */

interface Column {
  readonly name: string;
  readonly type: "string" | "date" | "integer";
  readonly jsonPath: string;
  readonly description: string;
  /** Shown with -o wide only. What is the apiserver's default isn't written: tools that compare would see a difference. */
  readonly priority?: 1;
}

export interface Kind {
  readonly kind: string;
  readonly plural: string;
  readonly shortNames: readonly string[];
  readonly scope: "Namespaced" | "Cluster";
  readonly description: string;
  readonly spec: z.ZodType;
  readonly status?: z.ZodType;
  readonly columns: readonly Column[];
}

const age: Column = {
  name: "Age",
  type: "date",
  jsonPath: ".metadata.creationTimestamp",
  description: "Time since creation.",
};

const ready = (field: string) => `.status.conditions[?(@.type=="Ready")].${field}`;

const providerColumns: readonly Column[] = [
  {
    name: "Service",
    type: "string",
    jsonPath: ".spec.aws.service",
    description: "The service that is read.",
  },
  {
    name: "Regions",
    type: "string",
    jsonPath: ".spec.aws.regions",
    description: "The regions, preferred first.",
  },
  age,
];

export const kinds: readonly Kind[] = [
  {
    kind: "SecretSync",
    plural: "secretsyncs",
    shortNames: ["ssync"],
    scope: "Namespaced",
    description:
      "Syncs secrets from a provider into a Kubernetes Secret and restarts the workloads that consume it.",
    spec: secretSyncSpec,
    status: secretSyncStatus,
    columns: [
      {
        name: "Ready",
        type: "string",
        jsonPath: ready("status"),
        description: "Whether the Secret is as wanted.",
      },
      { name: "Status", type: "string", jsonPath: ready("reason"), description: "Why." },
      {
        name: "Provider",
        type: "string",
        jsonPath: ".status.provider",
        description: "The provider objects in use.",
      },
      {
        name: "Secret",
        type: "string",
        jsonPath: ".status.secretRef.name",
        description: "The Secret that is written.",
      },
      {
        name: "Last Change",
        type: "date",
        jsonPath: ".status.lastChangeTime",
        description: "When the content last changed.",
      },
      age,
      {
        name: "Restart",
        type: "string",
        jsonPath: `.status.conditions[?(@.type=="Restarted")].reason`,
        description: "Whether workloads were restarted for the last change, or wait for somebody.",
        priority: 1,
      },
      {
        name: "Version",
        type: "string",
        jsonPath: ".status.sources[0].versionId",
        description: "Version of the first source.",
        priority: 1,
      },
      {
        name: "Message",
        type: "string",
        jsonPath: ready("message"),
        description: "What to know or to do.",
        priority: 1,
      },
    ],
  },
  {
    kind: "ClusterSecretSync",
    plural: "clustersecretsyncs",
    shortNames: ["cssync"],
    scope: "Cluster",
    description: "A SecretSync for each of many namespaces, also for those that come later.",
    spec: clusterSecretSyncSpec,
    status: clusterSecretSyncStatus,
    columns: [
      {
        name: "Ready",
        type: "string",
        jsonPath: ready("status"),
        description: "Whether all namespaces have what is wanted.",
      },
      { name: "Status", type: "string", jsonPath: ready("reason"), description: "Why." },
      {
        name: "Namespaces",
        type: "integer",
        jsonPath: ".status.namespaces.matched",
        description: "Namespaces that are meant.",
      },
      {
        name: "Failed",
        type: "integer",
        jsonPath: ".status.namespaces.failed",
        description: "Of these, those that fail.",
      },
      age,
      {
        name: "Message",
        type: "string",
        jsonPath: ready("message"),
        description: "What to know or to do.",
        priority: 1,
      },
    ],
  },
  {
    kind: "SecretProvider",
    plural: "secretproviders",
    shortNames: ["sprov"],
    scope: "Namespaced",
    description: "A secret store for the SecretSyncs of one namespace.",
    spec: secretProviderSpec,
    columns: providerColumns,
  },
  {
    kind: "ClusterSecretProvider",
    plural: "clustersecretproviders",
    shortNames: ["csprov"],
    scope: "Cluster",
    description: "A secret store for the whole cluster, which says who may read what.",
    spec: clusterSecretProviderSpec,
    columns: providerColumns,
  },
];

export type JsonSchema = { [key: string]: unknown };

/** What Zod emits, turned into what a CRD takes. Throws on anything that a CRD can't say. */
export function structuralSchema(schema: z.ZodType): JsonSchema {
  const emitted = z.toJSONSchema(schema, {
    target: "openapi-3.0",
    io: "input",
    reused: "inline",
    unrepresentable: "throw",
  });
  return structural(emitted, "spec");
}

function structural(node: JsonSchema, path: string): JsonSchema {
  for (const forbidden of ["oneOf", "anyOf", "allOf", "not", "$ref"]) {
    if (forbidden in node)
      throw new Error(`${path}: ${forbidden} is not structural; use optional members and a rule`);
  }
  if (typeof node["description"] !== "string") throw new Error(`${path}: a description is missing`);
  const kept = Object.entries(withoutDefaultBelowList(node, path)).filter(([key]) => !dropped.has(key));
  const result: JsonSchema = {};
  for (const [key, value] of kept) {
    if (key === "properties") {
      result[key] = Object.fromEntries(
        Object.entries(value as Record<string, JsonSchema>).map(([name, child]) => [
          name,
          structural(child, `${path}.${name}`),
        ]),
      );
    } else if (key === "items") {
      result[key] = structural({ description: "An item.", ...(value as JsonSchema) }, `${path}[]`);
    } else if (key === "additionalProperties" && typeof value === "object") {
      result[key] = structural({ description: "A value.", ...(value as JsonSchema) }, `${path}{}`);
    } else if (!(key === "minimum" && value === Number.MIN_SAFE_INTEGER)) {
      if (!(key === "maximum" && value === Number.MAX_SAFE_INTEGER)) result[key] = value;
    }
  }
  return result;
}

/**
 * What the apiserver fills in below a list isn't in the manifest, and lists are compared as a whole: kubectl apply would say
 * `configured` and Argo CD OutOfSync for ever. So these defaults are the operator's, and the description tells them.
 */
function withoutDefaultBelowList(node: JsonSchema, path: string): JsonSchema {
  const { default: value, description, ...rest } = node;
  if (value === undefined || !path.includes("[]")) return node;
  return { description: `${String(description)} Default: ${value as string}.`, ...rest };
}

/** `propertyNames` is not a CRD keyword, and an `additionalProperties: false` would forbid pruning. */
const dropped = new Set(["$schema", "propertyNames"]);

/** A CustomResourceDefinition, ready to be written as YAML. */
export function customResourceDefinition(kind: Kind): JsonSchema {
  const properties: JsonSchema = {
    apiVersion: { type: "string", description: `Always ${API_VERSION}.` },
    kind: { type: "string", description: `Always ${kind.kind}.` },
    metadata: { type: "object" },
    spec: structuralSchema(kind.spec),
  };
  // As long as the operator hasn't looked, kstatus must not take an object without conditions for one that is fine:
  // https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md
  if (kind.status)
    properties["status"] = { ...structuralSchema(kind.status), default: { observedGeneration: -1 } };
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${kind.plural}.${GROUP}` },
    spec: {
      group: GROUP,
      names: {
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        plural: kind.plural,
        singular: kind.kind.toLowerCase(),
        shortNames: kind.shortNames,
        // Not the name of a kind: kubectl would take `secretsync NAME` for all kinds.
        categories: ["secretsync-all"],
      },
      scope: kind.scope,
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          additionalPrinterColumns: kind.columns,
          schema: {
            openAPIV3Schema: {
              type: "object",
              description: kind.description,
              required: ["spec"],
              properties,
            },
          },
          ...(kind.status ? { subresources: { status: {} } } : {}),
        },
      ],
    },
  };
}
