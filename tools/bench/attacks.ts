import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ApiError, type KubeApi, type KubeObject, type ResourceType } from "../../src/kube/kube-api.ts";
import type { Cluster } from "../../test/cluster/cluster.ts";
import type { Arena } from "../../test/redteam/arena.ts";
import { step } from "../../test/support/progress.ts";
import { longestTurns } from "../fuzz/search.ts";
import { note, percentile } from "./figures.ts";
import { watchHealth, type Health } from "./health-watch.ts";

/** How others are served while a tenant attacks, and what the operator takes for it. */

interface Row {
  readonly id: string;
  readonly what: string;
  readonly newSecret: number;
  readonly rotation: number;
  readonly health: Health;
  readonly memory: number;
}

const ROUNDS = 8;
const MIB = 2 ** 20;

export function longestTurn(): void {
  const { longest } = longestTurns(Number(process.env["FUZZ_SECONDS"] ?? 60), 1);
  const worst = Math.max(...longest.map(({ milliseconds }) => milliseconds));
  note("longest turn of the loop for hostile specs", undefined, worst, 50, "ms");
}

export async function underAttack(cluster: Cluster, folder: string): Promise<void> {
  mkdirSync(path.join(folder, "logs"), { recursive: true });
  // What tests on a cluster are told by their set-up.
  Object.assign(process.env, {
    SECRETSYNC_SUITE_KUBECONFIG: cluster.kubeconfig,
    SECRETSYNC_SUITE_KUBECTL: cluster.kubectl,
    SECRETSYNC_SUITE_FOLDER: folder,
  });
  const { openArena } = await import("../../test/redteam/arena.ts");
  const { attacks } = await import("../../test/redteam/attacks.ts");
  const arena = await openArena();
  const rows: Row[] = [];
  try {
    for (const attack of attacks) {
      await step(`${attack.id}: ${attack.what}`, async () => {
        const stop = new AbortController();
        await attack.launch(arena, "bench");
        const leader = await arena.leader();
        const keptUp = attack.keepUp?.(arena, stop.signal);
        // Who starts under attack has lists to read first; what is measured is the time after it.
        await arena.victim.probe(300_000);
        const health = watchHealth(arena.operator.probesUrl, stop.signal);
        const served = [];
        for (let round = 0; round < ROUNDS; round++) served.push(await arena.victim.probe());
        stop.abort();
        await keptUp;
        if ((await arena.leader()) !== leader) throw new Error(`${attack.id}: the lease was lost`);
        rows.push({
          id: attack.id,
          what: attack.what,
          newSecret: Math.max(...served.map(({ newSecret }) => newSecret)),
          rotation: Math.max(...served.map(({ rotation }) => rotation)),
          health: await health,
          memory: (arena.memoryPeak() ?? NaN) / MIB,
        });
      });
      await arena.clear();
    }
    noteAll(rows);
    await hostileGibibyte(arena);
  } finally {
    await arena.close();
  }
}

function noteAll(rows: readonly Row[]): void {
  note(
    "victim's new Secret under attack, p99",
    undefined,
    percentile(
      rows.map(({ newSecret }) => newSecret),
      99,
    ),
    2_000,
    "ms",
  );
  note(
    "victim's rotation under attack, interval of 1 s, p99",
    undefined,
    percentile(
      rows.map(({ rotation }) => rotation),
      99,
    ),
    3_000,
    "ms",
  );
  note(
    "answer of /healthz under attack, longest",
    undefined,
    Math.max(...rows.map(({ health }) => health.operator)),
    200,
    "ms",
  );
  note(
    "answer of a server beside it that does nothing else, longest",
    undefined,
    Math.max(...rows.map(({ health }) => health.bareServer)),
    undefined,
    "ms",
  );
  note("memory under attack, peak", undefined, Math.max(...rows.map(({ memory }) => memory)), 384, "MiB");
  writeTable(rows);
}

/** Etcd is slow to take so much. */
async function createAtLast(api: KubeApi, type: ResourceType, object: KubeObject): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await api.create(type, object, new AbortController().signal);
      return;
    } catch (error) {
      // Of a try that failed it may be there all the same.
      if (error instanceof ApiError && error.status === 409) return;
      if (!(error instanceof ApiError) || error.status < 500 || tries === 20) throw error;
      await sleep(1_000);
    }
  }
}

/** A start with a gibibyte of objects in the cluster that are as large as they may be. */
async function hostileGibibyte(arena: Arena): Promise<void> {
  const { inParallel } = await import("../../test/redteam/arena.ts");
  const { forgedSecret, largeDeployment, largeSync } = await import("../../test/redteam/attacks.ts");
  const { resources } = await import("../../src/kube/resources.ts");
  const create = (type: ResourceType, object: KubeObject) => createAtLast(arena.tenant, type, object);
  await arena.operator.kill();
  await step("a gibibyte of hostile objects", async () => {
    await inParallel(550, (index) => create(resources.secretSync, largeSync(arena, index)));
    await inParallel(900, (index) => create(resources.secret, forgedSecret(arena, index)));
    await inParallel(250, (index) => create(resources.Deployment, largeDeployment(arena, index)));
  });
  await step("a start with them", async () => {
    const since = performance.now();
    await arena.restart();
    await arena.victim.probe(300_000).catch((error: unknown) => {
      const { child, logs } = arena.operator;
      const last = JSON.stringify(logs().at(-1));
      throw new Error(
        child.exited ? `the operator has ended, and told last: ${last}` : `its last word: ${last}`,
        {
          cause: error,
        },
      );
    });
    note(
      "start to a victim's new Secret, with 1 GiB of hostile objects",
      undefined,
      (performance.now() - since) / 1_000,
      undefined,
      "s",
    );
    note(
      "memory with 1 GiB of hostile objects, peak",
      undefined,
      (arena.memoryPeak() ?? NaN) / MIB,
      384,
      "MiB",
    );
  });
}

const BEGIN = "<!-- figures: written by make bench -->";
const END = "<!-- end of figures -->";

function writeTable(rows: readonly Row[]): void {
  const file = "docs/security.md";
  const text = readFileSync(file, "utf8");
  const [before, rest = ""] = text.split(BEGIN);
  const [, after = ""] = rest.split(END);
  const table = [
    "| attack | new Secret | rotation at 1 s | /healthz | a bare server beside it | memory |",
    "| --- | ---: | ---: | ---: | ---: | ---: |",
    ...rows.map(
      ({ id, newSecret, rotation, health, memory }) =>
        `| ${id} | ${newSecret.toFixed(0)} ms | ${rotation.toFixed(0)} ms | ${health.operator.toFixed(0)} ms | ${health.bareServer.toFixed(0)} ms | ${memory.toFixed(0)} MiB |`,
    ),
  ];
  writeFileSync(file, `${before}${BEGIN}\n\n${table.join("\n")}\n\n${END}${after}`);
}
