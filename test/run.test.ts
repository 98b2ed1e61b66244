import { afterEach, describe, expect, it } from "@jest/globals";
import { Registry } from "prom-client";
import { parseOptions } from "../src/options.ts";
import { newOperator, type OperatorParts } from "../src/run.ts";
import type { Logger } from "../src/telemetry/logger.ts";
import { FakeClock } from "./support/fake-clock.ts";
import { until } from "./support/wait.ts";

/** The life of the process, with parts that the test moves. */

const ends: (() => Promise<unknown>)[] = [];
afterEach(() => Promise.all(ends.splice(0).map((end) => end())));

async function start(more: Partial<OperatorParts> = {}) {
  const parsed = parseOptions(
    ["--metrics-bind-address=127.0.0.1:0", "--health-probe-bind-address=127.0.0.1:0"],
    {},
  );
  if (parsed.kind !== "options") throw new Error("bad options");
  const said: Record<string, unknown>[] = [];
  const write = (fields: Readonly<Record<string, unknown>>, msg: string) =>
    void said.push({ ...fields, msg });
  const log: Logger = { trace: write, debug: write, info: write, warn: write, error: write, fatal: write };
  const state = {
    silentMs: 0,
    stillMs: 0,
    failingMs: 0,
    problems: [] as string[],
    problemsOf: {} as Record<string, readonly string[]>,
    closed: false,
    working: false,
  };
  const synced = Promise.withResolvers<void>();
  const work = Promise.withResolvers<void>();
  const clock = new FakeClock();
  const stop = new AbortController();
  const operator = newOperator({
    options: parsed.options,
    version: "test",
    identity: "me",
    clock,
    log,
    registry: new Registry(),
    scrapeGuard: undefined,
    metricsTls: undefined,
    health: {
      get problems() {
        return state.problems;
      },
      problemsOf: (namespace) => state.problemsOf[namespace] ?? [],
    },
    reflectors: [
      {
        name: "Secret",
        scope: undefined,
        synced: synced.promise,
        firstTry: synced.promise.then(() => true),
        isSynced: true,
        isBlind: false,
        silentMs: () => state.silentMs,
        failingMs: () => state.failingMs,
        run: (signal) => new Promise((resolve) => signal.addEventListener("abort", () => resolve())),
      },
    ],
    queue: { close: () => void (state.closed = true), stillMs: () => state.stillMs },
    elector: undefined,
    prepare: () => Promise.resolve(),
    work: () => {
      state.working = true;
      return work.promise;
    },
    ...more,
  });
  const ended = operator.run(stop.signal);
  ends.push(() => {
    stop.abort();
    work.resolve();
    return ended;
  });
  const started = await until("it started", () => said.find(({ msg }) => msg === "started"));
  const probe = async (path: string) => {
    const answer = await fetch(`http://127.0.0.1:${String(started["probesPort"])}${path}`);
    return `${answer.status} ${(await answer.text()).trim()}`;
  };
  return { clock, stop, ended, probe, state, synced, work };
}

