import { parseArgs } from "node:util";
import * as z from "zod";
import { parseDuration } from "./api/duration.ts";
import { parseAddress } from "./telemetry/http-server.ts";
import { logFormats, logLevels } from "./telemetry/logger.ts";

/** Flags of the operator. Each is an environment variable too: --log-level is SECRETSYNC_LOG_LEVEL. */

const flag = <S extends z.ZodType>(schema: S, fallback: string, help: string) => ({ schema, fallback, help });

const address = z.string().refine(
  (text) => {
    const { port } = parseAddress(text);
    return text === "0" || (/:\d+$/.test(text) && port <= 65535);
  },
  { message: "must be host:port, :port, or 0 to switch it off" },
);
const switchOf = z.enum(["true", "false"]).transform((text) => text === "true");
const whole = (least: number, most: number) => z.coerce.number().int().min(least).max(most);
const DNS_LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const listOf = (item: z.ZodString) =>
  z
    .string()
    .transform((text) =>
      text
        .split(",")
        .map((part) => part.trim())
        .filter((part) => part !== ""),
    )
    .pipe(z.array(item));
const namespaceList = listOf(z.string().regex(DNS_LABEL, "must be names of namespaces, with commas between"));

export const flags = {
  "metrics-bind-address": flag(address, ":8080", "Where /metrics is served; 0 turns it off."),
  "health-probe-bind-address": flag(
    address,
    ":8081",
    "Where /healthz and /readyz are served; 0 turns them off.",
  ),
  "leader-elect": flag(
    switchOf,
    "true",
    "Only one replica works at a time. Needed with more than one replica.",
  ),
  concurrent: flag(whole(1, 1000), "128", "Objects that are reconciled at once."),
  "watch-namespaces": flag(namespaceList, "", "Only these namespaces, with commas between. Empty: all."),
  "cluster-providers": flag(
    switchOf,
    "true",
    "Serve ClusterSecretProviders. false with --watch-namespaces: nothing outside of those namespaces is read.",
  ),
  "cluster-secret-syncs": flag(
    z.enum(["auto", "true", "false"]),
    "auto",
    "Serve ClusterSecretSyncs, which make SecretSyncs in many namespaces. auto: without --watch-namespaces. Of several operators in a cluster one may.",
  ),
  "aws-regions": flag(
    listOf(
      z.string().regex(/^[a-z]{2}(-[a-z]+)*(-[0-9]+|-?[*])$/, "must be regions such as eu-west-1 or eu-*"),
    ),
    "",
    "AWS regions that providers may name, with commas between, such as eu-*,us-east-1. Empty: all.",
  ),
  "file-roots": flag(
    listOf(z.string().regex(/^\/[^,/][^,]*$/, "must be absolute paths, with commas between")),
    "",
    "Folders of the operator's pod below which ClusterSecretProviders may read files, with commas between. Empty: none.",
  ),
  "min-refresh-interval": flag(
    z
      .string()
      .refine((text) => parseDuration(text) !== undefined, {
        message: "must be a duration such as 30s or 5m",
      })
      .transform((text) => parseDuration(text) ?? 0),
    "0s",
    "No object is refreshed more often, whatever its spec says and however often that is asked for.",
  ),
  "operator-namespace": flag(
    z.string().regex(DNS_LABEL, "must be the name of a namespace"),
    "",
    "Where the lease and the digest key are. Empty: the pod's own namespace, or the kubeconfig's.",
  ),
  "lease-name": flag(
    z.string().regex(DNS_LABEL, "must be a DNS label"),
    "secretsync-leader",
    "Name of the leader's Lease. Operators of one installation share it.",
  ),
  "allow-ambient-identity": flag(
    switchOf,
    "false",
    "Lets SecretProviders of namespaces use the operator's own AWS identity. Whoever may write one then reads all that it may read.",
  ),
  "metrics-per-object": flag(
    switchOf,
    "true",
    "Readiness and last success of each SecretSync. Switch off in large clusters.",
  ),
  "metrics-auth": flag(
    z.enum(["none", "token"]),
    "none",
    "token: who scrapes must show a token of the cluster that may get /metrics.",
  ),
  "metrics-tls-dir": flag(
    z.string(),
    "",
    "Folder with tls.crt and tls.key, with which /metrics is served. Empty: plain HTTP.",
  ),
  "log-level": flag(z.enum(logLevels), "info", `One of ${logLevels.join(", ")}.`),
  "log-format": flag(z.enum(logFormats), "json", `One of ${logFormats.join(", ")}.`),
} as const;

