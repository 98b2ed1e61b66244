import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { KubeApi, KubeObject } from "../../src/kube/kube-api.ts";
import { resources } from "../../src/kube/resources.ts";
import type { Transport } from "../../src/kube/transport.ts";
import { awsUser } from "../support/aws.ts";
import { run } from "../support/kubectl.ts";
import { canary } from "../support/leaks.ts";
import type { OperatorProcess } from "../support/operator.ts";
import { awsEndpoint, newAdmin, newTenant, noPods, request, signal, unique } from "../support/suite.ts";
import { until } from "../support/wait.ts";

/** Real pods on a real kubelet, with ministack as AWS: what the users' programs see. */

const withPods = noPods ? describe.skip : describe;
if (noPods) process.stderr.write(`pod tests are skipped: ${noPods}\n`);

const aws = awsUser(awsEndpoint);
let transport: Transport;
let api: KubeApi;
let operator: OperatorProcess;
let ns: Awaited<ReturnType<typeof newTenant>>;
let namespace: string;

beforeAll(async () => {
  ({ api, transport } = newAdmin());
  ns = await newTenant(api, "pods", awsEndpoint);
  ({ namespace } = ns);
  operator = await ns.startOperator();
}, 60_000);

afterAll(async () => {
  await operator.stop();
  await api.delete(
    resources.namespace,
    namespace,
    undefined,
    { uid: (await api.get(resources.namespace, namespace, undefined, signal))?.metadata.uid ?? "" },
    signal,
  );
  transport.close();
});

/** A workload whose pods print what they see of the Secret, and then wait. */
function workload(
  kind: "Deployment" | "StatefulSet" | "DaemonSet",
  name: string,
  secret: string,
  { keys = ["password"], optional = false }: { keys?: readonly string[]; optional?: boolean } = {},
): KubeObject {
  const script =
    'echo "env=$PASSWORD user=$USER file=$(cat /secret/password)"; trap "exit 0" TERM; while :; do sleep 1 & wait $!; done';
  const container = {
    name: "app",
    image: "busybox:1.37",
    command: ["sh", "-c", script],
    env: keys.map((key) => ({
      name: key.toUpperCase(),
      valueFrom: { secretKeyRef: { name: secret, key, optional } },
    })),
    volumeMounts: [{ name: "secret", mountPath: "/secret" }],
  };
  const template = {
    metadata: { labels: { app: name } },
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [container],
      volumes: [{ name: "secret", secret: { secretName: secret, optional } }],
    },
  };
  const more = kind === "StatefulSet" ? { serviceName: name } : {};
  return {
    metadata: { name, namespace },
    spec: { selector: { matchLabels: { app: name } }, template, ...more },
  } as KubeObject;
}

const logsOf = (name: string) =>
  run("logs", "-n", namespace, "-l", `app=${name}`, "--tail=-1").catch(() => "");
const untilLogged = (name: string, line: RegExp) =>
  until(`a pod of ${name} prints ${line}`, async () => line.test(await logsOf(name)), {
    timeoutMs: 60_000,
    everyMs: 200,
  });
const untilSeen = (name: string, value: string) =>
  untilLogged(name, new RegExp(`env=${value} user=.* file=${value}`));
const rolledOut = (name: string, kind = "deployment") =>
  run("rollout", "status", "-n", namespace, `${kind}/${name}`, "--timeout=60s");
const revisionsOf = async (name: string, kind = "deployment") =>
  (await run("rollout", "history", "-n", namespace, `${kind}/${name}`)).trim().split("\n").length - 2;

/** The operator has looked once more. */
async function handled(name: string): Promise<void> {
  const object = await ns.getSync(name);
  await ns.sync(name, object?.spec ?? {}, request());
  await ns.untilHandled(name);
}

