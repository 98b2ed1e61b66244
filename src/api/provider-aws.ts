import * as z from "zod";
import { objectName } from "./fields.ts";
import { form, withRules } from "./rule.ts";

/** AWS, as a member of a provider's spec. */

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

export const aws = z
  .object({ ...awsFields, auth: namespacedAuth.prefault({}) })
  .meta({ description: "AWS Secrets Manager." });

export const clusterAws = z
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
  .meta({ description: "AWS Secrets Manager." });

export type AwsSpec = z.output<typeof clusterAws> | z.output<typeof aws>;
