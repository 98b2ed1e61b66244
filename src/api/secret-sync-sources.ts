import * as z from "zod";
import { mapOf, objectName, regularExpression, secretKey } from "./fields.ts";
import { form, matches, withRules } from "./rule.ts";

/** What a SecretSync reads: spec.data and spec.dataFrom. */

export const providerRef = (description: string) =>
  z
    .object({
      kind: z.enum(["SecretProvider", "ClusterSecretProvider"]).default("SecretProvider").meta({
        description: "SecretProvider (in this namespace) or ClusterSecretProvider.",
      }),
      name: objectName("Name of the provider object."),
    })
    .meta({ description });

/**
 * What names and ARNs consist of: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html, and
 * the "!" of secrets that a service owns, such as rds!db-1. A name with anything else would have AWS refuse a whole batch.
 */
const REMOTE_KEY = /^[A-Za-z0-9/_+=.@!:-]+$/;

const remoteKey = withRules(
  z.string().min(1).max(2048).meta({
    description: "Name or ARN of the secret in the provider, for example prod/shop/orders.",
  }),
  form(REMOTE_KEY, "a key consists of letters, digits, '/', '_', '+', '=', '.', '@', '!', ':' and '-'"),
);

const property = z.string().min(1).max(512).meta({
  description:
    "Member of a JSON secret. Dots walk down, and a number picks an item: users.0.name. Names may hold dots, the longest that fits comes first; \\. is a dot of a name for certain. What is null counts as absent.",
});

const decodingStrategy = z.enum(["None", "Base64", "Base64URL", "Auto"]).default("None").meta({
  description:
    "How to decode the value. Base64 may be unpadded and may have line breaks. Auto decodes Base64 that comes out as text, that is padded, or that has 64 characters or more with lower and upper case letters and digits; anything else stays as it is, such as the word password, which is valid Base64 too.",
});

const versionFields = {
  version: z.string().min(1).max(64).optional().meta({
    description: "Exact version id. The value then never changes.",
  }),
  versionStage: z.string().min(1).max(256).optional().meta({
    description: "Staging label such as AWSPREVIOUS. Default: the provider's current version.",
  }),
};

const oneVersion = {
  cel: "!(has(self.version) && has(self.versionStage))",
  check: (ref: { version?: string | undefined; versionStage?: string | undefined }) =>
    ref.version === undefined || ref.versionStage === undefined,
  message: "set version or versionStage, not both",
};

const remoteRef = withRules(
  z
    .object({ key: remoteKey, property: property.optional(), ...versionFields, decodingStrategy })
    .meta({ description: "Where the value is." }),
  oneVersion,
);

export const dataEntry = withRules(
  z
    .object({
      secretKey: secretKey("Key in the Kubernetes Secret."),
      remoteRef,
      providerRef: providerRef("Provider of this entry, when it is not spec.providerRef.").optional(),
      optional: z.boolean().optional().meta({
        description:
          "True: a secret or property that doesn't exist leaves this key out. Default: it is an error.",
      }),
      default: z.string().max(4096).optional().meta({
        description:
          "Value when the secret or property doesn't exist. It is stored in the manifest: nothing secret here.",
      }),
    })
    .meta({ description: "One key of the Secret." }),
  {
    cel: "!(has(self.optional) && self.optional && has(self.default))",
    check: (entry) => entry.optional !== true || entry.default === undefined,
    message: "set optional or default, not both",
  },
);

/**
 * Targets that name a group which can't be there: $1_x, a number where the pattern has no parenthesis, a name where it names no
 * group. CEL may not do more work than that; what else is wrong the operator tells by InvalidSpec. $$ is a dollar sign.
 */
const BEFORE = String.raw`(?:^|[^$])(?:\$\$)*`;
const NUMBER_AND_TEXT = new RegExp(String.raw`${BEFORE}\$[0-9]+[A-Za-z_]`);
const NUMBER = new RegExp(String.raw`${BEFORE}\$\{?[1-9]`);
const NAME = new RegExp(String.raw`${BEFORE}\$(?:[A-Za-z_]|\{[A-Za-z_0-9]*[A-Za-z_])`);

const groupsMayExist = {
  cel: `!${matches("self.target", NUMBER_AND_TEXT)} && (self.source.contains('(') || !${matches("self.target", NUMBER)}) && (self.source.contains('(?P<') || self.source.contains('(?<') || !${matches("self.target", NAME)})`,
  check: ({ source, target }: { readonly source: string; readonly target: string }) =>
    !NUMBER_AND_TEXT.test(target) &&
    (source.includes("(") || !NUMBER.test(target)) &&
    (/\(\?P?</.test(source) || !NAME.test(target)),
  message:
    "the target names a group that the pattern doesn't have; write ${1}_x where text follows a group, and $$ for a dollar sign",
};

const rewrite = z
  .array(
    z
      .object({
        regexp: withRules(
          z
            .object({
              source: regularExpression("RE2 pattern that is searched in each name."),
              target: z.string().max(512).meta({
                description:
                  "Replacement of every match, as in Go: $1, ${1} and ${name} are its groups, $$ is a dollar sign. A name is as long as it can be: write ${1}_x where text follows.",
              }),
            })
            .meta({ description: "Search and replace." }),
          groupsMayExist,
        ),
      })
      .meta({ description: "One step." }),
  )
  .max(16)
  .optional()
  .meta({ description: "Steps that rename the keys found, in order." });

const extract = withRules(
  z
    .object({ key: remoteKey, property: property.optional(), ...versionFields, decodingStrategy })
    .meta({ description: "Every member of a JSON object becomes a key." }),
  oneVersion,
);

const find = withRules(
  z
    .object({
      path: z.string().min(1).max(2048).optional().meta({
        description: "Only secrets whose name starts with this, for example prod/shop/.",
      }),
      name: z
        .object({ regexp: regularExpression("RE2 pattern that must match somewhere in the name.") })
        .optional()
        .meta({ description: "Only secrets with such a name." }),
      tags: mapOf(z.string().max(128), z.string().max(256), {
        most: 16,
        description: "Only secrets that carry all of these tags, exactly.",
      }).optional(),
      decodingStrategy,
    })
    .meta({
      description:
        "Every secret that matches all of path, name and tags becomes a key. Characters that a Secret key can't hold become _.",
    }),
  {
    cel: "has(self.path) || has(self.name) || (has(self.tags) && size(self.tags) > 0)",
    check: (f) => f.path !== undefined || f.name !== undefined || Object.keys(f.tags ?? {}).length > 0,
    message: "set at least one of path, name and tags; an empty find would read everything",
  },
);

export const dataFromEntry = withRules(
  z
    .object({
      extract: extract.optional(),
      find: find.optional(),
      rewrite,
      providerRef: providerRef("Provider of this entry, when it is not spec.providerRef.").optional(),
      optional: z.boolean().optional().meta({
        description:
          "True: a secret that doesn't exist, or a find without a match, adds no keys. Default: it is an error.",
      }),
    })
    .meta({ description: "Many keys at once." }),
  {
    cel: "has(self.extract) != has(self.find)",
    check: (entry) => (entry.extract === undefined) !== (entry.find === undefined),
    message: "set exactly one of extract and find",
  },
);

export type DataEntry = z.output<typeof dataEntry>;
export type DataFromEntry = z.output<typeof dataFromEntry>;
export type DecodingStrategy = z.output<typeof decodingStrategy>;
export type ProviderRef = z.output<ReturnType<typeof providerRef>>;
