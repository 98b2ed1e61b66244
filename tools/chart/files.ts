import * as z from "zod";
import { Document, isMap, isScalar, type YAMLMap } from "yaml";
import { chartValues } from "./values.ts";

/** values.yaml, values.schema.json and the README's table, from the one schema. */

interface Property {
  readonly description?: string;
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly properties?: Readonly<Record<string, Property>>;
}

export const valuesSchema = (): Record<string, unknown> =>
  z.toJSONSchema(chartValues, { target: "draft-7", io: "input" });

export function valuesYaml(notice: string): string {
  const document = new Document(chartValues.parse({}));
  document.commentBefore = ` ${notice}`;
  describe(document.contents as YAMLMap, (valuesSchema() as Property).properties ?? {}, true);
  return document.toString({ lineWidth: 0 });
}

/** Puts each value's description above it. */
function describe(map: YAMLMap, properties: Readonly<Record<string, Property>>, top: boolean): void {
  for (const { key, value } of map.items) {
    if (!isScalar(key)) continue;
    const property = properties[String(key.value)];
    key.commentBefore = ` ${property?.description ?? ""}`;
    key.spaceBefore = top;
    if (isMap(value) && property?.properties) describe(value, property.properties, false);
  }
}

/** What a null in the values stands for: the default, and nothing where the fields are Kubernetes' own. */
export function valueDefaults(): Readonly<Record<string, unknown>> {
  const of = (
    properties: Readonly<Record<string, Property>>,
    defaults: Readonly<Record<string, unknown>>,
  ): Record<string, unknown> =>
    Object.fromEntries(
      Object.entries(properties).map(([name, property]) => {
        const fallback = defaults[name];
        if (property.properties && !KUBERNETES_OWN.has(name))
          return [name, of(property.properties, fallback as Record<string, unknown>)];
        const isMap = typeof fallback === "object" && !Array.isArray(fallback);
        return [name, isMap ? {} : fallback];
      }),
    );
  return of((valuesSchema() as Property).properties ?? {}, chartValues.parse({}));
}

const KUBERNETES_OWN: ReadonlySet<string> = new Set(["resources"]);

export function valueRows(): readonly (readonly [
  path: string,
  type: string,
  fallback: string,
  description: string,
])[] {
  const rows = (
    properties: Readonly<Record<string, Property>>,
    defaults: Readonly<Record<string, unknown>>,
    path: string,
  ): (readonly [string, string, string, string])[] =>
    Object.entries(properties).flatMap(([name, property]) => {
      const here = `${path}${name}`;
      const fallback = defaults[name];
      if (property.properties)
        return rows(property.properties, fallback as Record<string, unknown>, `${here}.`);
      const type = property.enum?.join(" | ") ?? property.type ?? "";
      const shown = fallback === undefined ? "" : `\`${JSON.stringify(fallback)}\``;
      return [[`\`${here}\``, type, shown, property.description ?? ""] as const];
    });
  return rows((valuesSchema() as Property).properties ?? {}, chartValues.parse({}), "");
}
