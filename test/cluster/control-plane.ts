import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { get } from "node:https";
import path from "node:path";
import { stringify } from "yaml";
import { startChild, type Child } from "../support/children.ts";
import { freePorts } from "../support/ports.ts";
import { until } from "../support/wait.ts";
import { toolPath } from "./tools.ts";

/** etcd, kube-apiserver, kube-controller-manager and kube-scheduler as local processes on free loopback ports. */
export interface ControlPlane {
  readonly folder: string;
  readonly server: string;
  /** etcd, as its gateway for JSON: https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/ */
  readonly etcdUrl: string;
  /** Port of the apiserver on 127.0.0.1. */
  readonly port: number;
  /** Address of the Service "kubernetes", which pods are told. */
  readonly serviceAddress: string;
  /** Requests of ServiceAccounts, one JSON object a line. */
  readonly auditLog: string;
  /** kubeconfig of a cluster admin. */
  readonly kubeconfig: string;
  /** Writes a kubeconfig for a user of the token file: kubelet or a component. */
  kubeconfigFor(user: keyof typeof users): string;
  /** Ends the apiserver, as a crash or an upgrade would. */
  stopApiserver(): Promise<void>;
  startApiserver(): Promise<void>;
  readonly children: readonly Child[];
  stop(): Promise<void>;
}

const users = {
  admin: "system:masters",
  "system:kube-controller-manager": "",
  "system:kube-scheduler": "",
  "system:node:localhost": "system:nodes",
} as const;

export interface ControlPlaneOptions {
  /** Folder for data, keys and logs; it may be deleted after stop(). */
  readonly folder: string;
  readonly scheduler: boolean;
}

