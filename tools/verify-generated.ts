/** Fails, naming the files, when something that is generated differs from what is on disk; then `make generate` writes it. */
import { existsSync, readFileSync } from "node:fs";
import { kustomizeBase } from "./chart/kustomize.ts";
import { generatedFiles } from "./generated-files.ts";
import { isBuilt } from "../test/cluster/tools.ts";

const expected = [
  ...generatedFiles(),
  // Helm renders it. Where it isn't built yet, a test that builds it looks.
  ...(isBuilt("helm") ? [{ path: "config/install.yaml", content: kustomizeBase() }] : []),
];
const stale = expected.filter(
  ({ path, content }) => !existsSync(path) || readFileSync(path, "utf8") !== content,
);
for (const { path } of stale) process.stderr.write(`${path} is stale: run make generate, and commit it\n`);
process.exitCode = stale.length > 0 ? 1 : 0;
