/**
 * `make run`: the operator from source against the current kubeconfig, with an emulated AWS; it starts again whenever a file of
 * src changes. CRDs are applied first. Ctrl-C ends it.
 */
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { ensureTools, toolPath } from "../test/cluster/tools.ts";
import { atEnd, end } from "../test/support/at-end.ts";
import { awsEnvironment } from "../test/support/aws.ts";
import { onPath, withParent } from "../test/support/children.ts";
import { installCrds } from "../test/support/crds.ts";
import { startMinistack } from "../test/support/ministack.ts";
import { note, step } from "../test/support/progress.ts";

const root = path.resolve(import.meta.dirname, "..");

async function kubectl(): Promise<string> {
  const own = onPath("kubectl");
  if (own) return own;
  await ensureTools("kubectl");
  return toolPath("kubectl");
}

const program = await kubectl();
const folder = mkdtempSync(path.join(tmpdir(), "secretsync-run-"));
atEnd(() => rmSync(folder, { recursive: true, force: true }));
await step("apply the CRDs", () =>
  installCrds((...args) => promisify(execFile)(program, args, { cwd: root, env: process.env })),
);
const ministack = await step("start ministack, an emulator of AWS", () =>
  startMinistack(path.join(folder, "aws.log")),
);
atEnd(() => ministack.stop());
const aws = awsEnvironment(ministack.endpoint);
note(
  `for the AWS command line: export AWS_ENDPOINT_URL=${ministack.endpoint} AWS_REGION=${aws["AWS_REGION"]}`,
);
const [command, args] = withParent(process.execPath, [
  "--watch",
  "--watch-preserve-output",
  "src/main.ts",
  "--log-format=pretty",
  ...process.argv.slice(2),
]);
const operator = spawn(command, args, { cwd: root, stdio: "inherit", env: { ...process.env, ...aws } });
atEnd(() => operator.kill());
operator.once("exit", (code) => void end(code ?? 1));
