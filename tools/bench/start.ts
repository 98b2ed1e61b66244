import { setTimeout as sleep } from "node:timers/promises";
import type { KubeObject } from "../../src/kube/kube-api.ts";
import { resources } from "../../src/kube/resources.ts";
import type { OperatorProcess } from "../../test/support/operator.ts";
import { step } from "../../test/support/progress.ts";
import { until } from "../../test/support/wait.ts";
import { note, noted } from "./figures.ts";
import { inParallel, signal, syncOf, type Bench } from "./objects.ts";
import { rss, start, writesOf, cpuSeconds } from "./operator.ts";

/** What the apiserver can take from a client that does nothing else: the measure for all that follows. */
export async function ceiling({ api }: Bench, size: number): Promise<void> {
  const count = 2_000;
  const rate = await step("measure the apiserver's write ceiling", async () => {
    const since = performance.now();
    await inParallel(count, 16, (index) =>
      api.apply(
        resources.secret,
        {
          metadata: { name: `ceiling-${index}`, namespace: "default" },
          data: { password: "dmFsdWU=" },
        } as KubeObject,
        { fieldManager: "bench", force: true, metadataOnly: true },
        signal,
      ),
    );
    return count / ((performance.now() - since) / 1000);
  });
  note("apiserver write ceiling", size, rate, undefined, "writes/s");
}

export async function idle(bench: Bench): Promise<void> {
  const since = performance.now();
  const operator = await start(bench, false);
  await until("it is ready", async () => (await fetch(`${operator.probesUrl}/readyz`)).ok, { everyMs: 1 });
  note("operator start to ready", undefined, performance.now() - since, undefined, "ms");
  await sleep(3_000);
  note("memory, idle", undefined, rss(operator), 80, "MiB");
  await operator.stop();
}

export async function coldStart(bench: Bench, size: number): Promise<OperatorProcess> {
  const { api, aws } = bench;
  await step(`create ${size} SecretSyncs`, () =>
    inParallel(size, 16, (index) => api.create(resources.secretSync, syncOf(index), signal)),
  );
  aws.resetCalls();
  const since = Date.now();
  const operator = await start(bench, false);
  const written = await step("cold start: all Secrets written", () =>
    until(
      "all Secrets are written",
      () => {
        // The log costs the operator nothing more; a scrape of its metrics would.
        const times = operator
          .logs()
          .filter(({ msg }) => msg === "secret written")
          .map(({ time }) => Date.parse(String(time)));
        return times.length >= size && times;
      },
      { timeoutMs: 600_000, everyMs: size > 1000 ? 1_000 : 250 },
    ),
  );
  const all = (Math.max(...written) - since) / 1000;
  const first = Math.min(...written) - since;
  const share = (size / all / noted("apiserver write ceiling", size)) * 100;
  note("cold start share of the write ceiling", size, share, undefined, "%");
  note(
    "cold start to all Secrets written",
    size,
    all,
    size === 1000 ? 4 : size === 10_000 ? 30 : undefined,
    "s",
  );
  note("operator start to first Secret", size, first, 500, "ms");
  await until(
    "every status is written",
    async () => (await operator.metric("secretsync_objects", { ready: "true" })) >= size,
    { timeoutMs: 600_000, everyMs: 500 },
  );
  note("cold start: the operator's CPU", size, cpuSeconds(operator), undefined, "CPU-s");
  note("provider calls, cold start", size, aws.callCount, size === 1000 ? 60 : undefined, "calls");
  process.stderr.write(
    `    ${[...aws.calls].map(([operation, count]) => `${operation} ${count}`).join(", ")}\n`,
  );
  const writes = await writesOf(operator);
  note("writes for each new object", size, writes / size, 2, "writes");
  return operator;
}
