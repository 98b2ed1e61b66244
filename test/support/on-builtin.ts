import { describe } from "@jest/globals";
import { clusterOrigin } from "./suite.ts";

/** For tests that reach into the control plane itself. `what`: of a cluster of somebody else's it isn't ours. */
export function describeOnBuiltin(what: string): typeof describe {
  if (clusterOrigin === "built-in") return describe;
  process.stderr.write(`a test is skipped: ${what} of a ${clusterOrigin} cluster isn't ours\n`);
  return describe.skip as typeof describe;
}
