import { describe, expect, it } from "@jest/globals";
import { spawnSync } from "node:child_process";
import { serializeError } from "../../src/telemetry/logger.ts";
import { ApiError } from "../../src/kube/kube-api.ts";
import { SecretValue } from "../../src/providers/secret-value.ts";
import { CANARY } from "../support/gen.ts";

/** A process of its own, since the logger writes to its standard output. */
const log = (format: string, level: string): string => {
  const script = `
    import { newLogger } from "./src/telemetry/logger.ts";
    import { SecretValue } from "./src/providers/secret-value.ts";
    const log = await newLogger({ level: "${level}", format: "${format}" });
    const value = SecretValue.fromText("${CANARY}");
    log.debug({ value }, "debugging");
    log.info({ secretsync: "shop/orders", value, nested: { value } }, "secret written");
    log.error({ err: Object.assign(new Error("boom"), { request: { body: "${CANARY}" }, status: 500 }) }, "failed");`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module-typescript", "-e", script], {
    encoding: "utf8",
    env: { ...process.env, NODE_OPTIONS: "" },
  });
  return stdout + stderr;
};

describe("the log", () => {
  it("as JSON is one object a line, with constant messages, levels by name, and no secret value", () => {
    const text = log("json", "info");
    const lines = text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.map(({ level, msg }) => [level, msg])).toEqual([
      ["info", "secret written"],
      ["error", "failed"],
    ]);
    expect(lines[0]).toMatchObject({
      secretsync: "shop/orders",
      value: "[redacted]",
      nested: { value: "[redacted]" },
    });
    expect(Date.parse(String(lines[0]!["time"]))).not.toBeNaN();
    expect(lines[1]).toMatchObject({ err: { name: "Error", message: "boom", status: 500 } });
    expect(text).not.toContain(CANARY);
  });

  it("for people is readable, and holds no secret value either", () => {
    const text = log("pretty", "debug");
    expect(text).toContain("secret written");
    expect(text).toContain("debugging");
    expect(() => JSON.parse(text.split("\n")[0] ?? "")).toThrow();
    expect(text).not.toContain(CANARY);
  });
});

describe("an error in the log", () => {
  it("is what it says, where it came from and its code; nothing else that hangs on it", () => {
    const error = Object.assign(new ApiError(403, "Forbidden", "no"), {
      code: "EX",
      body: CANARY,
      value: SecretValue.fromText(CANARY),
      cause: new Error(CANARY),
    });
    const shown = serializeError(error);
    expect(shown).toMatchObject({ name: "ApiError", message: "no", status: 403, code: "EX" });
    expect(Object.keys(shown).sort()).toEqual(["code", "message", "name", "stack", "status"]);
    expect(serializeError("text")).toEqual({ message: "text" });
    expect(serializeError({ body: CANARY })).toEqual({ message: "unknown" });
  });
});
