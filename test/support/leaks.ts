import { readFileSync } from "node:fs";
import { CANARY } from "./gen.ts";
import { run } from "./kubectl.ts";

/** Every value that tests put into a secret starts with the canary; nothing but a Secret's data may hold it. */
export const canary = (text: string): string => `${CANARY}-${text}`;

const encoded = [
  CANARY,
  Buffer.from(CANARY).toString("base64").slice(0, -2),
  Buffer.from(`x${CANARY}`).toString("base64").slice(3, -2),
];

/** Places where a secret value shows, each with the text around it. */
export async function leaks(
  logFiles: readonly string[],
  metrics: readonly string[],
): Promise<readonly string[]> {
  const texts: Record<string, string> = {};
  for (const file of logFiles) texts[file] = readFileSync(file, "utf8");
  metrics.forEach((text, index) => (texts[`metrics ${index}`] = text));
  texts["events"] = await run("get", "events", "-A", "-o", "json");
  texts["objects"] = await run("get", "secretsync", "-A", "-o", "json", "--show-managed-fields");
  texts["workloads"] = await run(
    "get",
    "deployments,statefulsets,daemonsets,replicasets",
    "-A",
    "-o",
    "json",
  );
  const secrets = JSON.parse(await run("get", "secrets", "-A", "-o", "json", "--show-managed-fields")) as {
    items: { metadata: unknown }[];
  };
  texts["metadata of Secrets"] = JSON.stringify(secrets.items.map(({ metadata }) => metadata));
  return Object.entries(texts).flatMap(([place, text]) =>
    encoded.flatMap((needle) => {
      const at = text.indexOf(needle);
      return at < 0 ? [] : [`${place}: …${text.slice(Math.max(0, at - 80), at + 40)}…`];
    }),
  );
}
