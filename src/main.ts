import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import type { AnswerPace } from "./kube/kube-api.ts";
import { newKubeApi } from "./kube/rest-kube-api.ts";
import { loadKubeConfig } from "./kube/own-kubeconfig.ts";
import { newTransport, newTransports, type Transport } from "./kube/transport.ts";
import { parseOptions, type Options } from "./options.ts";
import { globMatches } from "./plan/access.ts";
import { newCatalog } from "./providers/catalog.ts";
import { systemClock } from "./runtime/clock.ts";
import { newLogger, type Logger } from "./telemetry/logger.ts";
import { noTracing, wantsTracing, type Tracing } from "./telemetry/tracing.ts";
import { wire } from "./wire/operator.ts";

/** The process: arguments and environment in, exit code out. The only reader of process.* in src. */

declare const SECRETSYNC_VERSION: string;
const version = typeof SECRETSYNC_VERSION === "string" ? SECRETSYNC_VERSION : "dev";

const [command, ...rest] = process.argv.slice(2);
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(`secretsync: needs Node.js 22.19 or newer; this is ${process.version}\n`);
  process.exitCode = 2;
} else if (command === "check") process.exitCode = await runCheck(rest);
else await operate();

async function operate(): Promise<void> {
  const parsed = parseOptions(process.argv.slice(2), process.env);
  switch (parsed.kind) {
    case "help":
      process.stdout.write(`${parsed.text}\n`);
      break;
    case "version":
      process.stdout.write(`${version}\n`);
      break;
    case "problem":
      process.stderr.write(`secretsync: ${parsed.text}\n`);
      process.exitCode = 2;
      break;
    case "options":
      await start(parsed.options);
  }
}

async function runCheck(argv: readonly string[]): Promise<number> {
  const { check } = await import("./cli/check.ts");
  return check({
    argv,
    readStdin: () => readFileSync(0, "utf8"),
    connect() {
      const transport = newTransport(loadKubeConfig(), systemClock);
      return { api: newKubeApi(transport), close: () => transport.close() };
    },
    out: (text) => process.stdout.write(text),
    fail: (text) => process.stderr.write(text),
    colour: process.stdout.isTTY && !process.env["NO_COLOR"],
  });
}

async function start(options: Options): Promise<void> {
  const log = await newLogger({ level: options["log-level"], format: options["log-format"] });
  const stop = new AbortController();
  for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => stop.abort());
  process.on("unhandledRejection", (error) => log.error({ err: error }, "unhandled rejection"));
  const identity = `${process.env["POD_NAME"] ?? hostname()}_${randomBytes(4).toString("hex")}`;
  const tracing = await startTracing(identity, log);
  try {
    const config = loadKubeConfig();
    const transport = newTransport(config, systemClock);
    const operator = wire({
      options,
      version,
      apiWith: (fence) => newKubeApi(transport, fence),
      clock: systemClock,
      random: Math.random,
      randomBytes,
      log,
      tracing,
      namespace:
        options["operator-namespace"] ||
        podNamespace() ||
        config.getContextObject(config.getCurrentContext())?.namespace ||
        "default",
      identity,
      catalog: newCatalog({
        awsRegions: options["aws-regions"],
        matches: (glob, text) => globMatches(glob, "", text),
        fileRoots: options["file-roots"],
        apiWith: (pace) => newKubeApi(transport, undefined, pace),
        async loadClusters() {
          const { kubeConfigOf } = await import("./kube/kubeconfig.ts");
          const open = (to: Transport, pace: AnswerPace) => ({
            api: newKubeApi(to, undefined, pace),
            close: () => to.close(),
          });
          const transportAs = newTransports(config, systemClock);
          return {
            ofKubeconfig: (text, pace) => open(newTransport(kubeConfigOf(text), systemClock), pace),
            asAccount(tokens, pace) {
              const { signal } = new AbortController();
              return open(
                transportAs({ token: () => tokens.token(signal), refused: () => tokens.refused() }),
                pace,
              );
            },
          };
        },
      }),
      proxyEnv: process.env,
      memoryBytes: process.constrainedMemory(),
      metricsTls: readTls(options["metrics-tls-dir"]),
    });
    const clean = await operator.run(stop.signal);
    if (!clean) log.error({}, "lost the leader lease; exiting so that another replica works alone");
    transport.close();
    process.exitCode = clean ? 0 : 1;
  } catch (error) {
    log.fatal({ err: error }, "the operator can't start");
    process.exitCode = 1;
  }
  await tracing.stop();
  // Nothing that still lingers may keep the process.
  process.exit();
}

async function startTracing(identity: string, log: Logger): Promise<Tracing> {
  if (!wantsTracing(process.env)) return noTracing;
  const { newOtlpTracing } = await import("./telemetry/otlp-tracing.ts");
  return newOtlpTracing({ version, identity, log });
}

/** Read once: who renews the certificate restarts the pods. */
function readTls(folder: string): { cert: Buffer; key: Buffer } | undefined {
  if (folder === "") return undefined;
  try {
    return { cert: readFileSync(join(folder, "tls.crt")), key: readFileSync(join(folder, "tls.key")) };
  } catch (error) {
    throw new Error(`--metrics-tls-dir: ${(error as Error).message}`, { cause: error });
  }
}

function podNamespace(): string | undefined {
  const fromEnv = process.env["POD_NAMESPACE"];
  if (fromEnv) return fromEnv;
  try {
    return readFileSync("/var/run/secrets/kubernetes.io/serviceaccount/namespace", "utf8").trim();
  } catch {
    return undefined;
  }
}
