import type { Logger } from "../../src/telemetry/logger.ts";

const nothing = (): void => undefined;

/** For tests to which the log is of no matter. */
export const noLogger: Logger = {
  trace: nothing,
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  fatal: nothing,
};
