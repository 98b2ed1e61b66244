import { describe, expect, it } from "@jest/globals";
import { environmentName, flags, parseOptions } from "../src/options.ts";

const options = (argv: readonly string[], env: Record<string, string> = {}) => {
  const parsed = parseOptions(argv, env);
  if (parsed.kind !== "options") throw new Error(parsed.kind === "problem" ? parsed.text : parsed.kind);
  return parsed.options;
};
const problem = (argv: readonly string[], env: Record<string, string> = {}) => {
  const parsed = parseOptions(argv, env);
  return parsed.kind === "problem" ? parsed.text : `no problem: ${parsed.kind}`;
};

describe("flags", () => {
  it("have defaults", () => {
    expect(options([])).toMatchObject({
      "leader-elect": true,
      "watch-namespaces": [],
      "log-level": "info",
      "operator-namespace": "",
    });
  });

  it("win over the environment, and the environment over defaults", () => {
    const env = { SECRETSYNC_LOG_LEVEL: "debug", SECRETSYNC_CONCURRENT: "7" };
    expect(options(["--log-level=warn"], env)).toMatchObject({ "log-level": "warn", concurrent: 7 });
  });

  it.each([
    [["--leader-elect"], { "leader-elect": true }],
    [["--leader-elect=false"], { "leader-elect": false }],
    [["--leader-elect", "--log-level", "error"], { "leader-elect": true, "log-level": "error" }],
    [["--watch-namespaces=a, b,"], { "watch-namespaces": ["a", "b"] }],
    [["--metrics-bind-address=0"], { "metrics-bind-address": "0" }],
    [["--metrics-bind-address=[::1]:9090"], { "metrics-bind-address": "[::1]:9090" }],
  ])("%j is understood", (argv, expected) => {
    expect(options(argv)).toMatchObject(expected);
  });

  it.each([
    [["--nope"], "Unknown option '--nope'; --help lists the flags"],
    [["extra"], "Unexpected argument 'extra'"],
    [["--log-level=loud"], "--log-level=loud: Invalid option"],
    [["--concurrent=0"], "--concurrent=0: Too small"],
    [["--concurrent=many"], "--concurrent=many: Invalid input"],
    [
      ["--metrics-bind-address=here"],
      "--metrics-bind-address=here: must be host:port, :port, or 0 to switch it off",
    ],
    [["--metrics-bind-address=:99999"], "must be host:port"],
    [["--watch-namespaces=A"], "must be names of namespaces, with commas between"],
    [["--operator-namespace=a/b"], "must be the name of a namespace"],
    [["--leader-elect=maybe"], "--leader-elect=maybe"],
  ])("%j is refused with a reason", (argv, text) => {
    expect(problem(argv)).toContain(text);
  });

  it("that are wrong in the environment are named as there", () => {
    expect(problem([], { SECRETSYNC_LOG_FORMAT: "xml" })).toContain("SECRETSYNC_LOG_FORMAT=xml");
  });

  it("are all in --help, with their defaults", () => {
    const parsed = parseOptions(["--help"], {});
    const text = parsed.kind === "help" ? parsed.text : "";
    for (const [name, { fallback }] of Object.entries(flags))
      expect(text).toContain(`--${name}${fallback ? `=${fallback}` : ""}`);
    expect(parseOptions(["-h"], {}).kind).toBe("help");
    expect(parseOptions(["--version"], {}).kind).toBe("version");
    expect(environmentName("log-level")).toBe("SECRETSYNC_LOG_LEVEL");
  });
});
