import { mkdtempSync, realpathSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { atEnd } from "../support/at-end.ts";
import { step } from "../support/progress.ts";
import { startControlPlane, type ControlPlane } from "./control-plane.ts";
import {
  ensureSystemPackages,
  nodeObstacle,
  removeLeftover,
  removeLeftovers,
  startNode,
  type Node,
} from "./node.ts";
import { whoIs } from "./cache.ts";
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
  writeFileSync(path.join(folder, "pid"), whoIs(process.pid) ?? "");
  const started: { stop(): Promise<void> }[] = [];
  const stop = async () => {
    for (const part of started.splice(0).toReversed()) await part.stop();
    await removeLeftover(folder);
    forget();
  };
  const forget = atEnd(stop);
  try {
    const controlPlane = await step("start etcd and the control plane", () =>
      startControlPlane({ folder, scheduler: !noNode }),
    );
    started.push(controlPlane);
    const joined = noNode
      ? undefined
      : await step("start containerd and a kubelet", () => startNode(controlPlane));
    if (joined) started.push(joined);
    return { controlPlane, kubeconfig: controlPlane.kubeconfig, node: joined, noNode, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
