/**
 * Runs the test suites that are named, one after the other, and ends with the line that counts all of them, from
 * Jest's own results. `node tools/test.ts unit integration e2e [-- [part of a file's name] jest arguments]`
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { atEnd } from "../test/support/at-end.ts";
import { styleText } from "node:util";

const cluster = [
  "--globalSetup",
  "./test/support/cluster-setup.ts",
  "--globalTeardown",
  "./test/support/cluster-teardown.ts",
  "--setupFilesAfterEnv",
  "./test/support/scan-leaks.ts",
];

const suites: Readonly<Record<string, readonly string[]>> = {
  unit: [
    "--coverage",
    ...["node_modules", "test/integration", "test/e2e", "test/install", "test/redteam"].map(
      (folder) => `--testPathIgnorePatterns=/${folder}/`,
    ),
  ],
  integration: [...cluster, "--maxWorkers=2"],
  e2e: [...cluster, "--maxWorkers=2"],
  // One operator serves all of them, as one serves a whole cluster.
  redteam: [...cluster, "--maxWorkers=1"],
  // The operator of a chart may serve the whole cluster, so nothing else runs beside it.
  install: [...cluster, "--maxWorkers=1"],
};

interface JestResult {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numRuntimeErrorTestSuites: number;
}

const [names, [file, ...rest]] = split(process.argv.slice(2));
const part = file === undefined || file.startsWith("-") ? undefined : file;
const extra = file === undefined || part !== undefined ? rest : [file, ...rest];
const folder = mkdtempSync(path.join(tmpdir(), "secretsync-test-"));
const total = { passed: 0, failed: 0, skipped: 0 };

for (const name of names) {
  const suite = suites[name];
  if (!suite) throw new Error(`no suite ${name}; there are ${Object.keys(suites).join(", ")}`);
  process.stderr.write(`\n${styleText(["bold", "cyan"], `▸ ${name} tests`)}\n`);
  const results = path.join(folder, `${name}.json`);
  const args = [
    "node_modules/jest/bin/jest.js",
    "--ci",
    "--json",
    `--outputFile=${results}`,
    `--testPathPatterns=${name === "unit" ? "/test/" : `/test/${name}/`}.*${part ?? ""}`,
    ...suite,
    // What a part of the tests covers says nothing.
    ...(file === undefined ? [] : ["--coverage=false"]),
    ...extra,
  ];
  const jest = spawn(process.execPath, args, {
    stdio: ["ignore", process.stderr.fd, process.stderr.fd],
    env: {
      ...process.env,
      NODE_OPTIONS: "--experimental-vm-modules --disable-warning=ExperimentalWarning",
      SECRETSYNC_TEST_SUITE: name,
    },
  });
  // Whoever ends this run ends its tests, and they clean up.
  const forget = atEnd(async () => {
    jest.kill("SIGTERM");
    await gone;
  });
  const gone = once(jest, "exit") as Promise<[number | null]>;
  const [status] = await gone;
  forget();
  const result = resultOf(results);
  total.passed += result.numPassedTests;
  total.failed += result.numFailedTests + result.numRuntimeErrorTestSuites;
  total.skipped += result.numPendingTests;
  // Jest fails for more than tests, such as too little coverage.
  if (status !== 0 && result.numFailedTests + result.numRuntimeErrorTestSuites === 0) {
    process.stderr.write(
      `the ${name} tests pass, but Jest ended with ${status}: see above, such as coverage\n`,
    );
    total.failed++;
  }
}
rmSync(folder, { recursive: true, force: true });

const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : "";
process.stdout.write(`${total.passed} passed, ${total.failed} failed${skipped}\n`);
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;

/** A run that left no result failed as a whole. */
function resultOf(file: string): JestResult {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as JestResult;
  } catch {
    return { numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, numRuntimeErrorTestSuites: 1 };
  }
}

function split(args: readonly string[]): [readonly string[], readonly string[]] {
  const dashes = args.indexOf("--");
  return dashes < 0 ? [args, []] : [args.slice(0, dashes), args.slice(dashes + 1)];
}