type Flag = keyof typeof flags;
export type Options = { readonly [F in Flag]: z.output<(typeof flags)[F]["schema"]> };

export type ParsedOptions =
  | { readonly kind: "options"; readonly options: Options }
  | { readonly kind: "help"; readonly text: string }
  | { readonly kind: "version" }
  | { readonly kind: "problem"; readonly text: string };

export const environmentName = (name: string): string =>
  `SECRETSYNC_${name.replaceAll("-", "_").toUpperCase()}`;

export function parseOptions(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): ParsedOptions {
  let given: Record<string, string | boolean | undefined>;
  try {
    given = parseArgs({
      args: [...argv].map((arg) => (isBareSwitch(arg) ? `${arg}=true` : arg)),
      options: {
        help: { type: "boolean", short: "h" },
        version: { type: "boolean" },
        ...Object.fromEntries(Object.keys(flags).map((name) => [name, { type: "string" as const }])),
      },
      strict: true,
    }).values;
  } catch (error) {
    return { kind: "problem", text: `${(error as Error).message.split(". ")[0]}; --help lists the flags` };
  }
  if (given["help"]) return { kind: "help", text: help() };
  if (given["version"]) return { kind: "version" };
  const options: Record<string, unknown> = {};
  for (const [name, { schema, fallback }] of Object.entries(flags)) {
    const text = given[name] ?? env[environmentName(name)];
    if (text === undefined && fallback === "" && name === "operator-namespace") {
      options[name] = "";
      continue;
    }
    const parsed = schema.safeParse(text ?? fallback);
    if (!parsed.success) {
      const from = given[name] === undefined ? environmentName(name) : `--${name}`;
      return {
        kind: "problem",
        text: `${from}=${String(text)}: ${parsed.error.issues[0]?.message ?? "is not valid"}`,
      };
    }
    options[name] = parsed.data;
  }
  return { kind: "options", options: options as Options };
}

/** --leader-elect alone means --leader-elect=true. */
const isBareSwitch = (arg: string): boolean => {
  const name = arg.replace(/^--/, "");
  return (
    arg.startsWith("--") &&
    Object.hasOwn(flags, name) &&
    ["true", "false"].includes(flags[name as Flag].fallback)
  );
};

function help(): string {
  const rows = Object.entries(flags).map(([name, { fallback, help: text }]) => {
    const left = `  --${name}${fallback === "" ? "" : `=${fallback}`}`;
    return `${left.padEnd(38)} ${text}`;
  });
  return [
    "SecretSync operator: syncs secrets from AWS Secrets Manager and other stores into Kubernetes Secrets and restarts what consumes them.",
    "",
    "Flags, with their defaults. Each is an environment variable too: --log-level is SECRETSYNC_LOG_LEVEL.",
    ...rows,
    `${"  --version".padEnd(38)} Prints the version.`,
    `${"  --help".padEnd(38)} Prints this.`,
    "",
    "operator.mjs check [-f FILE]: which SecretSyncs and providers this version refuses, in files or in the cluster.",
    "",
    "The cluster comes from KUBECONFIG, ~/.kube/config or the pod's service account.",
    "The AWS SDK's own variables work: AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL_SECRETS_MANAGER and so on.",
  ].join("\n");
}
