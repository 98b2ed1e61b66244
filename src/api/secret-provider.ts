import * as z from "zod";
import { mapOf, objectName } from "./fields.ts";
import { form, withRules } from "./rule.ts";

/** The kinds SecretProvider and ClusterSecretProvider: where secrets are, and who may read which. */

const keyOf = (what: string) => z.string().min(1).max(253).meta({ description: what });

const staticKeys = {
  name: objectName("Name of the Secret that holds the access key."),
  accessKeyIDKey: keyOf("Key of the access key ID.").default("accessKeyID"),
  secretAccessKeyKey: keyOf("Key of the secret access key.").default("secretAccessKey"),
  sessionTokenKey: keyOf("Key of the session token, for temporary credentials.").optional(),
};

const namespacedAuth = z
  .object({
    secretRef: z
      .object(staticKeys)
      .optional()
      .meta({ description: "Static keys from a Secret of this namespace." }),
  })
  .meta({
    description:
      "How to sign in. Empty: the operator's own identity, which the operator must allow by a flag.",
  });

const clusterAuth = z
  .object({
    secretRef: z
      .object({ ...staticKeys, namespace: objectName("Namespace of that Secret.") })
      .optional()
      .meta({ description: "Static keys from a Secret." }),
  })
  .meta({
    description: "How to sign in. Empty: the operator's own identity, by the AWS SDK's default chain.",
  });

const awsFields = {
  service: z
    .enum(["SecretsManager"])
    .default("SecretsManager")
    .meta({ description: "The AWS service to read." }),
  regions: z
    .array(
      withRules(
        z.string().max(32).meta({ description: "An AWS region such as eu-west-1." }),
        form(/^[a-z]{2}(-[a-z]+)+-[0-9]+$/, "must be an AWS region such as eu-west-1"),
      ),
    )
    .min(1)
    .max(1)
    .meta({ description: "The AWS region.", "x-kubernetes-list-type": "set" }),
};

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

const oneProvider = {
  cel: "has(self.aws)",
  check: (spec: { aws?: unknown }) => spec.aws !== undefined,
  message: "set exactly one provider: aws",
};

export const secretProviderSpec = withRules(
  z
    .object({
      aws: z
        .object({ ...awsFields, auth: namespacedAuth.prefault({}) })
        .optional()
        .meta({ description: "AWS Secrets Manager." }),
      limits: limits.prefault({}),
    })
    .meta({ description: "Where secrets are and how to sign in." }),
  oneProvider,
);

const stringList = (description: string, item: string, max: number, itemMax: number) =>
  z
    .array(z.string().min(1).max(itemMax).meta({ description: item }))
    .min(1)
    .max(max)
    .meta({
      description,
      "x-kubernetes-list-type": "atomic",
    });

const namespaces = withRules(
  z
    .object({
      all: z.literal(true).optional().meta({ description: "Every namespace." }),
      names: stringList("These namespaces.", "Name of a namespace.", 256, 63).optional(),
      selector: z
        .object({
          matchLabels: mapOf(z.string().max(317), z.string().max(63), {
            least: 1,
            most: 16,
            description: "Labels that the namespace must carry, all of them.",
          }),
        })
        .optional()
        .meta({ description: "Namespaces with these labels." }),
    })
    .meta({ description: "Which namespaces." }),
  {
    cel: "[has(self.all), has(self.names), has(self.selector)].filter(x, x).size() == 1",
    check: (n) => [n.all, n.names, n.selector].filter((member) => member !== undefined).length === 1,
    message: "set exactly one of all, names and selector",
  },
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
      aws: z
        .object({
          ...awsFields,
          auth: clusterAuth.prefault({}),
          endpoint: withRules(
            z
              .string()
              .min(1)
              .max(512)
              .meta({ description: "URL of the service, when it isn't the region's public one." }),
            {
              cel: "isURL(self) && (self.startsWith('https://') || self.startsWith('http://'))",
              check: (text) => URL.canParse(text) && /^https?:\/\//.test(text),
              message: "must be a URL such as https://vpce-1.secretsmanager.eu-west-1.vpce.amazonaws.com",
            },
          ).optional(),
        })
        .optional()
        .meta({ description: "AWS Secrets Manager." }),
      access: z.array(accessRule).min(1).max(64).meta({
        description: "Who may read what. What no rule allows is refused.",
        "x-kubernetes-list-type": "atomic",
      }),
      limits: limits.prefault({}),
    })
    .meta({ description: "Where secrets are, how to sign in, and who may read what." }),
  oneProvider,
);

export type SecretProviderSpec = z.output<typeof secretProviderSpec>;
export type ClusterSecretProviderSpec = z.output<typeof clusterSecretProviderSpec>;
export type AccessRule = z.output<typeof accessRule>;
export type ProviderLimits = z.output<typeof limits>;
