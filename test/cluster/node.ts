import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { globSync, mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { onPath, startChild, untilChild, type Child } from "../support/children.ts";
import { freePorts } from "../support/ports.ts";
import type { ControlPlane } from "./control-plane.ts";
import { isAlive } from "./cache.ts";
import { packImage, type PackedImage } from "../../tools/image/oci.ts";
import { releaseAddress, startRelay, type Relay } from "./relay.ts";
import { toolPath } from "./tools.ts";

const run = promisify(execFile);

/** The image that every test pod uses. Real clusters pull the same name from Docker Hub. */
const BUSYBOX = "docker.io/library/busybox:1.37";
const applets = [
  "sh",
  "sleep",
  "cat",
  "echo",
  "env",
  "printf",
  "true",
  "false",
  "ls",
  "date",
  "grep",
  "wget",
  "nc",
  "httpd",
];

/** What a node needs beyond what we build, as command or file, and the Debian package that has it. */
const systemPackages: readonly { package: string; present: () => boolean }[] = [
  { package: "iproute2", present: () => onPath("ip") !== undefined },
  { package: "runc", present: () => onPath("runc") !== undefined },
  { package: "iptables", present: () => onPath("iptables") !== undefined },
  {
    package: "containernetworking-plugins",
    present: () => exists("/usr/lib/cni/ptp") || exists("/opt/cni/bin/ptp"),
  },
  { package: "busybox-static", present: () => onPath("busybox") !== undefined },
];

/** In a cluster's folder: the address that it has on the loopback interface. */
const ADDRESS_FILE = "address";

const exists = (file: string) => {
  try {
    readFileSync(file, { flag: "r" });
    return true;
  } catch {
    return false;
  }
};

/** Why no pods can run here, or undefined. */
export function nodeObstacle(): string | undefined {
  if (process.platform !== "linux") return `a node needs Linux, and this is ${process.platform}`;
  if (process.getuid?.() !== 0) return "a node needs root; run as root, or use kind with Docker";
  return undefined;
}

/** Installs missing system packages by apt, or says in one line which are missing. */
export async function ensureSystemPackages(): Promise<void> {
  const missing = () => systemPackages.filter((entry) => !entry.present()).map((entry) => entry.package);
  if (missing().length === 0) return;
  if (onPath("apt-get")) {
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    await run("apt-get", ["update"], { env, maxBuffer: 1 << 26 }).catch(() => undefined);
    await run("apt-get", ["install", "-y", "--no-install-recommends", ...missing()], {
      env,
      maxBuffer: 1 << 26,
    }).catch(() => undefined);
  }
  if (missing().length > 0)
    throw new Error(`install these system packages for a node: ${missing().join(", ")}`);
}

export interface Node {
  /** Where pods reach ports of this machine: the apiserver at 443, and what is forwarded. */
  readonly relay: Relay;
  /** Gives the node an image that no registry has. */
  importImage(image: PackedImage): Promise<void>;
  stop(): Promise<void>;
}

/** containerd and kubelet on this machine, joined to the control plane as the node "localhost". */
export async function startNode(controlPlane: ControlPlane): Promise<Node> {
  const folder = path.join(controlPlane.folder, "node");
  const at = (...parts: string[]) => path.join(folder, ...parts);
  for (const name of ["containerd", "cni", "kubelet", "manifests"]) mkdirSync(at(name), { recursive: true });
  const logs = path.join(controlPlane.folder, "logs");
  const socket = at("containerd", "containerd.sock");
  const [kubeletPort, healthPort] = (await freePorts(2)) as [number, number];
  const cniBinaries = exists("/usr/lib/cni/ptp") ? "/usr/lib/cni" : "/opt/cni/bin";
  // A subnet of its own for each cluster on this machine.
  const subnet = `10.${64 + (kubeletPort % 64)}.${(kubeletPort >> 6) % 256}.0/24`;

  writeFileSync(at("cni", "10-ptp.conflist"), JSON.stringify(cniConfig(subnet, at("cni-data")), null, 2));
  writeFileSync(at("containerd.toml"), containerdConfig(folder, socket, cniBinaries));
  writeFileSync(at("kubelet.json"), JSON.stringify(kubeletConfig(socket, kubeletPort, healthPort), null, 2));

  const ctr = (...args: string[]) =>
    run(toolPath("ctr"), ["-a", socket, "-n", "k8s.io", ...args], { maxBuffer: 1 << 26 });
  const importImage = async ({ archive }: PackedImage) => {
    const file = at(`${randomUUID()}.tar`);
    writeFileSync(file, archive);
    await ctr("images", "import", file);
    rmSync(file);
  };
  const children: Child[] = [];
  writeFileSync(path.join(controlPlane.folder, ADDRESS_FILE), controlPlane.serviceAddress);
  const relay = await startRelay(controlPlane.serviceAddress);
  const stop = async () => {
    await relay.stop();
    await children[1]?.stop();
    await removeContainers(ctr);
    await children[0]?.stop();
    killShims(folder);
    await unmountBelow(folder);
  };
  try {
    await relay.forward(443, controlPlane.port);
    const containerd = startChild("containerd", toolPath("containerd"), ["--config", at("containerd.toml")], {
      logFile: path.join(logs, "containerd.log"),
      env: {
        ...process.env,
        PATH: `${path.dirname(toolPath("containerd"))}:${process.env["PATH"]}:/usr/sbin:/sbin`,
      },
    });
    children.push(containerd);
    await untilChild(containerd, "containerd answers", () => ctr("version").then(() => true));
    await importImage(
      packImage({
        reference: BUSYBOX,
        files: [
          { path: "bin/", mode: 0o755 },
          { path: "tmp/", mode: 0o1777 },
          { path: "bin/busybox", mode: 0o755, content: readFileSync(onPath("busybox") as string) },
          ...applets.map((applet) => ({ path: `bin/${applet}`, mode: 0o777, link: "busybox" })),
        ],
        config: { Cmd: ["sleep", "2147483647"], Env: ["PATH=/bin"] },
      }),
    );
    children.push(
      startChild(
        "kubelet",
        toolPath("kubelet"),
        [
          `--config=${at("kubelet.json")}`,
          `--kubeconfig=${controlPlane.kubeconfigFor("system:node:localhost")}`,
          `--root-dir=${at("kubelet")}`,
          "--hostname-override=localhost",
        ],
        {
          logFile: path.join(logs, "kubelet.log"),
          env: { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` },
        },
      ),
    );
    return { relay, importImage, stop };
  } catch (error) {
    await stop();
    throw new Error(`the node did not start: ${children.map((child) => child.tail()).join("\n")}`, {
      cause: error,
    });
  }
}

const cniConfig = (subnet: string, dataDir: string) => ({
  cniVersion: "1.0.0",
  name: "secretsync-test",
  plugins: [
    {
      type: "ptp",
      ipMasq: false,
      ipam: { type: "host-local", dataDir, ranges: [[{ subnet }]], routes: [{ dst: "0.0.0.0/0" }] },
    },
  ],
});

/** https://github.com/containerd/containerd/blob/main/docs/cri/config.md */
const containerdConfig = (folder: string, socket: string, cniBinaries: string) => `version = 3
root = "${folder}/containerd/root"
state = "${folder}/containerd/state"
[grpc]
  address = "${socket}"
[ttrpc]
  address = "${socket}.ttrpc"
[plugins.'io.containerd.cri.v1.runtime']
  # So that unmounting what is below our folder takes network namespaces along, and their interfaces with them.
  netns_mounts_under_state_dir = true
  # Without CAP_SYS_RESOURCE runc can't lower a score and dies.
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["${cniBinaries}"]
    conf_dir = "${folder}/cni"
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "${BUSYBOX}"
`;

/** https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/ */
const kubeletConfig = (socket: string, port: number, healthzPort: number) => ({
  apiVersion: "kubelet.config.k8s.io/v1beta1",
  kind: "KubeletConfiguration",
  address: "127.0.0.1",
  port,
  healthzPort,
  readOnlyPort: 0,
  authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
  authorization: { mode: "AlwaysAllow" },
  containerRuntimeEndpoint: `unix://${socket}`,
  cgroupDriver: "cgroupfs",
  cgroupsPerQOS: false,
  enforceNodeAllocatable: [],
  failCgroupV1: false,
  failSwapOn: false,
  makeIPTablesUtilChains: false,
  // A mounted Secret follows at once instead of after up to a minute.
  configMapAndSecretChangeDetectionStrategy: "Watch",
  syncFrequency: "1s",
  evictionHard: {
    "memory.available": "0%",
    "nodefs.available": "0%",
    "nodefs.inodesFree": "0%",
    "imagefs.available": "0%",
  },
  imageGCHighThresholdPercent: 100,
  registerWithTaints: [],
});

type Ctr = (...args: string[]) => Promise<{ stdout: string }>;

/** Containers outlive containerd and kubelet unless they are removed one by one. */
async function removeContainers(ctr: Ctr): Promise<void> {
  const names = async (what: string) =>
    (await ctr(what, "ls", "-q").catch(() => ({ stdout: "" }))).stdout.split("\n").filter(Boolean);
  await Promise.all(
    (await names("tasks")).map((id) => ctr("tasks", "rm", "--force", id).catch(() => undefined)),
  );
  await Promise.all(
    (await names("containers")).map((id) => ctr("containers", "rm", id).catch(() => undefined)),
  );
}

/**
 * Pods of clusters whose process was killed: the kernel ended containerd and kubelet with it, but a container's shim
 * lives on its own. Only folders of this program that name a process that is gone are touched.
 */
export async function removeLeftovers(): Promise<void> {
  for (const folder of globSync(path.join(realpathSync(tmpdir()), "secretsync-cluster-*"))) {
    if (isAlive(path.join(folder, "pid"))) continue;
    await removeLeftover(folder);
  }
}

/** What outlives the processes of a cluster, whether they ended well or not. */
export async function removeLeftover(folder: string): Promise<void> {
  killShims(folder);
  await unmountBelow(folder);
  const address = readText(path.join(folder, ADDRESS_FILE));
  if (address) await releaseAddress(address);
  rmSync(folder, { recursive: true, force: true });
}

/** And what they run: a container that was just being made when the node stopped is in no list. */
function killShims(folder: string): void {
  for (const cmdline of globSync("/proc/[0-9]*/cmdline")) {
    const pid = Number(cmdline.split("/")[2]);
    const [program = ""] = readText(cmdline).split("\0");
    if (!program.includes("containerd-shim") || !readText(cmdline).includes(`${folder}/`)) continue;
    for (const child of readText(`/proc/${pid}/task/${pid}/children`).split(" ").filter(Boolean))
      kill(Number(child));
    kill(pid);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Gone by itself.
  }
}

/** Empty for what is gone or can't be read. */
function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

/** Root file systems, volumes and network namespaces stay mounted when their pods are gone. */
async function unmountBelow(folder: string): Promise<void> {
  const mounts = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((mount) => mount.startsWith(`${folder}/`));
  for (const mount of mounts.toReversed()) await run("umount", ["-l", mount]).catch(() => undefined);
}
