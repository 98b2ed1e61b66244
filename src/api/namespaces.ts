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

export const namespaces = withRules(
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

export type Namespaces = z.output<typeof namespaces>;
