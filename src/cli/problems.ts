import { listOf, recordOf, textOf } from "../api/loose.ts";
import { parseSpec } from "../api/parse.ts";
import { clusterSecretProviderSpec, secretProviderSpec } from "../api/secret-provider.ts";
import { parseSync, providersNamed } from "../api/secret-sync-bounds.ts";
import { GROUP } from "../api/group.ts";

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
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly spec: unknown;
}

/** Objects of our kinds among all that were found. */
export const ownObjects = (found: readonly Found[]): readonly Own[] =>
  found.flatMap(({ where, object }) => {
    const { apiVersion, kind, metadata, spec } = recordOf(object);
    if (!textOf(apiVersion)?.startsWith(`${GROUP}/`) || typeof kind !== "string") return [];
    const { namespace, name } = recordOf(metadata);
    return [{ where, object, kind, namespace: textOf(namespace) ?? "", name: textOf(name) ?? "?", spec }];
  });

export function problemsOf(own: readonly Own[]): readonly Problem[] {
  const globs = globsByProvider(own);
  return own.flatMap((each) =>
    messagesOf(each, globs).map((message) => ({
      where: each.where,
      object: `${each.kind} ${each.namespace ? `${each.namespace}/` : ""}${each.name}`,
      message,
    })),
  );
}

function messagesOf(own: Own, globs: ReadonlyMap<string, readonly string[]>): readonly string[] {
  switch (own.kind) {
    case "SecretSync": {
      const parsed = parseSync(own.spec, Buffer.byteLength(JSON.stringify(own.spec ?? {})));
      return [...(parsed.ok ? [] : [parsed.failure.message]), ...unreachableArns(own.spec, globs)];
    }
    case "SecretProvider": {
      const parsed = parseSpec(secretProviderSpec, own.spec);
      return parsed.ok ? [] : parsed.problems;
    }
    case "ClusterSecretProvider": {
      const parsed = parseSpec(clusterSecretProviderSpec, own.spec);
      return parsed.ok ? [] : parsed.problems;
    }
    default:
      return [`${own.kind} is no kind of ${GROUP}`];
  }
}

/** Globs of the ClusterSecretProviders that are among the objects. */
function globsByProvider(own: readonly Own[]): ReadonlyMap<string, readonly string[]> {
  return new Map(
    own
      .filter(({ kind }) => kind === "ClusterSecretProvider")
      .map(({ name, spec }) => [
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