withPods("pods", () => {
  it.each(["Deployment", "StatefulSet", "DaemonSet"] as const)(
    "of a %s see the value as env and volume, and the new one after exactly one rollout",
    async (kind) => {
      const name = unique(kind.toLowerCase());
      await aws.create(name, canary("one"));
      await ns.sync(name, ns.spec(name));
      await ns.untilReason(name, "Synced");
      await api.create(resources[kind], workload(kind, name, name), signal);
      await untilSeen(name, canary("one"));
      expect(await revisionsOf(name, kind)).toBe(1);

      await aws.rotate(name, canary("two"));
      await ns.sync(name, ns.spec(name), request());
      await untilSeen(name, canary("two"));
      await rolledOut(name, kind);
      expect(await revisionsOf(name, kind)).toBe(2);
      expect(await ns.values(name)).toEqual({ password: canary("two") });
    },
    120_000,
  );

  it("that wait for the Secret start when it comes, without a restart", async () => {
    const name = unique("early");
    await api.create(resources.Deployment, workload("Deployment", name, name), signal);
    await aws.create(name, canary("one"));
    await ns.sync(name, ns.spec(name));
    await untilSeen(name, canary("one"));
    await handled(name);
    expect(await revisionsOf(name)).toBe(1);
  }, 120_000);

  it("that started without an optional Secret get it by one restart, and again after it was gone", async () => {
    const name = unique("optional");
    await api.create(resources.Deployment, workload("Deployment", name, name, { optional: true }), signal);
    await untilLogged(name, /env= /);
    await aws.create(name, canary("one"));
    await ns.sync(name, ns.spec(name));
    await untilSeen(name, canary("one"));
    await rolledOut(name);
    await handled(name);
    expect(await revisionsOf(name)).toBe(2);

    await run("delete", "ssync", "-n", namespace, name);
    await run("wait", "-n", namespace, `secret/${name}`, "--for=delete", "--timeout=30s");
    await run("delete", "pods", "-n", namespace, "-l", `app=${name}`);
    await untilLogged(name, /env= /);
    await ns.sync(name, ns.spec(name));
    await untilSeen(name, canary("one"));
    await rolledOut(name);
    await handled(name);
    expect(await revisionsOf(name)).toBe(3);
  }, 180_000);

  it("that an init container prepared without the Secret are prepared anew, once", async () => {
    const name = unique("prepared");
    const volumeMounts = [{ name: "made", mountPath: "/made" }];
    const script =
      'echo "env=$(cat /made/it) user= file="; trap "exit 0" TERM; while :; do sleep 1 & wait $!; done';
    const template = {
      metadata: { labels: { app: name } },
      spec: {
        terminationGracePeriodSeconds: 1,
        initContainers: [
          {
            name: "prepare",
            image: "busybox:1.37",
            command: ["sh", "-c", 'echo "$PASSWORD" > /made/it'],
            env: [
              { name: "PASSWORD", valueFrom: { secretKeyRef: { name, key: "password", optional: true } } },
            ],
            volumeMounts,
          },
        ],
        containers: [{ name: "app", image: "busybox:1.37", command: ["sh", "-c", script], volumeMounts }],
        volumes: [{ name: "made", emptyDir: {} }],
      },
    };
    const spec = { selector: { matchLabels: { app: name } }, template };
    await api.create(resources.Deployment, { metadata: { name, namespace }, spec } as KubeObject, signal);
    await untilLogged(name, /env= /);
    await aws.create(name, canary("one"));
    await ns.sync(name, ns.spec(name));
    await untilLogged(name, new RegExp(`env=${canary("one")} `));
    await rolledOut(name);
    await handled(name);
    expect(await revisionsOf(name)).toBe(2);
  }, 120_000);

  it("of a Deployment that needs a new key, applied together with it, start once", async () => {
    const name = unique("together");
    const keyed = (...keys: readonly string[]) =>
      ns.spec(name, {
        data: keys.map((secretKey) => ({ secretKey, remoteRef: { key: `${name}-${secretKey}` } })),
      });
    await aws.create(`${name}-password`, canary("one"));
    await aws.create(`${name}-user`, canary("two"));
    await ns.sync(name, keyed("password"));
    await ns.untilReason(name, "Synced");
    const apply = (keys: readonly string[]) =>
      api.apply(
        resources.Deployment,
        workload("Deployment", name, name, { keys }),
        { fieldManager: "user", force: true },
        signal,
      );
    await apply(["password"]);
    await untilLogged(name, new RegExp(`env=${canary("one")} user= `));

    // The new pod waits for the key first, as it would where the operator is slower than the Deployment's controller.
    await apply(["password", "user"]);
    await until("a pod waits for the key", async () =>
      (await run("get", "pods", "-n", namespace, "-l", `app=${name}`)).includes("CreateContainerConfigError"),
    );
    await ns.sync(name, keyed("password", "user"));
    await untilLogged(name, new RegExp(`env=${canary("one")} user=${canary("two")} `));
    await rolledOut(name);
    await handled(name);
    expect(await revisionsOf(name)).toBe(2);
  }, 180_000);
});

describe("kubectl", () => {
  it("waits, shows and describes as for built-in kinds", async () => {
    const name = unique("kubectl");
    await aws.create(name, canary("one"));
    await ns.sync(name, ns.spec(name));
    await run("wait", "-n", namespace, `ssync/${name}`, "--for=condition=Ready", "--timeout=30s");
    expect(await run("get", "ssync", "-n", namespace, name, "--no-headers")).toMatch(
      new RegExp(`^${name} +True +Synced +${namespace} +${name} `),
    );
    await aws.rotate(name, canary("two"));
    await run("annotate", "ssync", "-n", namespace, name, "reconcile.secretsync.dev/requestedAt=1");
    await until("the event is there", async () =>
      (await run("describe", "ssync", "-n", namespace, name)).includes("changed password"),
    );
  }, 60_000);
});
