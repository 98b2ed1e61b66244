import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { startBuiltinCluster, type BuiltinCluster } from "../cluster/builtin.ts";
import { toolPath } from "../cluster/tools.ts";
import { ApiError } from "../../src/kube/kube-api.ts";
import { resources } from "../../src/kube/resources.ts";
import { AwsStandIn } from "../support/aws-stand-in.ts";
import { awsEnvironment } from "../support/aws.ts";
import { installCrds } from "../support/crds.ts";
import { canary } from "../support/leaks.ts";
import { describeOnBuiltin } from "../support/on-builtin.ts";
import { startOperator, type OperatorProcess } from "../support/operator.ts";
import { logFile, newAdmin, newTenant, request, restartedFor, signal, unique } from "../support/suite.ts";
import { until } from "../support/wait.ts";

/** A Secret that the apiserver can't decrypt any more, as after a lost key, on a control plane of this test's own. */

describeOnBuiltin("etcd")("a Secret that the apiserver can't decrypt", () => {
  const aws = new AwsStandIn();
  let cluster: BuiltinCluster;
  let admin: ReturnType<typeof newAdmin>;
  let endpoint: string;
  const kubectl = (...args: string[]) =>
    promisify(execFile)(toolPath("kubectl"), ["--kubeconfig", cluster.kubeconfig, ...args]);

  beforeAll(async () => {
    cluster = await startBuiltinCluster({ node: false });
    admin = newAdmin(cluster.kubeconfig);
    await installCrds(kubectl);
    endpoint = await aws.start();
  }, 60_000);
  afterAll(async () => {
    admin.transport.close();
    await aws.stop();
    await cluster.stop();
  });

  const etcd = async (call: "range" | "put", body: Record<string, string>) => {
    const answer = await fetch(`${cluster.controlPlane.etcdUrl}/v3/kv/${call}`, {
      method: "POST",
      body: JSON.stringify(body),
    });
    return (await answer.json()) as { kvs?: { value: string }[] };
  };
  const start = (namespace: string): Promise<OperatorProcess> =>
    startOperator({
      kubeconfig: cluster.kubeconfig,
      logFile: logFile(unique("unreadable")),
      env: awsEnvironment(endpoint),
      args: [`--operator-namespace=${namespace}`, "--leader-elect=false", "--cluster-secret-syncs=false"],
    });
  const readyz = async ({ probesUrl }: OperatorProcess) => (await fetch(`${probesUrl}/readyz`)).text();

  it("is told by name, and all others are served, also by an operator that starts meanwhile", async () => {
    const lost = await newTenant(admin.api, "lost", endpoint);
    const other = await newTenant(admin.api, "other", endpoint);
    const key = unique("k");
    const named = `${lost.namespace}/${key}`;
    aws.put(key, canary("one"));
    let operator = await start(other.namespace);
    for (const tenant of [lost, other]) {
      await tenant.sync(key, tenant.spec(key));
      await tenant.untilReason(key, "Synced");
    }
    const workload = await other.adopted(key);

    const etcdKey = Buffer.from(`/registry/secrets/${named}`).toString("base64");
    const { kvs } = await etcd("range", { key: etcdKey });
    const before = kvs?.[0]?.value as string;
    const encrypted = Buffer.from("k8s:enc:aescbc:v1:lost:0123456789abcdef").toString("base64");
    await etcd("put", { key: etcdKey, value: encrypted });
    await until("no list of Secrets is answered", () =>
      admin.api.list(resources.secret, { limit: 500 }, signal).then(
        () => false,
        (error: unknown) => error instanceof ApiError && error.unreadable === named,
      ),
    );

    const rotate = async (value: string) => {
      aws.put(key, canary(value));
      await other.sync(key, other.spec(key), request());
      await other.untilValue(key, "password", canary(value));
      await other.untilHandled(key);
    };
    await rotate("two");
    await until("the workload restarts", async () => restartedFor(await workload()));
    const mark = restartedFor(await workload());
    await operator.stop();

    operator = await start(other.namespace);
    await until("readiness names it", async () =>
      (await readyz(operator)).includes(`can't decrypt ${named}`),
    );
    await rotate("three");
    await until("the workload restarts", async () => restartedFor(await workload()) !== mark);
    // One that is new, and one whose Secret somebody else has.
    const fresh = unique("new");
    await other.sync(fresh, other.spec(key));
    await other.untilValue(fresh, "password", canary("three"));
    await kubectl("create", "secret", "generic", "theirs", "-n", other.namespace, "--from-literal=a=b");
    await other.sync("theirs", other.spec(key));
    await other.untilReason("theirs", "TargetConflict");
    await lost.sync(key, lost.spec(key), request());
    const told = await until("its SecretSync tells why", async () => {
      const ready = (await lost.getSync(key))?.status?.conditions?.find(({ type }) => type === "Ready");
      return ready?.status === "False" && ready.message;
    });
    expect(told).toContain(`can't decrypt Secret ${named};`);
    expect(operator.logs().filter(({ level }) => Number(level) >= 50)).toEqual([]);

    await etcd("put", { key: etcdKey, value: before });
    const ready = async () => {
      const text = await readyz(operator);
      if (text.trim() !== "ok") throw new Error(text);
      return true;
    };
    await until("it is ready again", ready, { timeoutMs: 60_000 });
    await lost.sync(key, lost.spec(key), request());
    await lost.untilValue(key, "password", canary("three"), 60_000);
    await operator.stop();
  }, 240_000);
});
