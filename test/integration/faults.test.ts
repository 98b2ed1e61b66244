import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { KubeApi, KubeObject } from "../../src/kube/kube-api.ts";
import { newKubeApi } from "../../src/kube/rest-kube-api.ts";
import { resources } from "../../src/kube/resources.ts";
import { newTransport, type Transport } from "../../src/kube/transport.ts";
import { KubeConfig } from "@kubernetes/client-node/dist/config.js";
import { randomBytes } from "node:crypto";
import { openSecretsManager } from "../../src/providers/aws/secrets-manager.ts";
import { parseOptions } from "../../src/options.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { newLogger } from "../../src/telemetry/logger.ts";
import { wire } from "../../src/wire.ts";
import { ApiProxy } from "../support/api-proxy.ts";
import { AwsStandIn } from "../support/aws-stand-in.ts";
import { TEST_CREDENTIALS } from "../support/aws.ts";
import { canary, leaks } from "../support/leaks.ts";
import {
  kubeconfig,
  logFile,
  newAdmin,
  newTenant,
  request,
  restartedFor,
  signal,
  unique,
} from "../support/suite.ts";
import { until } from "../support/wait.ts";

/** Crashes, cuts and hand-overs, on the real apiserver. */

const aws = new AwsStandIn();
const tenants: { readonly logs: readonly string[] }[] = [];
let endpoint: string;
let transport: Transport;
let api: KubeApi;

beforeAll(async () => {
  ({ api, transport } = newAdmin());
  endpoint = await aws.start();
});
afterAll(async () => {
  await aws.stop();
  transport.close();
});

const arena = async () => {
  const tenant = await newTenant(api, "fault", endpoint);
  tenants.push(tenant);
  return tenant;
};

/** Revisions of the pod template: one for each rollout. */
const rolloutsOf = async (namespace: string, deployment: string): Promise<number> => {
  const sets = await api.list<KubeObject>(
    { ...resources.Deployment, plural: "replicasets", kind: "ReplicaSet" },
    { namespace, limit: 500 },
    signal,
  );
  return (sets.items ?? []).filter(({ metadata }) => metadata.ownerReferences?.[0]?.name === deployment)
    .length;
};

describe("an operator that is killed at a write of a rotation", () => {
  // Each before it is sent, and after it is done but not yet known to be.
  const writes = ["/secrets/", "/deployments/", "/status", "/events"] as const;
  const points = writes.flatMap((write) => (["before", "after"] as const).map((phase) => ({ write, phase })));

  it.each(points)(
    "on $write, $phase it happens, ends in the same state with one rollout",
    async ({ write, phase }) => {
      const { namespace, sync, spec, startOperator, adopted, untilValue, untilReason, untilHandled } =
        await arena();
      const proxy = new ApiProxy(kubeconfig);
      const config = await proxy.start(logFile(`${namespace}.kubeconfig`));
      const key = unique("k");
      aws.put(key, canary("one"));
      await sync(key, spec(key));
      let operator = await startOperator({ config, args: ["--leader-elect=false"] });
      await untilReason(key, "Synced");
      const workload = await adopted(key);
      const name = (await workload()).metadata.name;
      await until("its first replica set is there", async () => (await rolloutsOf(namespace, name)) === 1);

      let killed = false;
      proxy.onWrite = async (each, when) => {
        if (killed || !each.path.includes(write) || when !== phase) return;
        killed = true;
        await operator.kill();
      };
      aws.put(key, canary("two"));
      await sync(key, spec(key), request());
      await until("the operator was killed", () => killed);
      operator = await startOperator({ config, args: ["--leader-elect=false"] });

      await untilValue(key, "password", canary("two"));
      await untilReason(key, "Synced");
      await until("the rollout is there", async () => (await rolloutsOf(namespace, name)) === 2);
      await sync(key, spec(key), request());
      await untilHandled(key);
      expect(await rolloutsOf(namespace, name)).toBe(2);
      await operator.stop();
      await proxy.stop();
    },
    90_000,
  );
});

describe("a status that can't be written", () => {
  it("is written by the next try, with what happened", async () => {
    const { namespace, sync, spec, startOperator, untilReason } = await arena();
    const proxy = new ApiProxy(kubeconfig);
    const config = await proxy.start(logFile(`${namespace}.kubeconfig`));
    const key = unique("k");
    aws.put(key, canary("one"));
    let refused = 0;
    proxy.onWrite = ({ path }, phase) => {
      if (phase === "before" && path.endsWith("/status") && refused++ === 0) throw new Error("cut off");
    };
    await sync(key, spec(key));
    const operator = await startOperator({ config, args: ["--leader-elect=false"] });
    const { object, history } = await untilReason(key, "Synced");
    expect(refused).toBeGreaterThan(1);
    expect(history).toMatchObject([{ trigger: "Created", keys: ["password"], outcome: "Written" }]);
    expect(object.status?.sources).toHaveLength(1);
    await operator.stop();
    await proxy.stop();
  }, 60_000);
});

