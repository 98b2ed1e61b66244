import type { Config } from "jest";

const transform: Config["transform"] = {
  "\\.ts$": [
    "@swc/jest",
    { jsc: { target: "es2024", parser: { syntax: "typescript" } }, module: { type: "es6" } },
  ],
};

/** What needs no cluster to be tested to the last branch. */
const rooms = ["plan", "rollout", "runtime", "fetch", "feeds", "credentials", "controllers", "cluster"];

const config: Config = {
  testEnvironment: "node",
  extensionsToTreatAsEsm: [".ts"],
  transform,
  testMatch: ["<rootDir>/test/**/*.test.ts"],
  testPathIgnorePatterns: ["/node_modules/", "/dist/"],
  modulePathIgnorePatterns: ["<rootDir>/.mutation"],
  maxWorkers: 2,
  // Tests on a cluster wait for conditions, and a shared machine may be slow.
  testTimeout: 30_000,
  coverageProvider: "v8",
  collectCoverageFrom: [`src/{${rooms.join()}}/**/*.ts`],
  coverageThreshold: {
    global: { branches: 95 },
    ...Object.fromEntries(rooms.map((room) => [`./src/${room}/`, { branches: 95 }])),
  },
  coverageReporters: ["text"],
};

export default config;
