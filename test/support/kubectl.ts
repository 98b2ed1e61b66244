import { execFile, spawn } from "node:child_process";
import { promisify } from "node:util";
import path from "node:path";

/** kubectl against the suite's cluster, as an admin would use it. */
const execute = promisify(execFile);
const root = path.resolve(import.meta.dirname, "../..");
const base = () => ["--kubeconfig", process.env["SECRETSYNC_SUITE_KUBECONFIG"] ?? ""];

export async function run(...args: readonly string[]): Promise<string> {
  const { stdout } = await execute(
    process.env["SECRETSYNC_SUITE_KUBECTL"] ?? "kubectl",
    [...base(), ...args],
    {
      cwd: root,
      maxBuffer: 1 << 26,
    },
  );
  return stdout;
}

/** With a manifest on standard input. Resolves with what kubectl said and whether it succeeded. */
export function runWith(input: string, ...args: readonly string[]): Promise<{ ok: boolean; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.env["SECRETSYNC_SUITE_KUBECTL"] ?? "kubectl", [...base(), ...args], {
      cwd: root,
    });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.once("error", reject);
    child.once("close", (code) => resolve({ ok: code === 0, output }));
    child.stdin.end(input);
  });
}
