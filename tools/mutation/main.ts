/**
 * `make mutation`: how many of the faults that Stryker puts into the source the unit tests notice. Each room is tried against its
 * own tests alone. It takes hours; what was tried before and hasn't changed isn't tried again. Writes the rooms' rows of
 * docs/quality.md; MUTATION_ROOMS=rollout,runtime for some of them. What wasn't noticed stands in .mutation/ROOM.survivors.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { styleText } from "node:util";
import { Stryker } from "@stryker-mutator/core";
import jest from "../../jest.config.ts";

interface Room {
  readonly name: string;
  /** Globs below test, without their ending. */
  readonly tests: readonly string[];
  /** Percent of the faults that are to be noticed. */
  readonly goal: number;
}

const rooms: readonly Room[] = [
  { name: "plan", tests: ["plan/**/*"], goal: 85 },
  { name: "rollout", tests: ["rollout/**/*"], goal: 85 },
  { name: "runtime", tests: ["runtime/**/*"], goal: 85 },
  { name: "fetch", tests: ["fetch/**/*"], goal: 75 },
  { name: "feeds", tests: ["feeds/**/*"], goal: 75 },
  { name: "credentials", tests: ["credentials/*", "controllers/secret-sync/provider-access"], goal: 75 },
  { name: "controllers", tests: ["controllers/**/*"], goal: 75 },
];

interface Score {
  readonly room: Room;
  readonly tried: number;
  readonly noticed: number;
  /** As file:line, what was put there. */
  readonly survivors: readonly string[];
}

const FOLDER = ".mutation";
const PAGE = "docs/quality.md";
const asked = process.env["MUTATION_ROOMS"]?.split(",");
mkdirSync(FOLDER, { recursive: true });
const scores: Score[] = [];
for (const room of rooms) if (!asked || asked.includes(room.name)) scores.push(await scoreOf(room));
for (const score of scores) {
  const isEnough = percentOf(score) >= score.room.goal;
  const mark = styleText(isEnough ? "green" : "red", isEnough ? "✔" : "✘");
  process.stdout.write(
    `${score.room.name.padEnd(12)} ${score.noticed} of ${score.tried} noticed: ${percentOf(score)} % (goal ${score.room.goal}) ${mark}\n`,
  );
  writeFileSync(path.join(FOLDER, `${score.room.name}.survivors`), score.survivors.join("\n"));
}
writeFileSync(PAGE, page(scores));

async function scoreOf(room: Room): Promise<Score> {
  const stryker = new Stryker({
    testRunner: "jest",
    plugins: ["@stryker-mutator/jest-runner"],
    testRunnerNodeArgs: ["--experimental-vm-modules", "--disable-warning=ExperimentalWarning"],
    jest: {
      config: {
        ...jest,
        testMatch: room.tests.map((tests) => `<rootDir>/test/${tests}.test.ts`),
        collectCoverageFrom: [],
        coverageThreshold: {},
      },
      enableFindRelatedTests: false,
    },
    coverageAnalysis: "perTest",
    mutate: [`src/${room.name}/**/*.ts`],
    // TypeScript 7 has no API that Stryker could read it with.
    tsconfigFile: "none.json",
    concurrency: 1,
    timeoutMS: 2_000,
    incremental: true,
    incrementalFile: path.join(FOLDER, `${room.name}.json`),
    tempDirName: path.join(FOLDER, "sandbox"),
    reporters: ["progress"],
  });
  const results = await stryker.runMutationTest();
  const tried = results.filter(({ status }) => !["Ignored", "CompileError", "Pending"].includes(status));
  const survivors = tried.filter(({ status }) => status === "Survived" || status === "NoCoverage");
  return {
    room,
    tried: tried.length,
    noticed: tried.length - survivors.length,
    survivors: survivors.map(
      ({ fileName, location, replacement, status }) =>
        `${path.relative(process.cwd(), fileName)}:${location.start.line} ${status}: ${replacement ?? ""}`,
    ),
  };
}

function percentOf({ noticed, tried }: Score): number {
  return Math.round((1_000 * noticed) / Math.max(1, tried)) / 10;
}

/** Rooms that weren't tried now keep the row that they have. */
function page(all: readonly Score[]): string {
  const known = existsSync(PAGE) ? readFileSync(PAGE, "utf8").split("\n") : [];
  const rows = rooms.map(({ name, goal }) => {
    const score = all.find(({ room }) => room.name === name);
    const first = `| \`src/${name}\` |`;
    if (score) return `${first} ${score.tried} | ${score.noticed} | ${percentOf(score)} % | ${goal} % |`;
    return known.find((line) => line.startsWith(first)) ?? `${first} | | not tried yet | ${goal} % |`;
  });
  return `# Quality

Written by \`make mutation\`: faults that Stryker put into the source, one at a time, and how many of them the unit tests of the same
room noticed.

| room | faults | noticed | score | goal |
| ---- | ------ | ------- | ----- | ---- |
${rows.join("\n")}
`;
}
