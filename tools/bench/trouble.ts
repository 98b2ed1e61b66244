import { setTimeout as sleep } from "node:timers/promises";
import type { KubeObject } from "../../src/kube/kube-api.ts";
import { resources } from "../../src/kube/resources.ts";
import { LAG_INTERVAL_MS } from "../../src/telemetry/metrics.ts";
import type { OperatorProcess } from "../../test/support/operator.ts";
import { step } from "../../test/support/progress.ts";
import { until } from "../../test/support/wait.ts";
import { note } from "./figures.ts";
import { namespaceOf, signal, type Bench } from "./objects.ts";

/** The provider is away until every object has noticed, and comes back. */
export async function outage({ aws }: Bench, operator: OperatorProcess, size: number): Promise<void> {
  const ready = () => operator.metric("secretsync_objects", { ready: "true" });
  // Metrics are a second old at most.
  await sleep(1_500);
  const all = await ready();
  aws.fault = () => ({ kind: "error", status: 503, type: "ServiceUnavailable" });
  await step("an outage of the provider, until everybody has noticed", () =>
    until("nobody is ready but those who aren't refreshed", async () => all - (await ready()) >= size, {
      timeoutMs: 600_000,
      everyMs: 1_000,
    }),
  );
  const calls = aws.callCount;
  await step("ten more seconds of it", () => sleep(10_000));
  note("provider calls during an outage", size, (aws.callCount - calls) / 10, 1.1, "calls/s");
  aws.fault = () => undefined;
  const since = performance.now();
  await step("its return", () =>
    until("all are ready again", async () => (await ready()) >= all, { timeoutMs: 600_000, everyMs: 250 }),
  );
  note("return of the provider to all objects ready", size, (performance.now() - since) / 1000, 30, "s");
}

/** How long the operator stands still for payloads that are as large and as deep as an enemy can make them. */
export async function badPayloads(
  { api, aws }: Bench,
  operator: OperatorProcess,
  size: number,
): Promise<void> {
  const payloads: Readonly<Record<string, string>> = {
    deep: '{"a":'.repeat(30_000) + "1" + "}".repeat(30_000),
    wide: JSON.stringify(
      Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`key-${index}`, "v"])),
    ),
    large: JSON.stringify({ value: "x".repeat(1_100_000) }),
    names: JSON.stringify({ ["../".repeat(20_000)]: "x" }),
    broken: `{"a": ${"[1,".repeat(20_000)}`,
    numbers: JSON.stringify({ n: "9".repeat(60_000) })
      .replaceAll('"9', "9")
      .replaceAll('9"', "9"),
  };
  // The histogram starts anew with each scrape.
  await fetch(operator.metricsUrl);
  await step("payloads of an enemy", async () => {
    for (const [name, payload] of Object.entries(payloads)) {
      aws.put(`bench/bad-${name}`, payload);
      const sync = {
        metadata: { name: `bad-${name}`, namespace: namespaceOf(0) },
        spec: {
          providerRef: { kind: "ClusterSecretProvider", name: "bench" },
          dataFrom: [
            {
              extract: { key: `bench/bad-${name}` },
              rewrite: [{ regexp: { source: "(([a-z./-])+.)+[A-Z]([a-z])+$", target: "x" } }],
            },
          ],
        },
      };
      await api.create(resources.secretSync, sync, signal);
      await until("it has a verdict", async () => {
        const object = await api.get<KubeObject & { status?: { conditions?: unknown[] } }>(
          resources.secretSync,
          sync.metadata.name,
          sync.metadata.namespace,
          signal,
        );
        return (object?.status?.conditions?.length ?? 0) > 0;
      });
    }
  });
  const lag = await operator.metric("nodejs_eventloop_lag_max_seconds");
  // The metric is the time between two ticks of a timer, so it holds the timer's own interval.
  const standStill = lag * 1000 - LAG_INTERVAL_MS;
  note("longest stand-still for payloads of an enemy", size, standStill, 100, "ms");
}
