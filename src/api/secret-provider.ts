import * as z from "zod";
import { namespaces, stringList } from "./namespaces.ts";
import { aws, clusterAws } from "./provider-aws.ts";
import { clusterFile } from "./provider-file.ts";
import { clusterKubernetes, kubernetes } from "./provider-kubernetes.ts";
import { withRules, type Rule } from "./rule.ts";

/** The kinds SecretProvider and ClusterSecretProvider: where secrets are, and who may read which. */

/** The stores that there are, as members of a spec. Files of the operator are the admin's to share. */
const members = { aws: aws.optional(), kubernetes: kubernetes.optional() };
const clusterMembers = {
  aws: clusterAws.optional(),
  kubernetes: clusterKubernetes.optional(),
  file: clusterFile.optional(),
};
export type ProviderName = keyof typeof clusterMembers;

/** All members that any of the kinds has. */
export const providerNames = Object.keys(clusterMembers) as readonly ProviderName[];

const limits = z
  .object({
    requestsPerSecond: z
      .int()
      .min(1)
      .max(10000)
      .default(50)
      .meta({ description: "Most API calls a second.", format: "int32" }),
    maxConcurrent: z
      .int()
      .min(1)
      .max(256)
      .default(16)
      .meta({ description: "Most API calls at once.", format: "int32" }),
  })
  .meta({
    description:
      "Limits on calls to the provider, for all objects that use it together. Providers that sign in alike share their calls, and the lowest limits among them hold.",
  });

const inWords = (names: readonly string[], last: string): string =>
  names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} ${last} ${names.at(-1)}`;

/** Exactly one of these members; the others are the other kind's. */
function oneOf(names: readonly string[]): Rule<object> {
  const others = providerNames.filter((name) => !names.includes(name));
  const elsewhere =
    others.length > 0 ? ` (${inWords(others, "and")} can only be set in a ClusterSecretProvider)` : "";
  return {
    cel: `[${names.map((name) => `has(self.${name})`).join(", ")}].filter(x, x).size() == 1`,
    check: (spec) =>
      names.filter((name) => (spec as Record<string, unknown>)[name] !== undefined).length === 1,
    message: `set exactly one provider: ${inWords(names, "or")}${elsewhere}`,
  };
}

export const secretProviderSpec = withRules(
  z
    .object({ ...members, limits: limits.prefault({}) })
    .meta({ description: "Where secrets are and how to sign in." }),
  oneOf(Object.keys(members)),
);

const accessRule = z
  .object({
    namespaces,
    keys: stringList(
      "Keys that may be read, as anchored globs: * stays within a path segment, ** crosses, {{namespace}} is the SecretSync's namespace.",
      "A glob such as prod/{{namespace}}/**.",
      64,
      2048,
    ),
  })
  .meta({ description: "Lets some namespaces read some keys." });

export const clusterSecretProviderSpec = withRules(
  z
    .object({
      ...clusterMembers,
      access: z.array(accessRule).min(1).max(64).meta({
        description: "Who may read what. What no rule allows is refused.",
        "x-kubernetes-list-type": "atomic",
      }),
      limits: limits.prefault({}),
    })
    .meta({ description: "Where secrets are, how to sign in, and who may read what." }),
  oneOf(Object.keys(clusterMembers)),
);

export type SecretProviderSpec = z.output<typeof secretProviderSpec>;
export type ClusterSecretProviderSpec = z.output<typeof clusterSecretProviderSpec>;
export type AccessRule = z.output<typeof accessRule>;
export type ProviderLimits = z.output<typeof limits>;

/** The one member of a spec that passed its rules: which store, and what is said of it. */
export function memberOf(
  spec: SecretProviderSpec | ClusterSecretProviderSpec,
): readonly [ProviderName, unknown] {
  const members: { readonly [name in ProviderName]?: unknown } = spec;
  for (const name of providerNames) if (members[name] !== undefined) return [name, members[name]];
  // The spec's own rule sees to it.
  throw new Error("a provider without a member passed validation");
}
