import * as z from "zod";
import { stringify } from "yaml";
import {
  customResourceDefinition,
  kinds,
  structuralSchema,
  type JsonSchema,
  type Kind,
} from "../src/api/crd.ts";
import { API_VERSION, GROUP } from "../src/api/group.ts";
import { reasons } from "../src/api/reasons.ts";
import { lanes } from "../src/controllers/secret-sync/lanes.ts";
import { environmentName, flags } from "../src/options.ts";
import { fanOutReasons } from "../src/plan/fan-out.ts";
import { dashboard } from "./chart/dashboard.ts";
import { valueDefaults, valueRows, valuesSchema, valuesYaml } from "./chart/files.ts";
import { newMetrics } from "../src/telemetry/metrics.ts";

/** Everything that is made from the source and committed: CRDs, the chart's copies, reference docs. */

export interface GeneratedFile {
  readonly path: string;
  readonly content: string;
}

const doNotEdit = "Generated from src by `make generate`. Do not edit.";

export function generatedFiles(): readonly GeneratedFile[] {
  const crds = kinds.map((kind) => ({
    name: `${kind.plural}.${GROUP}.yaml`,
    content: `# ${doNotEdit}\n${stringify(customResourceDefinition(kind), { lineWidth: 0, aliasDuplicateObjects: false })}`,
  }));
  return [
    ...crds.map(({ name, content }) => ({ path: `crds/${name}`, content })),
    ...crds.map(({ name, content }) => ({ path: `charts/secretsync/files/crds/${name}`, content })),
    { path: "charts/secretsync/values.yaml", content: valuesYaml(doNotEdit.replace("src", "tools/chart")) },
    {
      path: "charts/secretsync/values.schema.json",
      content: `${JSON.stringify(valuesSchema(), null, 2)}\n`,
    },
    {
      path: "charts/secretsync/files/defaults.json",
      content: `${JSON.stringify(valueDefaults(), null, 2)}\n`,
    },
    {
      path: "charts/secretsync/files/dashboard.json",
      content: `${JSON.stringify(dashboard(), null, 2)}\n`,
    },
    { path: "charts/secretsync/README.md", content: page("The chart of SecretSync", chartReadme()) },
    { path: "docs/reference/api.md", content: page("API reference", kinds.map(kindSection).join("\n")) },
    {
      path: "docs/reference/reasons.md",
      content: page("Reasons of the Ready condition", `${reasonTable()}\n\n${fanOutTable()}`),
    },
    { path: "docs/reference/metrics.md", content: page("Metrics", metricTable()) },
    { path: "docs/reference/flags.md", content: page("Flags", flagTable()) },
  ];
}

const page = (title: string, body: string): string =>
  `<!-- ${doNotEdit} -->\n\n# ${title}\n\n${body.trim()}\n`;
const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ");
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => "---"), ...rows].map((row) => `| ${row.map(cell).join(" | ")} |`).join("\n");

function kindSection(kind: Kind): string {
  const sections = [
    `## ${kind.kind}\n\n${kind.description} \`${API_VERSION}\`, ${kind.scope.toLowerCase()}, short name \`${kind.shortNames.join(", ")}\`.\n`,
  ];
  for (const [name, schema] of Object.entries({ spec: kind.spec, status: kind.status })) {
    if (schema instanceof z.ZodType) {
      sections.push(
        `### ${kind.kind} ${name}\n\n${table(["field", "type", "default", "description"], fieldRows(structuralSchema(schema), name))}\n`,
      );
    }
  }
  return sections.join("\n");
}

function fieldRows(schema: JsonSchema, path: string): string[][] {
  const required = new Set((schema["required"] as string[] | undefined) ?? []);
  return Object.entries((schema["properties"] ?? {}) as Record<string, JsonSchema>).flatMap(
    ([name, field]) => {
      const here = `${path}.${name}`;
      const items = field["items"] as JsonSchema | undefined;
      const isList = items !== undefined;
      const type = field["enum"]
        ? (field["enum"] as unknown[]).join(" | ")
        : `${String(field["type"])}${isList ? ` of ${String(items["type"])}` : ""}`;
      const fallback =
        field["default"] === undefined
          ? required.has(name)
            ? "required"
            : ""
          : `\`${JSON.stringify(field["default"])}\``;
      const rules = ((field["x-kubernetes-validations"] ?? []) as { message: string }[]).map(
        ({ message }) => `Rule: ${message}.`,
      );
      const row = [
        `\`${here}${isList ? "[]" : ""}\``,
        type,
        fallback,
        [String(field["description"]), ...rules].join(" "),
      ];
      return [row, ...fieldRows(isList ? items : field, isList ? `${here}[]` : here)];
    },
  );
}

const reasonTable = (): string =>
  table(
    ["reason", "meaning", "tried again"],
    Object.entries(reasons).map(([reason, { meaning, stalled }]) => [
      `\`${reason}\``,
      meaning,
      stalled ? "slowly: a person must help" : "yes",
    ]),
  );

const fanOutTable = (): string =>
  `## Of a ClusterSecretSync\n\n${table(
    ["reason", "meaning"],
    Object.entries(fanOutReasons).map(([reason, meaning]) => [`\`${reason}\``, meaning]),
  )}`;

function metricTable(): string {
  const { registry } = newMetrics({
    version: "",
    lanes,
    kinds: [],
    providers: [],
    callFailures: [],
    perObject: true,
    defaults: false,
  });
  const rows = registry.getMetricsAsArray().map((metric) => {
    const {
      name,
      help,
      type,
      labelNames = [],
    } = metric as unknown as { name: string; help: string; type: string; labelNames?: string[] };
    return [`\`${name}\``, type, labelNames.map((label) => `\`${label}\``).join(", "), help];
  });
  return `Beside these, the default metrics of Node.js and the process.\n\n${table(["metric", "type", "labels", "meaning"], rows)}`;
}

const chartReadme = (): string => `
\`\`\`sh
helm install secretsync charts/secretsync --namespace secretsync-system --create-namespace
\`\`\`

${table(["value", "type", "default", "meaning"], valueRows())}
`;

const flagTable = (): string =>
  table(
    ["flag", "environment variable", "default", "meaning"],
    Object.entries(flags).map(([name, { fallback, help }]) => [
      `\`--${name}\``,
      `\`${environmentName(name)}\``,
      fallback && `\`${fallback}\``,
      help,
    ]),
  );
