import * as z from "zod";
import { mapOf } from "./fields.ts";
import { withRules } from "./rule.ts";

/** Which namespaces somebody means. */

export const stringList = (description: string, item: string, max: number, itemMax: number) =>
  z
    .array(z.string().min(1).max(itemMax).meta({ description: item }))
    .min(1)
    .max(max)
    .meta({
      description,
      "x-kubernetes-list-type": "atomic",
    });

const labelName = "Name of a label; kubernetes.io/metadata.name is the namespace's own name.";

const expression = withRules(
  z
    .object({
      key: z.string().min(1).max(317).meta({ description: labelName }),
      operator: z.enum(["In", "NotIn", "Exists", "DoesNotExist"]).meta({
        description:
          "In: its value is one of values. NotIn: it isn't, or there is no such label. Exists and DoesNotExist: whatever its value.",
      }),
      values: z
        .array(z.string().max(63).meta({ description: "A value." }))
        .min(1)
        .max(64)
        .optional()
        .meta({ description: "For In and NotIn.", "x-kubernetes-list-type": "atomic" }),
    })
    .meta({ description: "A condition on one label." }),
  {
    cel: "has(self.values) == (self.operator in ['In', 'NotIn'])",
    check: ({ operator, values }) => (values !== undefined) === ["In", "NotIn"].includes(operator),
    message: "In and NotIn need values; Exists and DoesNotExist have none",
  },
);

/** https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#resources-that-support-set-based-requirements */
const selector = withRules(
  z
    .object({
      matchLabels: mapOf(z.string().max(317), z.string().max(63), {
        least: 1,
        most: 16,
        description: "Labels that the namespace must carry, all of them.",
      }).optional(),
      matchExpressions: z.array(expression).min(1).max(16).optional().meta({
        description: "Conditions that the namespace's labels must meet, all of them.",
        "x-kubernetes-list-type": "atomic",
      }),
    })
    .meta({ description: "Labels." }),
  {
    cel: "has(self.matchLabels) || has(self.matchExpressions)",
    check: (s) => s.matchLabels !== undefined || s.matchExpressions !== undefined,
    message: "set matchLabels, matchExpressions or both",
  },
);

export const namespaces = withRules(
  z
    .object({
      all: z.literal(true).optional().meta({ description: "Every namespace." }),
      names: stringList("These namespaces.", "Name of a namespace.", 256, 63).optional(),
      selector: selector
        .optional()
        .meta({ ...selector.meta(), description: "Namespaces with these labels." }),
    })
    .meta({ description: "Which namespaces." }),
  {
    cel: "[has(self.all), has(self.names), has(self.selector)].filter(x, x).size() == 1",
    check: (n) => [n.all, n.names, n.selector].filter((member) => member !== undefined).length === 1,
    message: "set exactly one of all, names and selector",
  },
);

export type LabelSelector = z.output<typeof selector>;
export type Namespaces = z.output<typeof namespaces>;
