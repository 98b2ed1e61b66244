import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { startBuiltinCluster, type BuiltinCluster } from "../cluster/builtin.ts";
import { toolPath } from "../cluster/tools.ts";
import { AwsStandIn } from "../support/aws-stand-in.ts";
import { installCrds } from "../support/crds.ts";
import { canary, leaksIn } from "../support/leaks.ts";
import { describeOnBuiltin } from "../support/on-builtin.ts";
import { newAdmin, newTenant, request, restartedFor, unique } from "../support/suite.ts";
import { until } from "../support/wait.ts";

/** The apiserver's process ends and comes back, on a control plane of this test's own. */

describeOnBuiltin("the apiserver")("an apiserver that is stopped for 20 s", () => {
  const aws = new AwsStandIn();
  let cluster: BuiltinCluster;
  let admin: ReturnType<typeof newAdmin>;

  const kubectl = (...args: string[]) =>
    promisify(execFile)(toolPath("kubectl"), ["--kubeconfig", cluster.kubeconfig, ...args]);

  beforeAll(async () => {
    cluster = await startBuiltinCluster({ node: false });
    admin = newAdmin(cluster.kubeconfig);
    await installCrds(kubectl);
  }, 60_000);
  afterAll(async () => {
    admin.transport.close();
    await aws.stop();
    await cluster.stop();
  });

  it("is waited for by an operator alone; a leader ends, and its successor does what it missed", async () => {
    const endpoint = await aws.start();
    const key = unique("k");
    aws.put(key, canary("one"));
    const tenants = [
      await newTenant(admin.api, "alone", endpoint),
      await newTenant(admin.api, "leader", endpoint),
    ] as const;
    const config = cluster.kubeconfig;
    const [alone, leader] = await Promise.all([
      tenants[0].startOperator({ config, args: ["--leader-elect=false"] }),
      tenants[1].startOperator({ config }),
    ]);
    const workloads = await Promise.all(
      tenants.map(async (tenant) => {
        await tenant.sync(key, tenant.spec(key));
        await tenant.untilReason(key, "Synced");
        return tenant.adopted(key);
      }),
    );

    await cluster.controlPlane.stopApiserver();
    aws.put(key, canary("two"));
    await Promise.all([
      sleep(20_000),
      until("the leader has ended", () => leader.child.exited, { timeoutMs: 40_000 }),
    ]);
    expect((await fetch(`${alone.probesUrl}/healthz`)).status).toBe(200);
    expect(leader.child.process.exitCode).toBe(1);
    expect(leader.logs().some(({ msg }) => String(msg).startsWith("lost the leader lease"))).toBe(true);
    await cluster.controlPlane.startApiserver();

    const successor = await tenants[1].startOperator({ config });
    await tenants[0].sync(key, tenants[0].spec(key), request());
    for (const [index, tenant] of tenants.entries()) {
      await tenant.untilValue(key, "password", canary("two"), 60_000);
      await until("the workload restarts", async () => restartedFor(await workloads[index]!()));
      await tenant.untilReason(key, "Synced");
    }
    await Promise.all([alone.stop(), successor.stop()]);
    // The scan after each file knows the suite's cluster only.
    const shown = await kubectl("get", "events,secretsyncs.secretsync.dev,deployments", "-A", "-o", "json");
    expect(leaksIn("objects", shown.stdout)).toEqual([]);
  }, 180_000);
});
