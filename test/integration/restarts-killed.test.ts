import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { KubeApi } from "../../src/kube/kube-api.ts";
import { resources } from "../../src/kube/resources.ts";
import type { Transport } from "../../src/kube/transport.ts";
import type { WorkloadObject } from "../../src/rollout/workload.ts";
import { ApiProxy, type Write } from "../support/api-proxy.ts";
import { AwsStandIn } from "../support/aws-stand-in.ts";
import { canary } from "../support/leaks.ts";
import { newWorkload, putBack } from "../support/played-pods.ts";
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

/** What happened while no operator was there is made good by the next one, also when it is killed at any write of that. */

const aws = new AwsStandIn();
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

const ALONE = ["--leader-elect=false"];
type Tenant = Awaited<ReturnType<typeof newTenant>>;
type Reader = Awaited<ReturnType<typeof newWorkload>>;

/** What happens while an operator works, and then while none does. */
interface Scenario {
  readonly what: string;
  readonly before: (tenant: Tenant, key: string) => Promise<Reader>;
  readonly meanwhile: (tenant: Tenant, key: string, reader: Reader) => Promise<void>;
  /** Once it was killed. */
  readonly afterwards?: (tenant: Tenant, key: string) => Promise<void>;
  readonly value: string;
  readonly killedAt: readonly string[];
  /** Both, if it isn't said. */
  readonly phases?: readonly ("before" | "after")[];
}

const twoKeys = (tenant: Tenant, key: string) =>
  tenant.spec(key, {
    data: ["password", "user"].map((name) => ({ secretKey: name, remoteRef: { key: `${key}-${name}` } })),
  });

async function noted(tenant: Tenant, key: string): Promise<Reader> {
  aws.put(key, canary("one"));
  await tenant.sync(key, tenant.spec(key));
  await tenant.untilReason(key, "Synced");
  const reader = await newWorkload(api, tenant.namespace, key);
  await reader.untilNoted();
  return reader;
}

const withoutSecret: Pick<Scenario, "before" | "meanwhile"> = {
  async before({ namespace }, key) {
    const reader = await newWorkload(api, namespace, key, { keys: "all", optional: true });
    await reader.start();
    return reader;
  },
  async meanwhile(tenant, key) {
    aws.put(key, canary("one"));
    await tenant.sync(key, tenant.spec(key));
  },
};

const scenarios: readonly Scenario[] = [
  {
    what: "a restart was taken back",
    async before(tenant, key) {
      const reader = await noted(tenant, key);
      await reader.start();
      aws.put(key, canary("two"));
      await tenant.sync(key, tenant.spec(key), request());
      await reader.untilRestarted();
      return reader;
    },
    meanwhile: ({ namespace }, _key, { name }) => putBack(namespace, name).then(() => undefined),
    value: "two",
    killedAt: ["PATCH deployments"],
  },
  {
    what: "pods started without an optional Secret",
    ...withoutSecret,
    value: "one",
    killedAt: ["PATCH secrets", "PATCH deployments"],
  },
  {
    what: "pods started without an optional Secret, which is rotated before anybody was restarted",
    ...withoutSecret,
    async afterwards(tenant, key) {
      aws.put(key, canary("two"));
      await tenant.sync(key, tenant.spec(key), request());
    },
    value: "two",
    killedAt: ["PATCH deployments"],
    phases: ["before"],
  },
  {
    what: "a workload began to read another key, and its Secret was rotated",
    async before(tenant, key) {
      for (const name of ["password", "user"]) aws.put(`${key}-${name}`, canary("one"));
      await tenant.sync(key, twoKeys(tenant, key));
      await tenant.untilReason(key, "Synced");
      const reader = await newWorkload(api, tenant.namespace, key);
      await reader.untilNoted();
      await reader.start();
      return reader;
    },
    async meanwhile(tenant, key, reader) {
      await reader.apply(["password", "user"]);
      await until("there are pods of both templates", async () => (await reader.pods()).length > 1);
      await reader.start();
      aws.put(`${key}-password`, canary("two"));
      await tenant.sync(key, twoKeys(tenant, key), request());
    },
    value: "two",
    killedAt: ["PATCH secrets", "PATCH deployments"],
  },
  {
    what: "somebody edited the Secret, and pods started with that",
    before: noted,
    async meanwhile({ namespace }, key, reader) {
      const secret = { metadata: { name: key, namespace }, data: { password: "ZWRpdGVk" } };
      await api.apply(resources.secret, secret, { fieldManager: "editor", force: true }, signal);
      await reader.start();
    },
    value: "one",
    killedAt: ["PATCH secrets", "PATCH deployments"],
  },
];

/** Of all templates that there were: one for each restart. Their controller has to have seen the present one. */
async function marksOf(namespace: string, reader: Reader): Promise<readonly string[]> {
  await until("the Deployment controller has seen the template", async () => {
    const { metadata, status } = (await reader.get()) as WorkloadObject & {
      metadata: { generation?: number };
      status?: { observedGeneration?: number };
    };
    return status?.observedGeneration === metadata.generation;
  });
  const sets = { ...resources.Deployment, plural: "replicasets", kind: "ReplicaSet" };
  const { items } = await api.list<WorkloadObject>(sets, { namespace, limit: 100 }, signal);
  const marks = (items ?? []).map((set) => restartedFor(set)).filter((mark) => mark !== undefined);
  return [...new Set(marks)];
}

const nameOf = ({ method, path }: Write) =>
  `${method} ${/\/namespaces\/[^/]+\/([a-z]+)\/[^/]+$/.exec(path)?.[1] ?? "other"}`;

describe("an operator that comes after", () => {
  const cases = scenarios.flatMap((scenario) =>
    scenario.killedAt.flatMap((write) =>
      (scenario.phases ?? (["before", "after"] as const)).map((phase) => ({ ...scenario, write, phase })),
    ),
  );
  it.each(cases)(
    "$what, and is killed at $write, $phase it happens: one restart",
    async (scenario) => {
      const tenant = await newTenant(api, "killed", endpoint);
      const key = unique("k");
      const first = await tenant.startOperator({ args: ALONE });
      const reader = await scenario.before(tenant, key);
      await first.stop();
      await scenario.meanwhile(tenant, key, reader);

      const proxy = new ApiProxy(kubeconfig);
      const config = await proxy.start(logFile(`${tenant.namespace}.kubeconfig`));
      let killed = false;
      let kill = (): Promise<void> => Promise.resolve();
      proxy.onWrite = async (write, when) => {
        if (killed || when !== scenario.phase || nameOf(write) !== scenario.write) return;
        killed = true;
        await kill();
      };
      const second = await tenant.startOperator({ config, args: ALONE, leading: false });
      kill = () => second.kill();
      await until("the operator was killed", () => killed);
      await until("it is gone", () => second.child.exited);
      await scenario.afterwards?.(tenant, key);
      const third = await tenant.startOperator({ config, args: ALONE });
      await tenant.untilValue(key, "password", canary(scenario.value));
      const mark = await reader.untilRestarted();
      // Nor does another look do anything.
      const object = await tenant.getSync(key);
      await tenant.sync(key, object?.spec ?? {}, request());
      await tenant.untilHandled(key);
      expect(await marksOf(tenant.namespace, reader)).toEqual([mark]);
      await third.stop();
      await proxy.stop();
    },
    90_000,
  );
});