describe("a change that happens while the operator is down", () => {
  it("is found at its start, with the restart that it needs", async () => {
    const { sync, spec, startOperator, adopted, untilValue, untilReason } = await arena();
    const key = unique("k");
    aws.put(key, canary("one"));
    await sync(key, spec(key));
    const first = await startOperator();
    await untilReason(key, "Synced");
    const workload = await adopted(key);
    await first.stop();
    aws.put(key, canary("two"));
    const second = await startOperator();
    await untilValue(key, "password", canary("two"));
    await until("the workload restarts", async () => restartedFor(await workload()));
    await second.stop();
  }, 60_000);

  it("isn't made up: starts without a change write nothing", async () => {
    const { sync, spec, startOperator, adopted, getSecret, getSync, untilReason } = await arena();
    const key = unique("k");
    aws.put(key, canary("one"));
    await sync(key, spec(key));
    const first = await startOperator();
    await untilReason(key, "Synced");
    const workload = await adopted(key);
    await first.stop();
    const versions = async () =>
      [await getSecret(key), await getSync(key), await workload()].map(
        (object) => object?.metadata.generation ?? object?.metadata.resourceVersion,
      );
    const before = await versions();
    for (let round = 0; round < 3; round++) {
      const again = await startOperator();
      await until(
        "it has looked",
        async () => (await again.metric("secretsync_reconcile_total", { result: "success" })) > 0,
      );
      await again.stop();
    }
    expect(await versions()).toEqual(before);
  }, 60_000);
});

describe("two replicas", () => {
  it("hand over when the leader stops, and one works at a time", async () => {
    const { sync, spec, startOperator, untilReason } = await arena();
    const first = await startOperator();
    const second = await startOperator({ leading: false });
    await until(
      "the standby is ready",
      async () => (await fetch(`${second.probesUrl}/readyz`)).status === 200,
    );
    expect([await first.metric("secretsync_leader"), await second.metric("secretsync_leader")]).toEqual([
      1, 0,
    ]);
    await first.stop();
    await until("the standby leads", async () => (await second.metric("secretsync_leader")) === 1);
    const key = unique("k");
    aws.put(key, canary("one"));
    await sync(key, spec(key));
    await untilReason(key, "Synced");
    await second.stop();
  }, 60_000);

  it("a leader that was paused writes nothing when it wakes up, and ends", async () => {
    const { sync, spec, startOperator, untilValue, untilReason, untilHandled, getSync } = await arena();
    const key = unique("k");
    aws.put(key, canary("one"));
    await sync(key, spec(key));
    const first = await startOperator();
    await untilReason(key, "Synced");
    const second = await startOperator({ leading: false });
    first.child.process.kill("SIGSTOP");
    await until("the other leads", async () => (await second.metric("secretsync_leader")) === 1, {
      timeoutMs: 40_000,
    });
    aws.put(key, canary("two"));
    await sync(key, spec(key), request());
    await untilValue(key, "password", canary("two"));
    await untilHandled(key);
    const { resourceVersion } = (await getSync(key))!.metadata;
    first.child.process.kill("SIGCONT");
    await until("the first has ended", () => first.child.exited, { timeoutMs: 40_000 });
    expect(first.child.process.exitCode).toBe(1);
    expect(first.logs().some(({ msg }) => String(msg).startsWith("lost the leader lease"))).toBe(true);
    expect((await getSync(key))?.metadata.resourceVersion).toBe(resourceVersion);
    await second.stop();
  }, 120_000);
});

describe("a watch that dies without a word", () => {
  it("is noticed, and what it missed is found", async () => {
    const { namespace, sync, spec, untilReason } = await arena();
    const proxy = new ApiProxy(kubeconfig);
    const config = new KubeConfig();
    config.loadFromFile(await proxy.start(logFile(`${namespace}.kubeconfig`)));
    const parsed = parseOptions(
      [
        "--leader-elect=false",
        "--metrics-bind-address=0",
        "--health-probe-bind-address=0",
        `--watch-namespaces=${namespace}`,
      ],
      {},
    );
    if (parsed.kind !== "options") throw new Error("bad options");
    const through = newTransport(config, () => systemClock.monotonic());
    const stop = new AbortController();
    const ended = wire({
      options: parsed.options,
      version: "test",
      api: newKubeApi(through),
      clock: systemClock,
      random: Math.random,
      randomBytes,
      log: await newLogger({ level: "error", format: "json" }),
      namespace,
      identity: "test",
      loadAws: () =>
        Promise.resolve({
          openSecretsManager: ({ region }) =>
            openSecretsManager({ region, endpoint, credentials: TEST_CREDENTIALS }),
        }),
      // Bookmarks come once a minute; a test can't wait for two of them.
      watchIdleMs: 1_500,
    }).run(stop.signal);
    const key = unique("k");
    aws.put(key, canary("one"));
    await sync(key, spec(key));
    await untilReason(key, "Synced");
    proxy.freezeWatches();
    const missed = unique("missed");
    aws.put(missed, canary("two"));
    await sync(missed, spec(missed));
    await untilReason(missed, "Synced", 30_000);
    stop.abort();
    expect(await ended).toBe(true);
    through.close();
    await proxy.stop();
  }, 60_000);
});

describe("all of this", () => {
  it("showed no secret value anywhere but in Secrets", async () => {
    const logs = tenants.flatMap((tenant) => tenant.logs);
    expect(logs.length).toBeGreaterThan(10);
    expect(await leaks(logs, [])).toEqual([]);
  });
});
