import { beforeEach, describe, expect, it } from "@jest/globals";
import * as fc from "fast-check";
import { WorkQueue } from "../../src/runtime/work-queue.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";

const lanes = ["urgent", "normal", "bulk"] as const;
type Lane = (typeof lanes)[number];

const newQueue = (
  clock: FakeClock,
  bulkWorkers = 2,
  onWait?: (lane: Lane, seconds: number) => void,
  mostPerTurn = 100,
  togetherMs = 0,
) =>
  new WorkQueue<Lane>({
    lanes,
    bulkFrom: "bulk",
    bulkWorkers,
    mostPerTurn,
    shareOf: (key) => key.split("/")[0] ?? "",
    togetherMs,
    backoff: { firstMs: 1000, mostMs: 8000 },
    clock,
    random: () => 0.5,
    ...(onWait ? { onWait } : {}),
  });

let clock: FakeClock;
let queue: WorkQueue<Lane>;
beforeEach(() => {
  clock = new FakeClock();
  queue = newQueue(clock);
});

/** What is ready now, without waiting. */
async function takeNow(): Promise<string | undefined> {
  let taken: string | undefined;
  if (queue.readyCount === 0) return undefined;
  void queue.take().then((next) => (taken = next?.key));
  await settle();
  return taken;
}