export async function startControlPlane({ folder, scheduler }: ControlPlaneOptions): Promise<ControlPlane> {
  const at = (...parts: string[]) => path.join(folder, ...parts);
  for (const name of ["logs", "pki", "etcd"]) mkdirSync(at(name), { recursive: true, mode: 0o700 });
  const [etcdPort, peerPort, apiPort, managerPort, schedulerPort] = (await freePorts(5)) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const server = `https://127.0.0.1:${apiPort}`;
  const etcdUrl = `http://127.0.0.1:${etcdPort}`;
  const children: Child[] = [];
  const start = (name: string, args: string[]) => {
    const child = startChild(name, toolPath(name), args, { logFile: at("logs", `${name}.log`) });
    children.push(child);
    return child;
  };

  const tokens = Object.fromEntries(
    Object.keys(users).map((user) => [user, randomBytes(16).toString("hex")]),
  );
  writeFileSync(
    at("pki", "tokens.csv"),
    Object.entries(users)
      .map(([user, group]) => `${tokens[user]},${user},${user},"${group}"\n`)
      .join(""),
    { mode: 0o600 },
  );
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  writeFileSync(at("pki", "sa.pub"), publicKey.export({ type: "spki", format: "pem" }));
  writeFileSync(at("pki", "sa.key"), privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });

  const etcd = start("etcd", [
    `--data-dir=${at("etcd")}`,
    // Attacks fill more than the default of 2 GiB.
    `--quota-backend-bytes=${8 * 1024 ** 3}`,
    `--listen-client-urls=${etcdUrl}`,
    `--advertise-client-urls=${etcdUrl}`,
    `--listen-peer-urls=http://127.0.0.1:${peerPort}`,
    "--log-level=warn",
  ]);

  // A range of its own for each cluster of this machine: its first address is one of the machine's.
  const services = `10.${128 + (apiPort % 64)}.${(apiPort >> 6) % 256}`;
  writeFileSync(at("pki", "audit.yaml"), stringify(auditPolicy));
  let apiserver: Child | undefined;
  const startApiserver = async () => {
    apiserver = start("kube-apiserver", [
      `--etcd-servers=${etcdUrl}`,
      "--bind-address=127.0.0.1",
      `--secure-port=${apiPort}`,
      `--cert-dir=${at("pki")}`,
      `--token-auth-file=${at("pki", "tokens.csv")}`,
      "--authorization-mode=Node,RBAC",
      "--allow-privileged=true",
      `--service-cluster-ip-range=${services}.0/24`,
      `--audit-policy-file=${at("pki", "audit.yaml")}`,
      `--audit-log-path=${at("logs", "audit.log")}`,
      "--audit-log-mode=blocking",
      "--service-account-issuer=https://kubernetes.default.svc",
      `--service-account-key-file=${at("pki", "sa.pub")}`,
      `--service-account-signing-key-file=${at("pki", "sa.key")}`,
      "--endpoint-reconciler-type=none",
      "--shutdown-delay-duration=0",
    ]);
    await waitReady(apiserver, server);
  };
  const kubeconfigFor = (user: keyof typeof users) => {
    const file = at("pki", `${user.replaceAll(":", "-")}.kubeconfig`);
    writeFileSync(file, kubeconfig(server, at("pki", "apiserver.crt"), user, tokens[user] as string), {
      mode: 0o600,
    });
    return file;
  };

  const stop = async () => {
    const rest = children.filter((child) => child !== etcd);
    await Promise.all(rest.map((child) => child.stop()));
    await etcd.stop();
  };

  try {
    await startApiserver();
    start("kube-controller-manager", [
      `--kubeconfig=${kubeconfigFor("system:kube-controller-manager")}`,
      "--bind-address=127.0.0.1",
      `--secure-port=${managerPort}`,
      `--service-account-private-key-file=${at("pki", "sa.key")}`,
      `--root-ca-file=${at("pki", "apiserver.crt")}`,
      "--use-service-account-credentials=true",
      "--leader-elect=false",
    ]);
    if (scheduler) {
      start("kube-scheduler", [
        `--kubeconfig=${kubeconfigFor("system:kube-scheduler")}`,
        "--bind-address=127.0.0.1",
        `--secure-port=${schedulerPort}`,
        "--leader-elect=false",
      ]);
    }
  } catch (error) {
    await stop();
    throw error;
  }

  return {
    folder,
    server,
    etcdUrl,
    port: apiPort,
    serviceAddress: `${services}.1`,
    auditLog: at("logs", "audit.log"),
    kubeconfig: kubeconfigFor("admin"),
    kubeconfigFor,
    children,
    startApiserver,
    stopApiserver: async () => {
      await apiserver?.stop(10_000);
    },
    stop,
  };
}

/** What ServiceAccounts ask for, so that tests can compare it with what they may ask for. */
const auditPolicy = {
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  omitStages: ["RequestReceived"],
  rules: [
    { level: "None", userGroups: ["system:serviceaccounts:kube-system"] },
    { level: "Metadata", userGroups: ["system:serviceaccounts"] },
    { level: "None" },
  ],
};

function kubeconfig(server: string, certificateAuthority: string, user: string, token: string): string {
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "secretsync-test",
    clusters: [
      { name: "secretsync-test", cluster: { server, "certificate-authority": certificateAuthority } },
    ],
    users: [{ name: user, user: { token } }],
    contexts: [{ name: "secretsync-test", context: { cluster: "secretsync-test", user } }],
  });
}

/** Waits for /readyz; the apiserver's own log explains a failure. */
async function waitReady(apiserver: Child, server: string): Promise<void> {
  try {
    await until(
      "the apiserver is ready",
      async () => {
        if (apiserver.exited) return false;
        return new Promise<boolean>((resolve) => {
          get(`${server}/readyz`, { rejectUnauthorized: false, agent: false }, (response) => {
            response.resume();
            resolve(response.statusCode === 200);
          }).on("error", () => resolve(false));
        });
      },
      { timeoutMs: 60_000 },
    );
  } catch (error) {
    throw new Error(`kube-apiserver did not start: ${apiserver.tail()}`, { cause: error });
  }
}
