/** Writes everything that is generated. `make verify` runs it and fails when the tree changes. */
import { mkdirSync, writeFileSync } from "node:fs";
import { stringify } from "yaml";
import { customResourceDefinition, kinds } from "../src/api/crd.ts";
import { GROUP } from "../src/api/group.ts";

const header = "# Generated from src/api by `make generate`. Do not edit.\n";

mkdirSync("crds", { recursive: true });
for (const kind of kinds) {
  const yaml =
    header + stringify(customResourceDefinition(kind), { lineWidth: 0, aliasDuplicateObjects: false });
  writeFileSync(`crds/${kind.plural}.${GROUP}.yaml`, yaml);
}