describe("the queue", () => {
  it("serves lanes in order, and first come first served within one", async () => {
    queue.add("n1", "normal");
    queue.add("b1", "bulk");
    queue.add("n2", "normal");
    queue.add("u1", "urgent");
    expect([await takeNow(), await takeNow(), await takeNow(), await takeNow()]).toEqual([
      "u1",
      "n1",
      "n2",
      "b1",
    ]);
  });

  it("lets shares take turns within a lane, so that a flood of one holds up nobody else", async () => {
    for (let index = 0; index < 100; index++) queue.add(`flood/${index}`, "normal");
    queue.add("victim/a", "normal");
    queue.add("other/b", "normal");
    queue.add("victim/c", "normal");
    const order = [];
    for (let turn = 0; turn < 6; turn++) order.push(await takeNow());
    expect(order).toEqual(["flood/0", "victim/a", "other/b", "flood/1", "victim/c", "flood/2"]);
  });

  it("begins one of four turns with a bulk lane, so that no flood before it holds it up for good", async () => {
    for (let index = 0; index < 100; index++) queue.add(`flood/${index}`, "urgent");
    queue.add("victim/a", "bulk");
    const order = [];
    for (let turn = 0; turn < 5; turn++) order.push(await takeNow());
    expect(order).toEqual(["flood/0", "flood/1", "flood/2", "victim/a", "flood/3"]);
  });

  it("holds a key once, in the most urgent lane that it was added to", async () => {
    queue.add("k", "bulk");
    queue.add("k", "urgent");
    queue.add("k", "normal");
    expect(queue.readyCount).toBe(1);
    expect((await queue.take())?.lane).toBe("urgent");
  });

  it("hands a key to one worker at a time, and again when it was added meanwhile", async () => {
    queue.add("k", "normal");
    await queue.take();
    queue.add("k", "normal");
    expect(await takeNow()).toBeUndefined();
    queue.done("k");
    expect(await takeNow()).toBe("k");
    queue.done("k");
    expect(await takeNow()).toBeUndefined();
  });

  it("wakes a waiting worker", async () => {
    const waiting = queue.take();
    queue.add("k", "normal");
    expect((await waiting)?.key).toBe("k");
  });

  it("serves a delayed key when its time comes, the earliest of several times", async () => {
    queue.addAfter("k", 5000, "normal");
    queue.addAfter("k", 1000, "normal");
    queue.addAfter("k", 9000, "normal");
    await clock.advance(999);
    expect(await takeNow()).toBeUndefined();
    await clock.advance(1);
    expect(await takeNow()).toBe("k");
    queue.done("k");
    await clock.advance(20_000);
    expect(await takeNow()).toBeUndefined();
  });

  it("makes keys due together whose times lie close together", async () => {
    queue = newQueue(clock, 2, undefined, 100, 20);
    const now = clock.monotonic();
    queue.addAt("a", now + 1000, "normal");
    queue.addAt("b", now + 1020, "normal");
    queue.addAt("c", now + 1021, "normal");
    await clock.advance(999);
    expect(queue.readyCount).toBe(0);
    await clock.advance(1);
    expect(queue.readyCount).toBe(2);
    await clock.advance(21);
    expect(queue.readyCount).toBe(3);
  });

  it("is due since its time, also when that had passed before it was known", async () => {
    const now = clock.monotonic();
    queue.add("first", "normal");
    await queue.take();
    await clock.advance(60_000);
    queue.addAt("late", now + 1_000, "normal");
    await clock.advance(1);
    expect((await queue.take())?.dueSince).toBe(now + 1_000);
    queue.add("now", "normal");
    expect((await queue.take())?.dueSince).toBe(clock.monotonic());
  });

  it("lets an immediate add replace a delay", async () => {
    queue.addAfter("k", 5000, "bulk");
    queue.add("k", "urgent");
    expect((await queue.take())?.lane).toBe("urgent");
    queue.done("k");
    await clock.advance(10_000);
    expect(await takeNow()).toBeUndefined();
  });

  it("keeps a delay that was asked for while the key is worked on", async () => {
    queue.add("k", "normal");
    await queue.take();
    queue.addAfter("k", 1000, "normal");
    queue.done("k");
    await clock.advance(1000);
    expect(await takeNow()).toBe("k");
  });

  it("doubles the wait with each failure up to the most, and starts over when told", () => {
    expect([1, 2, 3, 4, 5].map(() => queue.retry("k", "bulk"))).toEqual([1000, 2000, 4000, 8000, 8000]);
    queue.forget("k");
    expect(queue.retry("k", "bulk")).toBe(1000);
  });

  it("waits no longer than is asked for, but for the provider", () => {
    expect([1, 2, 3].map(() => queue.retry("k", "bulk", 0, 3_000))).toEqual([1000, 2000, 3000]);
    expect(queue.retry("k", "bulk", 5_000, 3_000)).toBe(5_000);
  });

  it("waits at least as long as a provider asks for", () => {
    expect(queue.retry("k", "bulk", 30_000)).toBe(30_000);
  });

  it("never gives all workers to the bulk lanes", async () => {
    for (const key of ["b1", "b2", "b3"]) queue.add(key, "bulk");
    expect([await takeNow(), await takeNow()]).toEqual(["b1", "b2"]);
    expect(await takeNow()).toBeUndefined();
  });

  it("goes on with the bulk lanes when a worker is done", async () => {
    for (const key of ["b1", "b2", "b3"]) queue.add(key, "bulk");
    await takeNow();
    await takeNow();
    const waiting = queue.take();
    queue.done("b1");
    expect((await waiting)?.key).toBe("b3");
  });

  it("drops a key whose object is gone", async () => {
    queue.add("k", "normal");
    queue.addAfter("d", 10, "normal");
    queue.remove("k");
    queue.remove("d");
    await clock.advance(100);
    expect(await takeNow()).toBeUndefined();
  });

  it("ends its workers when it is closed, and takes nothing more", async () => {
    const waiting = queue.take();
    queue.close();
    queue.add("k", "normal");
    queue.addAfter("k", 0, "normal");
    expect(await waiting).toBeUndefined();
    expect(await queue.take()).toBeUndefined();
    expect(queue.readyCount).toBe(0);
  });

  it("tells since when a key is due, how long it waited and how many wait", async () => {
    const waits: [string, number][] = [];
    queue = newQueue(clock, 1, (lane, seconds) => waits.push([lane, seconds]));
    queue.add("first", "normal");
    await queue.take();
    waits.length = 0;
    const since = clock.monotonic();
    queue.add("k", "normal");
    queue.add("l", "urgent");
    await clock.advance(2000);
    expect(queue.oldestReadyMs()).toBe(2000);
    queue.add("m", "bulk");
    expect([queue.readyCount, queue.urgentCount]).toEqual([3, 2]);
    queue.remove("m");
    expect(Object.fromEntries(queue.depth())).toEqual({ urgent: 1, normal: 1, bulk: 0 });
    await queue.take();
    expect((await queue.take())?.dueSince).toBe(since);
    expect(waits).toEqual([
      ["urgent", 2],
      ["normal", 2],
    ]);
    expect(queue.oldestReadyMs()).toBe(0);
  });

  it("counts no wait from before anybody could be served", async () => {
    const waits: number[] = [];
    queue = newQueue(clock, 1, (_lane, seconds) => waits.push(seconds));
    queue.add("k", "normal");
    await clock.advance(900_000);
    expect(queue.stillMs()).toBe(0);
    const { dueSince } = (await queue.take())!;
    expect(dueSince).toBe(clock.monotonic());
    expect(waits).toEqual([0]);
  });

  it("stands still when keys are ready and none comes or goes, and not while it moves slowly", async () => {
    for (const key of ["a", "b", "c"]) queue.add(key, "normal");
    await queue.take();
    for (const key of ["b", "c"]) {
      await clock.advance(900_000);
      expect(queue.stillMs()).toBe(900_000);
      expect((await queue.take())?.key).toBe(key);
      expect(queue.stillMs()).toBe(0);
    }
    await clock.advance(900_000);
    // Nobody waits.
    expect(queue.stillMs()).toBe(0);
    queue.add("d", "normal");
    await clock.advance(1_000);
    expect(queue.stillMs()).toBe(1_000);
    queue.done("a");
    expect(queue.stillMs()).toBe(0);
  });

  it("stands still when a key's time has passed and its timer was lost", async () => {
    const deaf = new FakeClock();
    queue = newQueue(Object.assign(deaf, { after: () => () => undefined }));
    queue.addAfter("k", 1_000, "normal");
    queue.addAfter("sooner", 500, "normal");
    queue.add("sooner", "normal");
    await queue.take();
    await deaf.advance(11_000);
    expect(queue.stillMs()).toBe(10_000);
  });

  it("lets another bulk key be taken when one occupies no worker any more, and hands that one out to nobody", async () => {
    queue = newQueue(clock, 1);
    queue.add("slow", "bulk");
    expect(await takeNow()).toBe("slow");
    queue.add("next", "bulk");
    expect(await takeNow()).toBeUndefined();
    queue.free("slow");
    await settle();
    queue.add("slow", "bulk");
    queue.free("slow");
    queue.free("never");
    expect(queue.readyCount).toBe(0);
    queue.done("next");
    queue.done("slow");
    expect(queue.readyCount).toBe(1);
    expect(await takeNow()).toBe("slow");
  });

  it("tells who has waited long", async () => {
    queue.add("taken", "normal");
    await queue.take();
    queue.add("a", "normal");
    await clock.advance(50);
    queue.add("b", "bulk");
    await clock.advance(20);
    expect([...queue.waitingLongerThan(60)]).toEqual(["a"]);
  });

  it("moves a key to a better lane without forgetting how long it waits", async () => {
    queue.add("k", "bulk");
    await clock.advance(500);
    queue.add("k", "urgent");
    expect(queue.oldestReadyMs()).toBe(500);
  });

  it("ignores done for what wasn't taken, and forgets keys that are through", () => {
    queue.done("never");
    queue.remove("never");
    queue.forget("never");
    expect(queue.readyCount).toBe(0);
  });

  it("refuses a lane that it doesn't have", () => {
    expect(() => queue.add("k", "other" as Lane)).toThrow("no lane other");
  });

  it("hands out so many keys in one turn of the event loop, and goes on in the next", async () => {
    queue = newQueue(clock, 2, undefined, 2);
    const taken: (string | undefined)[] = [];
    for (const key of ["a", "b", "c"]) {
      queue.add(key, "normal");
      void queue.take().then((next) => taken.push(next?.key));
    }
    await settle();
    expect(taken).toEqual(["a", "b"]);
    await clock.advance(0);
    expect(taken).toEqual(["a", "b", "c"]);
  });

  it("leaves no timer behind when it is closed", async () => {
    queue.addAfter("k", 5000, "normal");
    queue.add("l", "normal");
    await queue.take();
    queue.close();
    expect(clock.pendingTimers).toBe(0);
  });
});

