import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { step } from "../support/progress.ts";
import { startControlPlane, type ControlPlane } from "./control-plane.ts";
import { ensureSystemPackages, nodeObstacle, removeLeftovers, startNode, type Node } from "./node.ts";
import { ensureTools } from "./tools.ts";

/** The cluster that needs no Docker: real control plane, and a real node where this machine can run one. */
export interface BuiltinCluster {
  readonly controlPlane: ControlPlane;
  readonly kubeconfig: string;
  readonly node: Node | undefined;
  /** Why there are no pods, or undefined when there is a node. */
  readonly noNode: string | undefined;
  stop(): Promise<void>;
}

export async function startBuiltinCluster({ node = true } = {}): Promise<BuiltinCluster> {
  const noNode = node ? nodeObstacle() : "no node was asked for";
  await ensureTools("etcd", "controlPlane", "kubectl");
  if (!noNode) {
    await ensureTools("node", "containerd");
    await ensureSystemPackages();
  }
  if (!noNode) await removeLeftovers();
  const folder = realpathSync(mkdtempSync(path.join(tmpdir(), "secretsync-cluster-")));
  writeFileSync(path.join(folder, "pid"), String(process.pid));
  const controlPlane = await step("start etcd and the control plane", () =>
    startControlPlane({ folder, scheduler: !noNode }),
  );
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    const joined = noNode
      ? undefined
      : await step("start containerd and a kubelet", () => startNode(controlPlane));
    return {
      controlPlane,
      kubeconfig: controlPlane.kubeconfig,
      node: joined,
      noNode,
      async stop() {
        await joined?.stop();
        await controlPlane.stop();
        remove();
      },
    };
  } catch (error) {
    await controlPlane.stop();
    remove();
    throw error;
  }
}
