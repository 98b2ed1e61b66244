import { afterAll, expect } from "@jest/globals";
import path from "node:path";
import { leaks } from "./leaks.ts";
import { suiteVariable } from "./suite.ts";

/** After every file of tests on a cluster: no secret value shows anywhere but in Secrets. */
afterAll(async () => {
  expect(await leaks(path.join(suiteVariable("FOLDER"), "logs", "*.{log,metrics,spans}"))).toEqual([]);
}, 60_000);
