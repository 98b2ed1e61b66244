import { setTimeout as sleep } from "node:timers/promises";
import type { OperatorProcess } from "../../test/support/operator.ts";
import { step } from "../../test/support/progress.ts";
import { note } from "./figures.ts";
import type { Bench } from "./objects.ts";
import { cpuSeconds, writesOf } from "./operator.ts";

/** A minute in which nothing changes. */
export async function steady({ aws }: Bench, operator: OperatorProcess, size: number): Promise<void> {
  await sleep(5_000);
  const before = { cpu: cpuSeconds(operator), writes: await writesOf(operator), calls: aws.callCount };
  await step("a minute of steady state", () => sleep(60_000));
  note(
    "steady state at 30 s: CPU",
    size,
    cpuSeconds(operator) - before.cpu,
    size === 1000 ? 0.3 : size === 10_000 ? 3 : undefined,
    "CPU-s/min",
  );
  note("steady state at 30 s: writes", size, (await writesOf(operator)) - before.writes, 0, "writes/min");
  note(
    "steady state: provider calls for each refresh",
    size,
    (aws.callCount - before.calls) / 2,
    size === 1000 ? 10 : undefined,
    "calls",
  );
}