/** The queue against a model that is too simple to be wrong. */
class Model {
  ready = new Map<string, { rank: number; order: number }>();
  working = new Set<string>();
  dirty = new Map<string, number>();
  due = new Map<string, { at: number; rank: number }>();
  order = 0;
}

type Command =
  | { kind: "add"; key: string; lane: Lane }
  | { kind: "after"; key: string; lane: Lane; delay: number }
  | { kind: "take" }
  | { kind: "done"; pick: number }
  | { kind: "advance"; by: number };

const key = fc.constantFrom("a", "b", "c", "d");
const lane = fc.constantFrom(...lanes);
const command: fc.Arbitrary<Command> = fc.oneof(
  fc.record({ kind: fc.constant("add" as const), key, lane }),
  fc.record({ kind: fc.constant("after" as const), key, lane, delay: fc.integer({ min: 0, max: 50 }) }),
  fc.constant({ kind: "take" as const }),
  fc.record({ kind: fc.constant("done" as const), pick: fc.nat(3) }),
  fc.record({ kind: fc.constant("advance" as const), by: fc.integer({ min: 0, max: 60 }) }),
);

describe("the queue, against a model", () => {
  it("hands out the same keys in the same order over random histories", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 120, size: "max" }), async (commands) => {
        const time = new FakeClock();
        const real = newQueue(time, 100);
        const model = new Model();
        const makeReady = (name: string, rank: number) => {
          model.due.delete(name);
          if (model.working.has(name)) model.dirty.set(name, Math.min(rank, model.dirty.get(name) ?? rank));
          else {
            const before = model.ready.get(name);
            if (!before || rank < before.rank) model.ready.set(name, { rank, order: model.order++ });
          }
        };
        let takes = 0;
        /** One of four turns begins with the bulk lane. */
        const turnOf = (rank: number) => (takes % 4 === 3 && rank === lanes.length - 1 ? -1 : rank);
        for (const each of commands) {
          if (each.kind === "add") {
            real.add(each.key, each.lane);
            makeReady(each.key, lanes.indexOf(each.lane));
          } else if (each.kind === "after") {
            real.addAfter(each.key, each.delay, each.lane);
            const at = time.monotonic() + each.delay;
            const before = model.due.get(each.key);
            const waits = model.ready.has(each.key) || model.dirty.has(each.key);
            if (!waits && (!before || before.at > at))
              model.due.set(each.key, { at, rank: lanes.indexOf(each.lane) });
          } else if (each.kind === "advance") {
            const end = time.monotonic() + each.by;
            await time.advance(each.by);
            const due = [...model.due].filter(([, { at }]) => at <= end).sort(([, x], [, y]) => x.at - y.at);
            for (const [name, { rank }] of due) makeReady(name, rank);
          } else if (each.kind === "take") {
            const [expected] =
              [...model.ready].sort(
                ([, x], [, y]) => turnOf(x.rank) - turnOf(y.rank) || x.order - y.order,
              )[0] ?? [];
            expect(real.readyCount).toBe(model.ready.size);
            if (expected === undefined) continue;
            const taken = await real.take();
            // Keys that became due in the same instant may swap places.
            const rankOf = (name: string | undefined) => model.ready.get(name ?? "")?.rank;
            expect(rankOf(taken?.key)).toBe(rankOf(expected));
            takes++;
            model.ready.delete(taken!.key);
            model.working.add(taken!.key);
          } else {
            const name = [...model.working][each.pick % Math.max(1, model.working.size)];
            if (name === undefined) continue;
            real.done(name);
            model.working.delete(name);
            const again = model.dirty.get(name);
            if (again !== undefined) model.ready.set(name, { rank: again, order: model.order++ });
            model.dirty.delete(name);
          }
          expect(real.readyCount).toBe(model.ready.size);
        }
      }),
      { numRuns: 300 },
    );
  });
});
