import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { KubeApi, KubeObject } from "../../src/kube/kube-api.ts";
import { newKubeApi } from "../../src/kube/rest-kube-api.ts";
import { resources } from "../../src/kube/resources.ts";
import { newTransport, type Transport } from "../../src/kube/transport.ts";
import { KubeConfig } from "@kubernetes/client-node/dist/config.js";
import { randomBytes } from "node:crypto";
import { newAws } from "../../src/providers/aws/module.ts";
import { openSecretsManager } from "../../src/providers/aws/secrets-manager.ts";
import type { StoreEnv } from "../../src/providers/contract.ts";
import { parseOptions } from "../../src/options.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { newLogger } from "../../src/telemetry/logger.ts";
import { noTracing } from "../../src/telemetry/tracing.ts";
import { wire } from "../../src/wire/operator.ts";
import { ApiProxy, type Write } from "../support/api-proxy.ts";
import { AwsStandIn } from "../support/aws-stand-in.ts";
import { TEST_CREDENTIALS } from "../support/aws.ts";
import { canary } from "../support/leaks.ts";
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
let endpoint: string;
let transport: Transport;
let api: KubeApi;

const unused = () => Promise.reject(new Error("no provider of this test names it"));

beforeAll(async () => {
  ({ api, transport } = newAdmin());
  endpoint = await aws.start();
});
afterAll(async () => {
  await aws.stop();
  transport.close();
});

