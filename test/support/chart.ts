import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { parse, stringify } from "yaml";
import { toolPath } from "../cluster/tools.ts";
import { TEST_CREDENTIALS, TEST_REGION } from "./aws.ts";
import { run } from "./kubectl.ts";
import { kubeconfig, logFile, newAdmin, suiteVariable, unique } from "./suite.ts";

/** The chart, as users install it. */
export const chart = path.resolve(import.meta.dirname, "../../charts/secretsync");

export type Helm = "helm" | "helm4";

/** Values under which the operator runs in the test cluster, from the image that it has, against the emulator. */
export const testValues = (more: Record<string, unknown> = {}): Record<string, unknown> => {
  const image = suiteVariable("IMAGE");
  const colon = image.lastIndexOf(":");
  return {
    image: { repository: image.slice(0, colon), tag: image.slice(colon + 1), pullPolicy: "IfNotPresent" },
    extraEnv: Object.entries({
      AWS_ENDPOINT_URL_SECRETS_MANAGER: suiteVariable("AWS_FOR_PODS"),
      AWS_REGION: TEST_REGION,
      AWS_ACCESS_KEY_ID: TEST_CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: TEST_CREDENTIALS.secretAccessKey,
    }).map(([name, value]) => ({ name, value })),
    logLevel: "trace",
    ...more,
  };
};

/** What operators of releases were refused while they had their rights. */
export const refusals: Request[] = [];

export function newRelease(helm: Helm, name: string, namespace: string) {
  const call = async (...args: string[]): Promise<string> => {
    const { stdout } = await promisify(execFile)(
      toolPath(helm),
      ["--kubeconfig", kubeconfig, "--namespace", namespace, ...args],
      { maxBuffer: 1 << 26 },
    );
    return stdout;
  };
  const withValues = (values: Record<string, unknown>): string[] => {
    const file = logFile(`${unique("values")}.yaml`);
    writeFileSync(file, stringify(values));
    return ["--values", file];
  };
  const logs = () =>
    run(
      "logs",
      "--namespace",
      namespace,
      "--selector",
      `app.kubernetes.io/instance=${name}`,
      "--tail=-1",
      "--ignore-errors",
    );
  const account = `system:serviceaccount:${namespace}:${name}`;
  return {
    name,
    namespace,
    account,
    call,
    install: (values: Record<string, unknown>) =>
      call("install", name, chart, "--wait", "--timeout=120s", ...withValues(values)),
    upgrade: (values: Record<string, unknown>) =>
      call("upgrade", name, chart, "--wait", "--timeout=120s", ...withValues(values)),
    rollback: (revision: number) => call("rollback", name, String(revision), "--wait", "--timeout=120s"),
    async uninstall(): Promise<void> {
      // Helm takes the rights away before the pods have ended.
      if (suiteVariable("AUDIT")) refusals.push(...requestsOf(account).filter(({ refused }) => refused));
      // For the scan that comes after the tests.
      writeFileSync(logFile(unique(name)), await logs());
      await call("uninstall", name, "--wait", "--timeout=120s");
    },
    template: (values: Record<string, unknown>) => call("template", name, chart, ...withValues(values)),
    /** The pod that leads. */
    async leader(): Promise<string> {
      const holder = await run(
        "get",
        "lease",
        "--namespace",
        namespace,
        name,
        "-o",
        "jsonpath={.spec.holderIdentity}",
      );
      return holder.split("_")[0] ?? "";
    },
    logs,
  };
}

/** Creates a namespace in which pods must keep to the restricted Pod Security level. */
export async function restrictedNamespace(prefix: string): Promise<string> {
  const namespace = unique(prefix);
  await run("create", "namespace", namespace);
  await run("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted");
  return namespace;
}

/** A request of the operator, as the apiserver's audit log has it. */
export interface Request {
  readonly verb: string;
  /** group/resource, with the subresource. */
  readonly what: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly uri: string;
  readonly refused: boolean;
}

/** Every request that the account made. */
export function requestsOf(account: string): readonly Request[] {
  const requests: Request[] = [];
  for (const line of readFileSync(suiteVariable("AUDIT"), "utf8").split("\n")) {
    if (!line.includes(`"${account}"`)) continue;
    const { verb, objectRef, responseStatus, requestURI } = JSON.parse(line) as AuditEvent;
    if (!objectRef) continue;
    const { apiGroup = "", resource, subresource, namespace, name } = objectRef;
    const request = {
      verb,
      what: `${apiGroup}/${resource}${subresource ? `/${subresource}` : ""}`,
      namespace,
      name,
      uri: requestURI,
      refused: responseStatus?.code === 403,
    };
    requests.push(request);
    // Server-side apply of what doesn't exist yet needs the right to create it, of any name.
    if (verb === "patch" && responseStatus?.code === 201)
      requests.push({ ...request, verb: "create", name: undefined });
  }
  return requests;
}

interface AuditEvent {
  readonly verb: string;
  readonly requestURI: string;
  readonly objectRef?: {
    readonly apiGroup?: string;
    readonly resource: string;
    readonly subresource?: string;
    readonly namespace?: string;
    readonly name?: string;
  };
  readonly responseStatus?: { readonly code?: number };
}

/** One verb on one resource, where and on what. */
export interface Grant {
  readonly verb: string;
  readonly what: string;
  /** undefined: everywhere. */
  readonly namespace: string | undefined;
  /** Empty: all. */
  readonly names: readonly string[];
}

/** Whether the grant is what allows the request. */
export const allows = (grant: Grant, { verb, what, namespace, name }: Request): boolean =>
  grant.verb === verb &&
  grant.what === what &&
  (grant.namespace === undefined || grant.namespace === namespace) &&
  (grant.names.length === 0 || grant.names.includes(name ?? ""));

/** Everything that the release's Roles and ClusterRoles grant to the operator. */
export async function grantsOf(release: string): Promise<readonly Grant[]> {
  const selector = `app.kubernetes.io/instance=${release}`;
  const { items } = JSON.parse(
    await run("get", "clusterroles,roles", "--all-namespaces", "--selector", selector, "-o", "json"),
  ) as {
    items: {
      metadata: { labels: Record<string, string>; namespace?: string };
      rules: { apiGroups: string[]; resources: string[]; verbs: string[]; resourceNames?: string[] }[];
    }[];
  };
  return (
    items
      // Those for people.
      .filter(({ metadata }) => !Object.keys(metadata.labels).some((label) => label.includes("aggregate-to")))
      .flatMap(({ metadata: { namespace }, rules }) =>
        rules.flatMap(({ apiGroups, resources, verbs, resourceNames: names = [] }) =>
          verbs.flatMap((verb) =>
            apiGroups.flatMap((group) =>
              resources.map((resource) => ({ verb, what: `${group}/${resource}`, namespace, names })),
            ),
          ),
        ),
      )
  );
}

/** A client with the rights of the release's ServiceAccount. */
export const asOperator = async ({ name, namespace }: { name: string; namespace: string }) =>
  newAdmin(await accountKubeconfig(namespace, name));

export async function accountKubeconfig(namespace: string, name: string): Promise<string> {
  const token = (await run("create", "token", "-n", namespace, name)).trim();
  const config = parse(readFileSync(kubeconfig, "utf8")) as {
    users: unknown[];
    contexts: { context: { user: string } }[];
  };
  config.users = [{ name: "operator", user: { token } }];
  for (const { context } of config.contexts) context.user = "operator";
  const file = logFile(unique("operator.kubeconfig"));
  writeFileSync(file, stringify(config), { mode: 0o600 });
  return file;
}
