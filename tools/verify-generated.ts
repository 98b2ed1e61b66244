/** Generates everything anew and fails, naming the files, when that changes the tree. */
import { execFileSync } from "node:child_process";

const git = (...args: string[]) => execFileSync("git", args, { encoding: "utf8", maxBuffer: 1 << 28 });
const dirty = () => git("status", "--porcelain") + git("diff");
const before = dirty();
execFileSync(process.execPath, ["tools/generate.ts"], { stdio: "inherit" });
const after = dirty();
if (after !== before) {
  process.stderr.write(
    `generated files were stale; commit what \`make generate\` has written:\n${git("status", "--porcelain")}`,
  );
  process.exitCode = 1;
}