const arena = () => newTenant(api, "fault", endpoint);

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
  /** What a rotation with one consumer writes, in order. */
  const writes = [
    "PATCH secrets",
    "PATCH deployments",
    "POST events",
    "POST events",
    "POST events",
    "PATCH status",
  ] as const;
  const nameOf = ({ method, path }: Write) => {
    const [, plural = "", , status] = /\/namespaces\/[^/]+\/([a-z]+)(\/[^/]+)?(\/status)?$/.exec(path) ?? [];
    return `${method} ${status ? "status" : plural}`;
  };

  /** A synced object with a consumer, seen through a proxy, and how to rotate it. */
  async function rotation(args: readonly string[] = ["--leader-elect=false"]) {
    const tenant = await arena();
    const { namespace, sync, spec, startOperator, adopted, untilReason } = tenant;
    const proxy = new ApiProxy(kubeconfig);
    const config = await proxy.start(logFile(`${namespace}.kubeconfig`));
    const start = () => startOperator({ config, args });
    const key = unique("k");
    aws.put(key, canary("one"));
    await sync(key, spec(key));
    const operator = await start();
    await untilReason(key, "Synced");
    const workload = await adopted(key);
    const name = (await workload()).metadata.name;
    await until("its first replica set is there", async () => (await rolloutsOf(namespace, name)) === 1);
    let current = "";
    const rotate = async () => {
      current = aws.put(key, canary("two"));
      await sync(key, spec(key), request());
    };
    /** What users see in the end, without times and names that differ from run to run. */
    const end = async () => {
      await tenant.untilValue(key, "password", canary("two"));
      await until("the rollout is there", async () => (await rolloutsOf(namespace, name)) === 2);
      await tenant.untilHandled(key);
      const { object } = await untilReason(key, "Synced");
      const { conditions = [], history = [], sources = [], lastChangeTime } = object.status ?? {};
      const events = await api.list<KubeObject & Record<"type" | "reason" | "message", string>>(
        resources.event,
        { namespace, limit: 500 },
        signal,
      );
      const seen = {
        conditions: conditions.map(({ type, status, reason, message }) => [type, status, reason, message]),
        history: history.map(({ time: _time, ...entry }) => entry),
        isLatest: lastChangeTime === history[0]?.time,
        sources: sources.map(({ versionId, versionStages }) => [versionId === current, versionStages]),
        events: (events.items ?? [])
          .map(({ type, reason, message }) => `${type} ${reason} ${message}`)
          .filter((text) => text.includes("changed") || text.includes("restarted"))
          .sort(),
        rollouts: await rolloutsOf(namespace, name),
      };
      return JSON.parse(
        JSON.stringify(seen).replaceAll(key, "KEY").replaceAll(name, "NAME").replaceAll(namespace, "SPACE"),
      ) as typeof seen;
    };
    return { tenant, proxy, operator, start, rotate, end };
  }

  let undisturbed: unknown;
  beforeAll(async () => {
    const { proxy, operator, rotate, end } = await rotation();
    const before = proxy.writes.length;
    await rotate();
    undisturbed = await end();
    // The Deployment's own controller may write between our look and our patch, which then is tried again.
    const names = proxy.writes.slice(before).map(nameOf);
    const once = names.filter((name, index) => name !== "PATCH deployments" || name !== names[index - 1]);
    expect(once).toEqual(writes);
    await operator.stop();
    await proxy.stop();
  }, 60_000);

  it("ends, when it isn't killed, with one rollout, one change and an event for each", () => {
    expect(undisturbed).toMatchObject({
      history: [
        { trigger: "Request", keys: ["password"], workloads: ["Deployment/NAME"], outcome: "Restarted" },
        { trigger: "Created", keys: ["password"], outcome: "Written" },
      ],
      isLatest: true,
      sources: [[true, ["AWSCURRENT"]]],
      events: [
        "Normal Restarted restarted Deployment/NAME",
        "Normal Restarted restarted, since password of Secret KEY changed (SecretSync KEY)",
        "Normal Synced changed password",
      ],
      rollouts: 2,
    });
  });

  // Each before it is sent, and after it is done but not yet known to be.
  const points = writes.flatMap((write, index) =>
    (["before", "after"] as const).map((phase) => ({ write, index, phase, leads: false })),
  );

  it.each([...points, { write: writes[1], index: 1, phase: "after" as const, leads: true }])(
    "on write $index ($write), $phase it happens, ends just so (leader election: $leads)",
    async ({ index, phase, leads }) => {
      const { tenant, proxy, operator, start, rotate, end } = await rotation(
        leads ? [] : ["--leader-elect=false"],
      );
      const seen: Write[] = [];
      let killed = false;
      proxy.onWrite = async (write, when) => {
        if (write.path.includes("/leases")) return;
        if (!seen.includes(write)) seen.push(write);
        if (killed || seen[index] !== write || when !== phase) return;
        killed = true;
        await operator.kill();
      };
      await rotate();
      await until("the operator was killed", () => killed);
      const successor = await start();
      expect(await end()).toEqual(undisturbed);
      // Nor does another look do anything.
      const writesBefore = proxy.writes.filter(({ path }) => !path.includes("/leases")).length;
      const looks = await successor.metric("secretsync_reconcile_total");
      const { name = "" } = (await tenant.syncs())[0]?.metadata ?? {};
      const version = (await tenant.getSecret(name))?.metadata.resourceVersion;
      await tenant.sync(name, tenant.spec(name), request());
      await until(
        "it has looked",
        async () => (await successor.metric("secretsync_reconcile_total")) > looks,
      );
      await tenant.untilHandled(name);
      expect(
        proxy.writes
          .filter(({ path }) => !path.includes("/leases"))
          .slice(writesBefore)
          .map(nameOf),
      ).toEqual(["PATCH secrets", "PATCH status"]);
      // What is asked for is applied, and changes nothing.
      expect((await tenant.getSecret(name))?.metadata.resourceVersion).toBe(version);
      await successor.stop();
      await proxy.stop();
    },
    120_000,
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

describe("a start", () => {
  it("reads a key once, however many objects want it", async () => {
    const { sync, spec, startOperator, untilReason } = await arena();
    const key = unique("shared");
    aws.put(key, canary("shared"));
    const names = Array.from({ length: 20 }, () => unique("many"));
    await Promise.all(names.map((name) => sync(name, spec(key))));
    const operator = await startOperator();
    await Promise.all(names.map((name) => untilReason(name, "Synced")));
    expect(aws.asked.get(key)).toBe(1);
    await operator.stop();
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
    // The workload's controller writes its status by itself.
    const versions = async () => [
      (await getSecret(key))?.metadata.resourceVersion,
      (await getSync(key))?.metadata.resourceVersion,
      (await workload())?.metadata.generation,
    ];
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
    // The lease was given back: it is not waited for until it expires.
    await until("the standby leads", async () => (await second.metric("secretsync_leader")) === 1, {
      timeoutMs: 10_000,
    });
    const key = unique("k");
    aws.put(key, canary("one"));
    await sync(key, spec(key));
    await untilReason(key, "Synced");
    await second.stop();
  }, 60_000);

  it("a leader that was paused in the middle of its work writes nothing when it wakes up, and ends", async () => {
    const {
      namespace,
      sync,
      spec,
      startOperator,
      untilValue,
      untilReason,
      untilHandled,
      getSecret,
      getSync,
    } = await arena();
    const proxy = new ApiProxy(kubeconfig);
    const config = await proxy.start(logFile(`${namespace}.kubeconfig`));
    const key = unique("k");
    aws.put(key, canary("one"));
    await sync(key, spec(key));
    const first = await startOperator({ config });
    await untilReason(key, "Synced");
    const second = await startOperator({ leading: false });
    // It has asked for the new value, and will have it to write when it wakes up.
    aws.put(key, canary("two"));
    aws.latencyMs = 2_000;
    const reads = () => aws.calls.get("GetSecretValue") ?? 0;
    const before = reads();
    await sync(key, spec(key), request());
    await until("it has asked", () => reads() > before, { everyMs: 5 });
    first.child.process.kill("SIGSTOP");
    const writes = () => proxy.writes.filter(({ path }) => !path.includes("/leases/")).length;
    const written = writes();
    await until("the other leads", async () => (await second.metric("secretsync_leader")) === 1, {
      timeoutMs: 40_000,
    });
    aws.latencyMs = 0;
    aws.put(key, canary("three"));
    await sync(key, spec(key), request());
    await untilValue(key, "password", canary("three"));
    await untilHandled(key);
    const versions = async () =>
      [await getSecret(key), await getSync(key)].map((object) => object?.metadata.resourceVersion);
    const settled = await versions();
    first.child.process.kill("SIGCONT");
    await until("the first has ended", () => first.child.exited, { timeoutMs: 40_000 });
    expect(first.child.process.exitCode).toBe(1);
    expect(first.logs().some(({ msg }) => String(msg).startsWith("lost the leader lease"))).toBe(true);
    expect(writes()).toBe(written);
    expect(await versions()).toEqual(settled);
    await second.stop();
    await proxy.stop();
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
        "--cluster-secret-syncs=false",
      ],
      {},
    );
    if (parsed.kind !== "options") throw new Error("bad options");
    const through = newTransport(config, systemClock);
    const stop = new AbortController();
    const ended = wire({
      options: parsed.options,
      version: "test",
      apiWith: (fence) => newKubeApi(through, fence),
      clock: systemClock,
      random: Math.random,
      randomBytes,
      log: await newLogger({ level: "error", format: "json" }),
      tracing: noTracing,
      namespace,
      identity: "test",
      catalog: {
        kubernetes: unused,
        file: unused,
        aws: () =>
          Promise.resolve({
            ...newAws({ regions: [], mayAskRegion: () => true }),
            connect: (_target: unknown, _credentials: unknown, { maxConnections, admitAnswer }: StoreEnv) =>
              openSecretsManager({
                region: "eu-west-1",
                endpoint,
                credentials: TEST_CREDENTIALS,
                maxConcurrent: maxConnections,
                admitAnswer,
              }),
          }),
      },
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
