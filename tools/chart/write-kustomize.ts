/** The last part of `make generate`: writes the Kustomize base from the chart. */
import { writeFileSync } from "node:fs";
import { ensureTools } from "../../test/cluster/tools.ts";
import { kustomizeBase } from "./kustomize.ts";

await ensureTools("helm");
writeFileSync("config/install.yaml", kustomizeBase());
