import { globSync, readFileSync, statSync } from "node:fs";
import { CANARY } from "./gen.ts";
import { run } from "./kubectl.ts";

/** Every value that tests put into a secret starts with the canary; nothing but a Secret's data may hold it. */
export const canary = (text: string): string => `${CANARY}-${text}`;

/** As it is, and as Base64 shows it at each of the three offsets, cut to the characters that nothing around it changes. */
const needles = [
  CANARY,
  ...[0, 1, 2].map((offset) => {
    const bits = 8 * (offset + CANARY.length);
    const encoded = Buffer.from("x".repeat(offset) + CANARY).toString("base64");
    return encoded.slice(Math.ceil((8 * offset) / 6), Math.floor(bits / 6));
  }),
];

/** Where in the text a secret value shows, with what is around it. */
export const leaksIn = (place: string, text: string): readonly string[] =>
  needles.flatMap((needle) => {
    const at = text.indexOf(needle);
    return at < 0 ? [] : [`${place}: …${text.slice(Math.max(0, at - 80), at + 40)}…`];
  });

/** Kinds that users and other programs read; of Secrets only the metadata. */
const kinds = [
  "events",
  "secretsyncs.secretsync.dev",
  "secretproviders.secretsync.dev",
  "clustersecretproviders.secretsync.dev",
  "clustersecretsyncs.secretsync.dev",
  "deployments,statefulsets,daemonsets,replicasets,pods",
  "leases",
  "configmaps",
];

/** Places in files (logs, scrapes of metrics, spans) and in the cluster where a secret value shows. */
export async function leaks(files: string): Promise<readonly string[]> {
  const found = globSync(files)
    .filter((file) => statSync(file).isFile())
    .flatMap((file) => leaksIn(file, readFileSync(file, "utf8")));
  const existing = (await run("api-resources", "-o", "name")).split("\n");
  for (const kind of kinds) {
    if (kind.endsWith(".secretsync.dev") && !existing.includes(kind)) continue;
    found.push(...leaksIn(kind, await run("get", kind, "-A", "-o", "json", "--show-managed-fields")));
  }
  const secrets = JSON.parse(await run("get", "secrets", "-A", "-o", "json", "--show-managed-fields")) as {
    items: { type: string; metadata: Record<string, unknown> }[];
  };
  // Helm keeps a release's values in a Secret of its own.
  const metadata = secrets.items
    .filter(({ type }) => type !== "helm.sh/release.v1")
    .map((item) => item.metadata);
  return [...found, ...leaksIn("metadata of Secrets", JSON.stringify(metadata))];
}
