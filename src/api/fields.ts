import * as z from "zod";
import { DURATION, parseDuration } from "./duration.ts";
import {
  compilePattern,
  isModest,
  LARGEST_PATTERN,
  MODEST_REPETITION,
  patternSize,
} from "./regular-expression.ts";
import { form, matches, withRules, type Rule } from "./rule.ts";

/** Field types that several kinds share. Bounds keep the CEL cost of the CRDs within the apiserver's budget. */

const DNS_SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/** Whether the apiserver takes the text as a name of most kinds. */
export const isObjectName = (text: string): boolean => text.length <= 253 && DNS_SUBDOMAIN.test(text);

/** https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ */
export const objectName = (description: string) =>
  withRules(
    z.string().min(1).max(253).meta({ description }),
    form(
      DNS_SUBDOMAIN,
      "a name consists of lower-case letters, digits, '-' and '.', and starts and ends with a letter or digit",
    ),
  );

/** A key of Secret.data: https://kubernetes.io/docs/concepts/configuration/secret/#restriction-names-data */
const SECRET_KEY = /^[-._a-zA-Z0-9]+$/;
const SECRET_KEY_MAX = 253;

/** Whether the apiserver takes the text as a key of Secret.data. */
export const isSecretKey = (text: string): boolean =>
  text.length <= SECRET_KEY_MAX && SECRET_KEY.test(text) && text !== "." && !text.startsWith("..");

export const secretKey = (description: string) =>
  withRules(
    z.string().min(1).max(SECRET_KEY_MAX).meta({ description }),
    form(SECRET_KEY, "a Secret key consists of letters, digits, '-', '_' and '.'"),
    {
      cel: "self != '.' && !self.startsWith('..')",
      check: (key) => key !== "." && !key.startsWith(".."),
      message: "a Secret key can't be '.' or start with '..'",
    },
  );

export const regularExpression = (description: string) =>
  withRules(
    z.string().min(1).max(512).meta({ description }),
    {
      cel: `!self.matches('${MODEST_REPETITION}')`,
      check: isModest,
      message: "counted repetitions such as [a-z]{2,10} may go up to 99, and not follow a group",
    },
    {
      // \Q\E is nothing, so what is counted before it would be counted once more behind it.
      cel: `!${matches("self", /\\Q/)}`,
      check: (source) => !source.includes("\\Q"),
      message: "\\Q can't be used; put a \\ before each sign that shall stand for itself",
    },
    {
      // An invalid pattern makes matches() an evaluation error; both sides must be errors, since
      // CEL's || forgives one.
      cel: "''.matches(self) || !''.matches(self)",
      // What is too large is not compiled: parseSpec tells that, with the size.
      check: (source) => patternSize(source) > LARGEST_PATTERN || compilePattern(source) !== undefined,
      message: "must be a valid RE2 regular expression",
    },
  );

export const goDuration = (description: string) =>
  withRules(
    z.string().max(32).meta({ description }),
    form(DURATION, "must be a duration such as 30s, 15m or 1h30m"),
    {
      cel: `!${matches("self", DURATION)} || duration(self) == duration('0s') || duration(self) >= duration('1s')`,
      check: (text) => {
        const milliseconds = parseDuration(text);
        return milliseconds === undefined || milliseconds === 0 || milliseconds >= 1_000;
      },
      message: "must be 0s, or a second or more",
    },
  );

/** Names of labels and annotations: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/ */
const QUALIFIED_NAME = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const LABEL_VALUE = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;

/** A map with so many members at most; Zod itself doesn't count them. */
export const mapOf = <V extends z.ZodType>(
  key: z.ZodString,
  value: V,
  { least = 0, most, description }: { least?: number; most: number; description: string },
) =>
  z
    .record(key, value)
    .refine((map) => Object.keys(map).length >= least, { message: `must have at least ${least} members` })
    .refine((map) => Object.keys(map).length <= most, { message: `must have at most ${most} members` })
    .meta({ description, ...(least > 0 ? { minProperties: least } : {}), maxProperties: most });

const metadataMap = <V extends z.ZodType>(
  value: V,
  description: string,
  ...more: readonly Rule<Record<string, z.output<V>>>[]
) =>
  withRules(
    mapOf(z.string().max(317), value, { most: 32, description }),
    {
      cel: `self.all(name, ${matches("name", QUALIFIED_NAME)})`,
      check: (map) => Object.keys(map).every((name) => QUALIFIED_NAME.test(name)),
      message: "each name must be a qualified name such as team or example.com/team",
    },
    {
      cel: "self.all(name, !name.startsWith('secretsync.dev/'))",
      check: (map) => Object.keys(map).every((name) => !name.startsWith("secretsync.dev/")),
      message: "names that start with secretsync.dev/ are the operator's own",
    },
    {
      cel: "self.all(name, !name.startsWith('kubernetes.io/service-account.'))",
      check: (map) => Object.keys(map).every((name) => !name.startsWith("kubernetes.io/service-account.")),
      message: "kubernetes.io/service-account.* names would mint a ServiceAccount token",
    },
    ...more,
  );

const labelValue = withRules(
  z.string().max(63),
  form(
    LABEL_VALUE,
    "a label's value consists of letters, digits, '-', '_' and '.', and starts and ends with a letter or digit",
  ),
);

export const labels = (description: string) =>
  metadataMap(labelValue, description, {
    cel: "!('owner' in self) || self['owner'] != 'helm'",
    check: (map) => !Object.hasOwn(map, "owner") || map["owner"] !== "helm",
    message: "owner=helm would turn the Secret into a Helm release",
  });

export const annotations = (description: string) => metadataMap(z.string().max(8192), description);

const condition = z
  .object({
    type: z
      .string()
      .max(316)
      .meta({ description: "Ready always; Reconciling, Stalled, Stale and Restarted while they hold." }),
    status: z.enum(["True", "False", "Unknown"]).meta({ description: "Whether the condition holds." }),
    reason: z
      .string()
      .min(1)
      .max(64)
      .meta({ description: "One stable word for each cause; docs/reference/reasons.md lists them." }),
    message: z
      .string()
      .max(32768)
      .meta({ description: "Where, what and what to do. Never holds a secret value." }),
    lastTransitionTime: z
      .string()
      .meta({ description: "When the status last changed.", format: "date-time" }),
    observedGeneration: z
      .int()
      .optional()
      .meta({ description: "The generation of spec that this is about.", format: "int64" }),
  })
  .meta({ description: "One aspect of the object's state." });
export type Condition = z.output<typeof condition>;

/** `description`: which there are. */
export const conditions = (description: string) =>
  z
    .array(condition)
    .optional()
    .meta({ description, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"] });

export const observedGeneration = z
  .int()
  .optional()
  .meta({ description: "The generation of spec that this status is about.", format: "int64" });
