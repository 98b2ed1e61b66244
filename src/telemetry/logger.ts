import { pino, type DestinationStream } from "pino";

/**
 * Structured logs: constant messages with fields. Errors are rebuilt from name, message and stack, since an error
 * object may carry a request, and a request a secret.
 */
type Log = (fields: Readonly<Record<string, unknown>>, message: string) => void;

export interface Logger {
  readonly trace: Log;
  readonly debug: Log;
  readonly info: Log;
  readonly warn: Log;
  readonly error: Log;
  readonly fatal: Log;
}

export const logLevels = ["trace", "debug", "info", "warn", "error"] as const;
export const logFormats = ["json", "pretty"] as const;

export async function newLogger(options: {
  level: (typeof logLevels)[number];
  format: (typeof logFormats)[number];
}): Promise<Logger> {
  const config = {
    level: options.level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: serializeError },
  };
  if (options.format === "json") {
    const json: Logger = pino(config);
    return json;
  }
  const { default: pretty } = await import("pino-pretty");
  const readable: Logger = pino(
    config,
    pretty({ sync: true, translateTime: "HH:MM:ss.l" }) as DestinationStream,
  );
  return readable;
}

export function serializeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { message: typeof error === "string" ? error : "unknown" };
  const { name, message, stack } = error;
  const status = "status" in error && typeof error.status === "number" ? { status: error.status } : {};
  const code = "code" in error && typeof error.code === "string" ? { code: error.code } : {};
  return { name, message, ...status, ...code, stack };
}
