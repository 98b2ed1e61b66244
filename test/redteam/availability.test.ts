import { afterAll, afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import { until } from "../support/wait.ts";
import { MEMORY_LIMIT, openArena, type Arena } from "./arena.ts";
import { attacks } from "./attacks.ts";

/**
 * While a tenant attacks, everybody else is served, by the same operator process, which keeps its lease and stays within its
 * memory. How fast is measured by `make bench`; here it only must happen, also on a busy machine.
 */
let arena: Arena;

/** A start reads a hundred megabytes first, and a machine may be busy with other things. */
const SLOW_MS = 240_000;

beforeAll(async () => {
  arena = await openArena();
}, 120_000);
afterEach(() => arena.clear(), 180_000);
afterAll(() => arena.close(), 60_000);

const refusedOf = async (name: string, reason: string) =>
  (await arena.inEvil.untilReason(name, reason, SLOW_MS)).message;

/** What the attacker is told, where that is a matter of a bound. */
const verdicts: Readonly<Record<string, () => Promise<void>>> = {
  S2: async () => {
    expect(await refusedOf("patterns", "InvalidSpec")).toContain(
      "spec.dataFrom[0].rewrite[0].regexp.source: this pattern",
    );
    expect(await refusedOf("smaller-patterns", "InvalidSpec")).toContain("all patterns together compile to");
  },
  S3: async () =>
    expect(await refusedOf("large-0", "TooLarge")).toMatch(
      /^spec: takes 1,\d\d\d KiB as JSON, and may take 128 KiB/,
    ),
  S4: async () => expect(await refusedOf("numbers-0", "TooLarge")).toContain("exceed the 1 MiB"),
  S7: async () => {
    expect(await refusedOf("find-0", "KeyNotAllowed")).toContain("doesn't let namespace");
    // Listings of everything may come by: the victim's versions and dates of rotation are read from them.
    expect([...arena.aws.asked.keys()].filter((name) => name.startsWith("prod/shop/guess-"))).toEqual([]);
  },
  S12b: async () => {
    for (let probes = 0; probes < 10; probes++)
      expect((await fetch(`${arena.operator.probesUrl}/healthz`)).status).toBe(200);
  },
  S14b: async () => expect(await refusedOf("tags", "TooLarge")).toContain("secrets match"),
  S16b: async () => {
    await until("its values are read", () => (arena.aws.calls.get("BatchGetSecretValue") ?? 0) > 60);
    // 16 of the tenant's, and those of the victim.
    expect(arena.aws.mostAtOnce).toBeLessThan(24);
  },
  S14: async () => expect(await refusedOf("huge-all", "TooLarge")).toContain("secrets match"),
  S17: async () => expect(await refusedOf("members", "TooLarge")).toContain("more than 10000 keys"),
};

describe("while a tenant attacks, the victim is served", () => {
  it.each(attacks)(
    "$id: $what",
    async (attack) => {
      arena.aws.resetCalls();
      const stop = new AbortController();
      await attack.launch(arena, "test");
      const leader = await arena.leader();
      const keptUp = attack.keepUp?.(arena, stop.signal);
      try {
        for (let round = 0; round < 2; round++) await arena.victim.probe(SLOW_MS);
        await verdicts[attack.id]?.();
        await until("it is healthy", async () => (await fetch(`${arena.operator.probesUrl}/healthz`)).ok);
      } finally {
        stop.abort();
        await keptUp;
      }
      expect(arena.operator.child.exited).toBe(false);
      expect(await arena.leader()).toBe(leader);
      expect(arena.memoryPeak() ?? 0).toBeLessThan(MEMORY_LIMIT);
    },
    4 * SLOW_MS,
  );
});
