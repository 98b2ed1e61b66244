import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { startCluster } from "../cluster/cluster.ts";
import { atEnd } from "./at-end.ts";
import { installCrds } from "./crds.ts";
import { startMinistack } from "./ministack.ts";
import { run } from "./kubectl.ts";

/** What cluster-teardown.ts runs: Jest loads both in the same process. */
export const teardown: { run: () => Promise<void> } = ((globalThis as Record<string, unknown>)[
  "secretsyncTeardown"
] ??= {
  run: () => Promise.resolve(),
}) as { run: () => Promise<void> };

/** Before the first test of a suite: one cluster and one AWS for all of its files, told to each by environment. */
// oxlint-disable-next-line import/no-default-export -- Jest asks for one.
export default async function setup(): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), "secretsync-suite-"));
  const forget = atEnd(() => rmSync(folder, { recursive: true, force: true }));
  const undo: (() => unknown)[] = [
    () => {
      rmSync(folder, { recursive: true, force: true });
      forget();
    },
  ];
  teardown.run = async () => {
    for (const each of undo.toReversed()) await each();
  };
  try {
    await start(folder, undo);
  } catch (error) {
    // Jest tears down only what was set up.
    await teardown.run();
    throw error;
  }
}

async function start(folder: string, undo: (() => unknown)[]): Promise<void> {
  const cluster = await startCluster({
    node: !["integration", "redteam"].includes(process.env["SECRETSYNC_TEST_SUITE"] ?? ""),
  });
  undo.push(() => cluster.stop());
  mkdirSync(path.join(folder, "logs"));
  const ministack = await startMinistack(path.join(folder, "ministack.log"));
  undo.push(() => ministack.stop());
  const installs = process.env["SECRETSYNC_TEST_SUITE"] === "install";
  const image = installs
    ? await cluster.operatorImage()
    : { missing: "this suite runs no operator in a pod" };
  const awsForPods = installs ? await cluster.forPods(Number(new URL(ministack.endpoint).port)) : undefined;
  Object.assign(process.env, {
    SECRETSYNC_SUITE_IMAGE: "image" in image && awsForPods ? image.image : "",
    SECRETSYNC_SUITE_NO_IMAGE:
      "missing" in image ? image.missing : awsForPods ? "" : "SECRETSYNC_TEST_AWS_FOR_PODS names no emulator",
    SECRETSYNC_SUITE_AWS_FOR_PODS: awsForPods ?? "",
    SECRETSYNC_SUITE_AUDIT: cluster.auditLog ?? "",
    SECRETSYNC_SUITE_KUBECONFIG: cluster.kubeconfig,
    SECRETSYNC_SUITE_KUBECTL: cluster.kubectl,
    SECRETSYNC_SUITE_NO_PODS: cluster.noPods ?? "",
    SECRETSYNC_SUITE_ORIGIN: cluster.origin,
    SECRETSYNC_SUITE_AWS: ministack.endpoint,
    SECRETSYNC_SUITE_FOLDER: folder,
  });
  // The chart brings its own.
  if (!installs) await installCrds(run);
}
