import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { onPath } from "../support/children.ts";
import { step } from "../support/progress.ts";
import { startBuiltinCluster } from "./builtin.ts";
import type { ControlPlane } from "./control-plane.ts";
import { ensureTools, toolPath } from "./tools.ts";

/** A cluster for tests and the demo, from whatever this machine has. */
export interface Cluster {
  readonly kubeconfig: string;
  readonly origin: "given" | "kind" | "built-in";
  /** Path of a kubectl. */
  readonly kubectl: string;
  /** Why no pods run here, or undefined. */
  readonly noPods: string | undefined;
  /** Only of the built-in cluster, whose processes tests may stop and start. */
  readonly controlPlane: ControlPlane | undefined;
  stop(): Promise<void>;
}

const run = promisify(execFile);

export async function startCluster({ node = true } = {}): Promise<Cluster> {
  const given = process.env["SECRETSYNC_TEST_KUBECONFIG"];
  if (given) {
    const stop = () => Promise.resolve();
    return {
      kubeconfig: given,
      origin: "given",
      kubectl: await kubectl(),
      noPods: undefined,
      controlPlane: undefined,
      stop,
    };
  }
  if (node && onPath("kind") && dockerAnswers()) return startKind();
  const builtin = await startBuiltinCluster({ node });
  return {
    kubeconfig: builtin.kubeconfig,
    origin: "built-in",
    kubectl: toolPath("kubectl"),
    noPods: builtin.noNode,
    controlPlane: builtin.controlPlane,
    stop: () => builtin.stop(),
  };
}

async function kubectl(): Promise<string> {
  const installed = onPath("kubectl");
  if (installed) return installed;
  await ensureTools("kubectl");
  return toolPath("kubectl");
}

function dockerAnswers(): boolean {
  try {
    execFileSync("docker", ["info"], { stdio: "ignore", timeout: 10_000 });
    return true;
  } catch {
    return false;
  }
}

async function startKind(): Promise<Cluster> {
  const name = `secretsync-${process.pid}`;
  const folder = mkdtempSync(path.join(tmpdir(), "secretsync-kind-"));
  const kubeconfig = path.join(folder, "kubeconfig");
  const options = { maxBuffer: 1 << 26 };
  await step(`create the kind cluster ${name}`, () =>
    run("kind", ["create", "cluster", "--name", name, "--kubeconfig", kubeconfig, "--wait", "120s"], options),
  );
  return {
    kubeconfig,
    origin: "kind",
    kubectl: await kubectl(),
    noPods: undefined,
    controlPlane: undefined,
    async stop() {
      await run("kind", ["delete", "cluster", "--name", name, "--kubeconfig", kubeconfig], options);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
