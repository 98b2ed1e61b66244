import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { onPath, withParent } from "../support/children.ts";
import { note, step } from "../support/progress.ts";
import { cacheFolder, makeWhole, withLock } from "./cache.ts";

const run = promisify(execFile);

/** A Go module of test/cluster/tools that pins some programs, and how they are built. */
interface Build {
  readonly module: string;
  /** Package path of each program, by the program's name. */
  readonly programs: Readonly<Record<string, string>>;
  readonly flags?: readonly string[];
}

const kubernetesVersion = "v1.37.2";
const [major, minor] = kubernetesVersion.slice(1).split(".");
const stamp = "k8s.io/component-base/version";

/** Without the stamp, clients can't parse the server's version. */
const kubernetesFlags = [
  "-ldflags",
  `-s -w -X ${stamp}.gitVersion=${kubernetesVersion} -X ${stamp}.gitMajor=${major} -X ${stamp}.gitMinor=${minor}`,
];

const kubernetes = (...names: string[]): Build => ({
  module: "kubernetes",
  programs: Object.fromEntries(names.map((name) => [name, `k8s.io/kubernetes/cmd/${name}`])),
  flags: kubernetesFlags,
});

/** As a release of Helm: without them `helm template` believes in Kubernetes 1.20. */
const helmCapabilities = "helm.sh/helm/v3/pkg/chartutil";
const helmFlags = [
  "-ldflags",
  `-s -w -X ${helmCapabilities}.k8sVersionMajor=${major} -X ${helmCapabilities}.k8sVersionMinor=${minor}`,
];

const builds = {
  etcd: { module: "etcd", programs: { etcd: "go.etcd.io/etcd/server/v3" }, flags: ["-ldflags", "-s -w"] },
  controlPlane: kubernetes("kube-apiserver", "kube-controller-manager"),
  node: kubernetes("kube-scheduler", "kubelet"),
  kubectl: kubernetes("kubectl"),
  containerd: {
    module: "containerd",
    programs: {
      containerd: "github.com/containerd/containerd/v2/cmd/containerd",
      "containerd-shim-runc-v2": "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
      ctr: "github.com/containerd/containerd/v2/cmd/ctr",
    },
    flags: ["-ldflags", "-s -w", "-tags", "no_btrfs no_zfs no_devmapper"],
  },
  helm: { module: "helm", programs: { helm: "helm.sh/helm/v3/cmd/helm" }, flags: helmFlags },
  helm4: { module: "helm4", programs: { helm4: "helm.sh/helm/v4/cmd/helm" }, flags: ["-ldflags", "-s -w"] },
  glua: { module: "glua", programs: { glua: "github.com/yuin/gopher-lua/cmd/glua" } },
} satisfies Record<string, Build>;

export type Tool = keyof typeof builds;

const moduleFolder = (module: string) => path.join(import.meta.dirname, "tools", module);

/** The folder that holds the programs; its name changes with their versions and flags. */
function binaryFolder(tool: Tool): string {
  const build: Build = builds[tool];
  const hash = createHash("sha256");
  for (const file of ["go.mod", "go.sum"])
    hash.update(readFileSync(path.join(moduleFolder(build.module), file)));
  hash.update(JSON.stringify([build, process.platform, process.arch]));
  return path.join(cacheFolder, "bin", `${tool}-${hash.digest("hex").slice(0, 16)}`);
}

export const isBuilt = (tool: Tool): boolean => existsSync(binaryFolder(tool));

/** Builds what isn't in the cache yet. An interrupted build leaves nothing: the folder appears by a rename. */
export async function ensureTools(...tools: readonly Tool[]): Promise<void> {
  for (const tool of tools) {
    const folder = binaryFolder(tool);
    if (existsSync(folder)) continue;
    await withLock(path.basename(folder), async () => {
      if (existsSync(folder)) return;
      if (!onPath("go")) {
        throw new Error(
          "Go is needed to build the test cluster: install it from https://go.dev/dl, or install kind and Docker",
        );
      }
      const { module, programs, flags = [] }: Build = builds[tool];
      tellOnce();
      await step(`build ${Object.keys(programs).join(", ")}`, async () => {
        const [[name, target] = ["", ""], ...more] = Object.entries(programs);
        const packages = more.length > 0 ? Object.values(programs) : [target];
        await makeWhole(folder, async (partial) => {
          // One command for many programs links them side by side; it names each after its package.
          const output = more.length > 0 ? `${partial}/` : path.join(partial, name);
          const [command, args] = withParent("go", [
            "build",
            "-trimpath",
            ...flags,
            "-o",
            output,
            ...packages,
          ]);
          await run(command, args, { cwd: moduleFolder(module), maxBuffer: 1 << 26 });
        });
      });
    });
  }
}

let isTold = false;
function tellOnce(): void {
  if (!isTold) note("the cluster is built from source, this once: some ten minutes on two cores");
  isTold = true;
}

/** Path of a program that ensureTools has built. */
export function toolPath(program: string): string {
  for (const [tool, build] of Object.entries(builds)) {
    if (program in build.programs) return path.join(binaryFolder(tool as Tool), program);
  }
  throw new Error(`no build makes ${program}`);
}
