import { setTimeout as sleep } from "node:timers/promises";
import { annotation } from "../../src/api/group.ts";
import type { KubeObject } from "../../src/kube/kube-api.ts";
import { resources } from "../../src/kube/resources.ts";
import type { WorkloadObject } from "../../src/rollout/workload.ts";
import type { OperatorProcess } from "../../test/support/operator.ts";
import { step } from "../../test/support/progress.ts";
import { note, percentile } from "./figures.ts";
import { namespaceOf, rotate, signal, syncOf, type Bench } from "./objects.ts";
import { ownWrites } from "./operator.ts";
import { Sight } from "./sight.ts";

/** How soon, and in how many writes, a change arrives. */

export async function change(
  bench: Bench,
  secrets: Sight<KubeObject>,
  operator: OperatorProcess,
  size: number,
): Promise<void> {
  const times: number[] = [];
  const rounds = 100;
  const writes = await ownWrites(operator);
  await step(`${rounds} rotations, one by one`, async () => {
    for (let round = 0; round < rounds; round++) {
      const index = (round * 37) % size;
      const [name, namespace] = [`sync-${index}`, namespaceOf(index)];
      const before = secrets.get(name, namespace)?.metadata.resourceVersion;
      const since = performance.now();
      await rotate(bench, index, `rotated-${round}`);
      const seen = await secrets.until(
        name,
        namespace,
        (secret) => secret?.metadata.resourceVersion !== before,
      );
      times.push(seen - since);
    }
  });
  await sleep(500);
  note("event to Secret written, p50", size, percentile(times, 50), 50, "ms");
  note("event to Secret written, p99", size, percentile(times, 99), 250, "ms");
  const each = ((await ownWrites(operator)) - writes) / rounds;
  note("writes for each change (without its event)", size, each, 2, "writes");
}

export async function newObject(
  { api, aws }: Bench,
  secrets: Sight<KubeObject>,
  size: number,
): Promise<void> {
  const create = async (index: number): Promise<number> => {
    const name = `new-${index}`;
    aws.put(`bench/secret-${index}`, JSON.stringify({ password: "new" }));
    const since = performance.now();
    await api.create(resources.secretSync, syncOf(index, "1h", name), signal);
    return (await secrets.until(name, namespaceOf(index), (secret) => secret !== undefined)) - since;
  };
  const alone: number[] = [];
  await step("50 new objects, one by one", async () => {
    for (let index = 0; index < 50; index++) alone.push(await create(size + index));
  });
  note("new object to Secret written, alone, p50", size, percentile(alone, 50), 35, "ms");
  const busy: number[] = [];
  await step("new objects while all others refresh", async () => {
    const ends = performance.now() + 35_000;
    for (let index = 100; performance.now() < ends; index++) {
      busy.push(await create(size + index));
      await sleep(100);
    }
  });
  note("new object to Secret written, during a refresh of all, p99", size, percentile(busy, 99), 250, "ms");
}

/** Somebody deletes a Secret. */
export async function drift({ api }: Bench, secrets: Sight<KubeObject>, size: number): Promise<void> {
  const times: number[] = [];
  await step("20 deleted Secrets, one by one", async () => {
    for (let index = 0; index < 20; index++) {
      const [name, namespace] = [`sync-${index}`, namespaceOf(index)];
      const uid = secrets.get(name, namespace)?.metadata.uid ?? "";
      const since = performance.now();
      await api.delete(resources.secret, name, namespace, { uid }, signal);
      const seen = await secrets.until(
        name,
        namespace,
        (secret) => ![uid, undefined].includes(secret?.metadata.uid),
      );
      times.push(seen - since);
    }
  });
  note("deleted Secret to its return, p99", size, percentile(times, 99), 1000, "ms");
}

/** Rotations of secrets that a workload consumes. */
export async function restarts(bench: Bench, operator: OperatorProcess, size: number): Promise<void> {
  const count = 20;
  const { api } = bench;
  const workloads = await Sight.open<WorkloadObject>(api, resources.Deployment);
  const wait = (index: number, isTrue: (workload: WorkloadObject | undefined) => boolean) =>
    workloads.until(`app-${index}`, namespaceOf(index), isTrue);
  await step(`${count} Deployments are adopted`, async () => {
    for (let index = 0; index < count; index++) {
      const labels = { app: `app-${index}` };
      const env = [{ name: "P", valueFrom: { secretKeyRef: { name: `sync-${index}`, key: "password" } } }];
      const template = { metadata: { labels }, spec: { containers: [{ name: "c", image: "i", env }] } };
      await api.create(
        resources.Deployment,
        {
          metadata: { name: `app-${index}`, namespace: namespaceOf(index) },
          spec: { replicas: 0, selector: { matchLabels: labels }, template },
        } as KubeObject,
        signal,
      );
      await wait(index, (workload) => workload?.metadata.annotations?.[annotation.consumed] !== undefined);
    }
  });
  const before = await ownWrites(operator);
  const times: number[] = [];
  await step(`${count} rotations with a restart, one by one`, async () => {
    for (let index = 0; index < count; index++) {
      const since = performance.now();
      await rotate(bench, index, `restarted-${index}`);
      const seen = await wait(
        index,
        (workload) =>
          workload?.spec?.template?.metadata?.annotations?.[annotation.restartedFor] !== undefined,
      );
      times.push(seen - since);
    }
  });
  workloads.close();
  await sleep(500);
  note("event to rollout, p50", size, percentile(times, 50), undefined, "ms");
  const each = ((await ownWrites(operator)) - before) / count;
  note("writes for each change with one workload (without its events)", size, each, 3, "writes");
}
