import { execFileSync } from "node:child_process";
import { toolPath } from "../../test/cluster/tools.ts";

/** The Kustomize base: what the chart renders with its defaults. `ensureTools("helm")` must have run. */
export function kustomizeBase(): string {
  const rendered = execFileSync(
    toolPath("helm"),
    ["template", "secretsync", "charts/secretsync", "--namespace=secretsync-system", "--skip-tests"],
    { encoding: "utf8", maxBuffer: 1 << 26 },
  );
  return rendered.replaceAll("app.kubernetes.io/managed-by: Helm", "app.kubernetes.io/managed-by: kustomize");
}