describe("readiness", () => {
  it("isn't lost for one of several namespaces, which are told when asked for", async () => {
    const watchOf = (scope: string, isSynced: boolean) => ({
      name: `Secret in ${scope}`,
      scope,
      synced: isSynced ? Promise.resolve() : new Promise<void>(() => undefined),
      firstTry: Promise.resolve(isSynced),
      isSynced,
      isBlind: false,
      silentMs: () => 0,
      failingMs: () => 0,
      run: () => Promise.resolve(),
    });
    const watches = [watchOf("shop", true), watchOf("gone", false)];
    const { probe, state } = await start({ reflectors: watches });
    await until("it works", () => state.working);
    expect(await probe("/readyz")).toBe("200 ok");
    expect(await probe("/readyz?verbose")).toBe(
      "200 ok\nnamespace gone isn't served: its caches are not filled yet",
    );
    state.problemsOf["gone"] = ["may not list secrets"];
    expect(await probe("/readyz?verbose=1")).toBe(
      "200 ok\nnamespace gone isn't served: may not list secrets",
    );
    state.problemsOf["shop"] = ["may not patch"];
    expect(await probe("/readyz")).toBe(
      "503 namespace shop isn't served: may not patch\nnamespace gone isn't served: may not list secrets",
    );
  });

  it("waits for the caches, and tells what an admin must mend until it is mended", async () => {
    const { probe, state, synced } = await start();
    expect(await probe("/readyz")).toBe("503 the caches are not filled yet");
    synced.resolve();
    await until("it is ready", async () => (await probe("/readyz")) === "200 ok");
    state.problems.push("may not patch leases");
    expect(await probe("/readyz")).toBe("503 may not patch leases");
    state.problems.length = 0;
    expect(await probe("/readyz")).toBe("200 ok");
  });

  it("of one that waits for the lease tells who leads instead", async () => {
    let leader: string | undefined = "them";
    const elector = {
      get waitsFor() {
        return leader;
      },
      acquire: (signal: AbortSignal) =>
        new Promise<boolean>((resolve) => signal.addEventListener("abort", () => resolve(false))),
    } as unknown as OperatorParts["elector"];
    const { probe, synced } = await start({ elector });
    synced.resolve();
    await until("it is ready", async () => (await probe("/readyz")) === "200 ok");
    expect(await probe("/readyz?verbose")).toBe("200 ok\nstanding by: them leads");
    leader = undefined;
    expect(await probe("/readyz?verbose")).toBe("200 ok");
  });

  it("ends when a watch has failed for minutes, and comes back with it", async () => {
    const { probe, state, synced } = await start();
    synced.resolve();
    await until("it is ready", async () => (await probe("/readyz")) === "200 ok");
    state.failingMs = 2 * 60_000;
    expect(await probe("/readyz")).toBe("200 ok");
    state.failingMs++;
    expect(await probe("/readyz")).toBe("503 the watch of Secret has failed for minutes; the log tells why");
    // Who is away comes back by itself: that is no reason to be ended.
    expect(await probe("/healthz")).toBe("200 ok");
    state.failingMs = 0;
    expect(await probe("/readyz")).toBe("200 ok");
  });
});

describe("liveness", () => {
  it("ends an operator whose watch or queue stands still, and none that waits for something", async () => {
    const { probe, state, synced } = await start();
    expect(await probe("/healthz")).toBe("200 ok");
    // Nobody works yet, so the queue may wait.
    state.stillMs = 3_600_000;
    expect(await probe("/healthz")).toBe("200 ok");
    synced.resolve();
    await until("the queue counts", async () => (await probe("/healthz")) === "503 the queue stands still");
    state.stillMs = 0;
    expect(await probe("/healthz")).toBe("200 ok");
    state.silentMs = 3_600_000;
    expect(await probe("/healthz")).toBe("503 the watch of Secret stands still");
  });
});

describe("a stop", () => {
  it("takes nothing new, and waits for what is under way", async () => {
    const { stop, ended, state, synced, work } = await start();
    synced.resolve();
    await until("it works", () => state.working);
    stop.abort();
    await until("the queue is closed", () => state.closed);
    let isOver = false;
    void ended.then(() => (isOver = true));
    await new Promise(setImmediate);
    expect(isOver).toBe(false);
    work.resolve();
    expect(await ended).toBe(true);
  });

  it("waits 20 s at most", async () => {
    const { clock, stop, ended, state, synced } = await start();
    synced.resolve();
    await until("it works", () => state.working);
    stop.abort();
    await until("the queue is closed", () => state.closed);
    await clock.advance(20_000);
    expect(await ended).toBe(true);
  });

  it("needs no caches", async () => {
    const { stop, ended } = await start();
    stop.abort();
    expect(await ended).toBe(true);
  });
});
