import { beforeAll, describe, expect, it } from "@jest/globals";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { parse } from "yaml";
import { ensureTools, toolPath } from "../cluster/tools.ts";

/** Argo CD's customizations in its layout, run by the Lua engine that it uses, with tests in its format. */

const readOf = (kind: string) => (file: string) =>
  readFileSync(path.join("config/argocd/secretsync.dev", kind, file), "utf8");
const read = readOf("SecretSync");

beforeAll(() => ensureTools("glua"), 300_000);

/** The script's return value, as `show` prints it. */
async function lua(script: string, object: unknown, show: string): Promise<readonly string[]> {
  const work = mkdtempSync(path.join(tmpdir(), "secretsync-lua-"));
  try {
    const file = path.join(work, "script.lua");
    const program = `obj = ${literal(object)}\nlocal result = (function()\n${script}\nend)()\n${show}\n`;
    writeFileSync(file, program);
    const { stdout } = await promisify(execFile)(toolPath("glua"), [file]);
    return stdout.trimEnd().split("\n");
  } finally {
    rmSync(work, { recursive: true });
  }
}

function literal(value: unknown): string {
  if (Array.isArray(value)) return `{${value.map(literal).join(", ")}}`;
  if (typeof value === "object" && value !== null)
    return `{${Object.entries(value)
      .map(([name, member]) => `[${JSON.stringify(name)}] = ${literal(member)}`)
      .join(", ")}}`;
  return JSON.stringify(value);
}

describe("Argo CD", () => {
  const healths = ["SecretSync", "ClusterSecretSync"].flatMap((kind) => {
    const { tests } = parse(readOf(kind)("health_test.yaml")) as {
      tests: { healthStatus: { status: string; message: string }; inputPath: string }[];
    };
    return tests.map((test) => ({ kind, ...test }));
  });

  it.each(healths)(
    "sees $healthStatus.status in $inputPath of a $kind",
    async ({ kind, healthStatus, inputPath }) => {
      const shown = await lua(
        readOf(kind)("health.lua"),
        parse(readOf(kind)(inputPath)),
        "print(result.status) print(result.message)",
      );
      expect(shown).toEqual([healthStatus.status, healthStatus.message]);
    },
  );

  const actions = parse(read("actions/action_test.yaml")) as {
    discoveryTests: { inputPath: string; result: { name: string; disabled: boolean }[] }[];
    actionTests: { action: string; inputPath: string; expectedOutputPath: string }[];
  };

  it.each(actions.discoveryTests)("offers the actions of $inputPath", async ({ inputPath, result }) => {
    const show = 'for name, action in pairs(result) do print(name .. " " .. tostring(action.disabled)) end';
    const offered = await lua(read("actions/discovery.lua"), parse(read(`actions/${inputPath}`)), show);
    expect([...offered].sort()).toEqual(result.map(({ name, disabled }) => `${name} ${disabled}`));
  });

  it.each(actions.actionTests)("runs $action", async ({ action, inputPath, expectedOutputPath }) => {
    const input = parse(read(`actions/${inputPath}`)) as unknown;
    const output = await lua(read(`actions/${action}/action.lua`), input, `${PRINT}\nprint(json(result))`);
    // The time of a refresh is that of the test.
    const timeless = (text: string) => text.replaceAll(/20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, "TIME");
    expect(JSON.parse(timeless(output.join("\n")))).toEqual(
      JSON.parse(timeless(JSON.stringify(parse(read(`actions/${expectedOutputPath}`))))),
    );
  });
});

/** A Lua table as JSON; an empty one is a list. */
const PRINT = `
function json(value)
  if type(value) ~= "table" then return type(value) == "string" and string.format("%q", value) or tostring(value) end
  local parts = {}
  if #value > 0 or next(value) == nil then
    for _, item in ipairs(value) do table.insert(parts, json(item)) end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  for name, member in pairs(value) do table.insert(parts, string.format("%q", name) .. ":" .. json(member)) end
  return "{" .. table.concat(parts, ",") .. "}"
end`;
