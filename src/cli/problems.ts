import type * as z from "zod";
import { clusterSecretSyncSpec } from "../api/cluster-secret-sync.ts";
import { API_VERSION, GROUP } from "../api/group.ts";
import { listOf, recordOf, textOf } from "../api/loose.ts";
import { parseSpec } from "../api/parse.ts";
import { clusterSecretProviderSpec, secretProviderSpec } from "../api/secret-provider.ts";
import { boundProblem, providersNamed } from "../api/secret-sync-bounds.ts";
import { secretSyncSpec } from "../api/secret-sync.ts";

/** What this version of the operator refuses, of manifests that another one took. Pure: objects in, sentences out. */

/** An object of any kind, and where it was found. */
export interface Found {
  readonly where: string;
  readonly object: unknown;
}

export interface Problem {
  readonly where: string;
  /** Kind namespace/name. */
  readonly object: string;
  readonly message: string;
}

interface Own extends Found {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  /** undefined for what is no name. */
  readonly name: string | undefined;
  readonly spec: unknown;
}

/** Objects of our kinds among all that were found. */
export const ownObjects = (found: readonly Found[]): readonly Own[] =>
  found.flatMap(({ where, object }) => {
    const { apiVersion, kind, metadata, spec } = recordOf(object);
    const version = textOf(apiVersion);
    if (!version?.startsWith(`${GROUP}/`) || typeof kind !== "string") return [];
    const { namespace, name } = recordOf(metadata);
    return [
      {
        where,
        object,
        apiVersion: version,
        kind,
        namespace: textOf(namespace) ?? "",
        name: textOf(name),
        spec,
      },
    ];
  });

export function problemsOf(own: readonly Own[]): readonly Problem[] {
  const globs = globsByProvider(own);
  return own.flatMap((each) =>
    messagesOf(each, globs).map((message) => ({
      where: each.where,
      object: `${each.kind} ${each.namespace ? `${each.namespace}/` : ""}${each.name ?? "?"}`,
      message,
    })),
  );
}

const schemas: Readonly<Record<string, z.ZodType>> = {
  SecretSync: secretSyncSpec,
  SecretProvider: secretProviderSpec,
  ClusterSecretProvider: clusterSecretProviderSpec,
  ClusterSecretSync: clusterSecretSyncSpec,
};

function messagesOf(own: Own, globs: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const { kind, name, spec, apiVersion } = own;
  if (name === undefined) return ["metadata.name is no text; is this a template? render it first"];
  const schema = Object.hasOwn(schemas, kind) ? schemas[kind] : undefined;
  if (!schema) return [`kind: ${kind} is none of ${Object.keys(schemas).join(", ")}`];
  if (apiVersion !== API_VERSION) return [`apiVersion: ${apiVersion} isn't served; use ${API_VERSION}`];
  if (kind !== "SecretSync") return fieldProblems(schema, spec);
  const bound = boundProblem(spec, Buffer.byteLength(JSON.stringify(spec ?? {})));
  // Parsing compiles its patterns, which may be too large for that.
  if (bound) return [bound.message];
  return [...fieldProblems(schema, spec), ...unreachableArns(spec, globs)];
}

function fieldProblems(schema: z.ZodType, spec: unknown): readonly string[] {
  const parsed = parseSpec(schema, spec);
  return parsed.ok ? [...unknownFields(spec, parsed.value, "spec")] : parsed.problems;
}

/** What parsing passed over: the apiserver refuses it, or drops it. */
function* unknownFields(given: unknown, taken: unknown, path: string): Iterable<string> {
  if (Array.isArray(given)) {
    for (const [index, item] of given.entries())
      yield* unknownFields(item, listOf(taken)[index], `${path}[${index}]`);
    return;
  }
  const known = recordOf(taken);
  for (const [name, value] of Object.entries(recordOf(given))) {
    if (Object.hasOwn(known, name)) yield* unknownFields(value, known[name], `${path}.${name}`);
    else yield `${path}.${name}: there is no such field; correct its name or its place`;
  }
}

/** Globs of the ClusterSecretProviders that are among the objects. */
function globsByProvider(own: readonly Own[]): ReadonlyMap<string, readonly string[]> {
  return new Map(
    own
      .filter(({ kind }) => kind === "ClusterSecretProvider")
      .map(({ name = "", spec }) => [
        name,
        listOf(recordOf(spec)["access"])
          .flatMap((rule) => listOf(recordOf(rule)["keys"]))
          .filter((glob) => typeof glob === "string"),
      ]),
  );
}

/** A glob matches an ARN only if it says so. */
function* unreachableArns(spec: unknown, globs: ReadonlyMap<string, readonly string[]>): Iterable<string> {
  const { providerRef, data, dataFrom } = recordOf(spec);
  for (const [field, list] of [
    ["data", data],
    ["dataFrom", dataFrom],
  ] as const) {
    for (const [index, entry] of listOf(list).entries()) {
      const { remoteRef, extract, providerRef: own } = recordOf(entry);
      const key = textOf(recordOf(remoteRef ?? extract)["key"], 2_048);
      const [provider] = providersNamed({ providerRef: own ?? providerRef });
      if (!key?.startsWith("arn:") || provider?.kind !== "ClusterSecretProvider") continue;
      const known = globs.get(provider.name);
      if (known && !known.some((glob) => glob.startsWith("arn:")))
        yield `spec.${field}[${index}]: ${key} is an ARN, and no glob in spec.access of ClusterSecretProvider/${provider.name} begins with arn:; add one, or use the secret's name`;
    }
  }
}
