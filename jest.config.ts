import type { Config } from "jest";

const transform: Config["transform"] = {
  "\\.ts$": [
    "@swc/jest",
    { jsc: { target: "es2024", parser: { syntax: "typescript" } }, module: { type: "es6" } },
  ],
};

const config: Config = {
  testEnvironment: "node",
  extensionsToTreatAsEsm: [".ts"],
  transform,
  testMatch: ["<rootDir>/test/**/*.test.ts"],
  testPathIgnorePatterns: ["/node_modules/", "/dist/"],
  maxWorkers: 2,
  // Tests on a cluster wait for conditions, and a shared machine may be slow.
  testTimeout: 30_000,
  coverageProvider: "v8",
  collectCoverageFrom: ["src/{plan,runtime,fetch,feeds}/**/*.ts"],
  coverageThreshold: {
    global: { branches: 95 },
    "./src/plan/": { branches: 95 },
    "./src/runtime/": { branches: 95 },
    "./src/fetch/": { branches: 95 },
    "./src/feeds/": { branches: 95 },
  },
  coverageReporters: ["text"],
};

export default config;
