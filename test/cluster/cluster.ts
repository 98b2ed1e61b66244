import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { OPERATOR_IMAGE, packOperatorImage } from "../../tools/image/operator-image.ts";
import { atEnd } from "../support/at-end.ts";
import { onPath } from "../support/children.ts";
import { step } from "../support/progress.ts";
import { startBuiltinCluster } from "./builtin.ts";
import { ensureTools, toolPath } from "./tools.ts";

/** A cluster for tests and the demo, from whatever this machine has. */
export interface Cluster {
  readonly kubeconfig: string;
  readonly origin: "given" | "kind" | "built-in";
  /** Path of a kubectl. */
  readonly kubectl: string;
  /** Why no pods run here, or undefined. */
  readonly noPods: string | undefined;
  /** The operator's image, where the cluster has it or can pull it; else why not. */
  readonly operatorImage: () => Promise<{ readonly image: string } | { readonly missing: string }>;
  /** URL at which pods reach a port of this machine's 127.0.0.1; undefined where they can't. */
  readonly forPods: (port: number) => Promise<string | undefined>;
  /** Log of what ServiceAccounts asked the apiserver for, where there is one. */
  readonly auditLog: string | undefined;
  stop(): Promise<void>;
}

const run = promisify(execFile);

/** A cluster that isn't ours: whoever gives it says what pods can use. */
const foreign = {
  operatorImage: () => {
    const image = process.env["SECRETSYNC_TEST_IMAGE"];
    return Promise.resolve(
      image
        ? { image }
        : { missing: "SECRETSYNC_TEST_IMAGE names no operator image that the cluster can pull" },
    );
  },
  forPods: () => Promise.resolve(process.env["SECRETSYNC_TEST_AWS_FOR_PODS"]),
  auditLog: undefined,
};

/** `builtin`: not kind, where only the built-in one will do. */
export async function startCluster({ node = true, builtin = false } = {}): Promise<Cluster> {
  const given = process.env["SECRETSYNC_TEST_KUBECONFIG"];
  if (given) {
    const stop = () => Promise.resolve();
    return {
      kubeconfig: given,
      origin: "given",
      kubectl: await kubectl(),
      noPods: undefined,
      ...foreign,
      stop,
    };
  }
  const mustBeBuiltin = builtin || process.env["SECRETSYNC_TEST_CLUSTER"] === "builtin";
  if (!mustBeBuiltin && onPath("kind") && dockerAnswers()) return startKind();
  const own = await startBuiltinCluster({ node });
  return {
    kubeconfig: own.kubeconfig,
    origin: "built-in",
    kubectl: toolPath("kubectl"),
    noPods: own.noNode,
    operatorImage: async () => {
      if (!own.node) return { missing: "there are no pods" };
      const image = await step("pack the operator's image", () => Promise.resolve(packOperatorImage()));
      await own.node.importImage(image);
      return { image: OPERATOR_IMAGE };
    },
    async forPods(port) {
      await own.node?.relay.forward(port, port);
      return own.node && `http://${own.node.relay.address}:${port}`;
    },
    auditLog: own.controlPlane.auditLog,
    stop: () => own.stop(),
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
  const remove = async () => {
    await run("kind", ["delete", "cluster", "--name", name, "--kubeconfig", kubeconfig], options);
    rmSync(folder, { recursive: true, force: true });
  };
  const forget = atEnd(remove);
  await step(`create the kind cluster ${name}`, () =>
    run("kind", ["create", "cluster", "--name", name, "--kubeconfig", kubeconfig, "--wait", "120s"], options),
  );
  return {
    kubeconfig,
    origin: "kind",
    kubectl: await kubectl(),
    noPods: undefined,
    ...foreign,
    operatorImage: async () => {
      const archive = path.join(folder, "image.tar");
      writeFileSync(archive, packOperatorImage().archive);
      await step("load the operator's image", () =>
        run("kind", ["load", "image-archive", archive, "--name", name], options),
      );
      return { image: OPERATOR_IMAGE };
    },
    async stop() {
      await remove();
      forget();
    },
  };
}
