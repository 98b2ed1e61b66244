import { describe, expect, it } from "@jest/globals";
import {
  LeaderElector,
  type LeaseLock,
  type LeaseRecord,
  type StoredLease,
} from "../../src/runtime/leader-election.ts";
import { FakeClock } from "../support/fake-clock.ts";

/** A Lease with optimistic locking, as the apiserver keeps it. */
class FakeLease implements LeaseLock {
  stored: StoredLease | undefined;
  #version = 0;
  broken = false;
  hanging = false;
  /** Writes go through, and their answers get lost. */
  losesAnswers = false;
  /** Answers come so late. */
  latency: () => Promise<void> = () => Promise.resolve();
  reads = 0;
  writes = 0;

  async read(): Promise<StoredLease | undefined> {
    this.reads++;
    this.#check();
    const { stored } = this;
    await this.latency();
    return stored;
  }
  async create(record: LeaseRecord): Promise<StoredLease> {
    this.#check();
    if (this.stored) throw new Error("exists");
    return this.#put(record);
  }
  async update(record: LeaseRecord, version: string, signal: AbortSignal): Promise<StoredLease> {
    if (this.hanging)
      return new Promise((_resolve, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason as Error)),
      );
    this.#check();
    if (version !== this.stored?.version) throw new Error("conflict");
    const stored = this.#put(record);
    await this.latency();
    if (this.losesAnswers) throw new Error("lost");
    return stored;
  }
  #check(): void {
    if (this.broken) throw new Error("unreachable");
  }
  #put(record: LeaseRecord): StoredLease {
    this.writes++;
    return (this.stored = { record, version: String(++this.#version) });
  }
}

function candidate(lease: FakeLease, clock: FakeClock, identity: string, random = 0) {
  const errors: unknown[] = [];
  const answers: number[] = [];
  const leaders: string[] = [];
  const elector = new LeaderElector({
    lock: lease,
    identity,
    clock,
    random: () => random,
    onError: (error) => errors.push(error),
    onAnswer: () => answers.push(clock.monotonic()),
    onStandby: (leader) => leaders.push(leader),
  });
  const stop = new AbortController();
  const state = { leads: false, lost: false, released: false };
  const run = async () => {
    state.leads = await elector.acquire(stop.signal);
    if (!state.leads) return;
    state.released = await elector.hold(stop.signal);
    state.lost = !state.released;
    state.leads = false;
  };
  return { elector, stop, state, errors, answers, leaders, ended: run() };
}

describe("leader election", () => {
  it("gives a free lease to the first, and to nobody else while it is renewed", async () => {
    const [lease, clock] = [new FakeLease(), new FakeClock()];
    const a = candidate(lease, clock, "a");
    await clock.advance(0);
    const b = candidate(lease, clock, "b");
    for (let minute = 0; minute < 5; minute++) {
      await clock.advance(60_000);
      expect([a.elector.holds(), b.elector.holds()]).toEqual([true, false]);
    }
    expect(lease.stored?.record).toMatchObject({ holder: "a", durationSeconds: 15, transitions: 0 });
  });

  it("lets a standby take over when the leader is gone without a word, after the lease's time", async () => {
    const [lease, clock] = [new FakeLease(), new FakeClock()];
    lease.stored = {
      version: "x",
      record: { holder: "dead", durationSeconds: 15, acquiredAt: 0, renewedAt: 0, transitions: 3 },
    };
    const b = candidate(lease, clock, "b");
    await clock.advance(14_000);
    expect(b.elector.holds()).toBe(false);
    await clock.advance(4_000);
    expect(b.elector.holds()).toBe(true);
    expect(lease.stored?.record).toMatchObject({ holder: "b", transitions: 4 });
  });

  it("trusts its own clock, not the times in the record", async () => {
    const [lease, clock] = [new FakeLease(), new FakeClock()];
    const future = clock.now() + 1e9;
    lease.stored = {
      version: "x",
      record: { holder: "dead", durationSeconds: 15, acquiredAt: future, renewedAt: future, transitions: 0 },
    };
    const b = candidate(lease, clock, "b");
    await clock.advance(18_000);
    expect(b.elector.holds()).toBe(true);
  });

  it("hands over within one try when the leader stops", async () => {
    const [lease, clock] = [new FakeLease(), new FakeClock()];
    const a = candidate(lease, clock, "a");
    await clock.advance(0);
    const b = candidate(lease, clock, "b");
    await clock.advance(5_000);
    a.stop.abort();
    await clock.advance(0);
    expect(a.state.released).toBe(true);
    expect(a.elector.holds()).toBe(false);
    await clock.advance(3_000);
    expect(b.elector.holds()).toBe(true);
  });

  it("doesn't hold the lease any more once renewals fail for the deadline, before others may take it", async () => {
    const [lease, clock] = [new FakeLease(), new FakeClock()];
    const a = candidate(lease, clock, "a");
    await clock.advance(4_000);
    const b = candidate(lease, clock, "b");
    await clock.advance(0);
    lease.broken = true;
    await clock.advance(11_000);
    expect(a.elector.holds()).toBe(false);
    expect(a.state.lost).toBe(true);
    expect(a.errors.length).toBeGreaterThan(0);
    lease.broken = false;
    expect(b.elector.holds()).toBe(false);
    await clock.advance(10_000);
    expect(b.elector.holds()).toBe(true);
  });

  it("doesn't hold the lease when it wakes up late, before it has even tried to renew", async () => {
    const [lease, clock] = [new FakeLease(), new FakeClock()];
    const paused = candidate(lease, clock, "a");
    await clock.advance(0);
    expect(paused.elector.holds()).toBe(true);
    lease.hanging = true;
    await clock.advance(10_001);
    expect(paused.elector.holds()).toBe(false);
  });

  it("never lets two hold it at once, through pauses and failures", async () => {
    const [lease, clock] = [new FakeLease(), new FakeClock()];
    const all = ["a", "b", "c"].map((identity) => candidate(lease, clock, identity));
    for (let round = 0; round < 200; round++) {
      lease.broken = round % 40 > 25;
      lease.hanging = round % 50 > 40;
      await clock.advance(1_000);
      expect(all.filter(({ elector }) => elector.holds()).length).toBeLessThanOrEqual(1);
    }
  });

  it("a request that hangs costs half the deadline, not the lease", async () => {
    const [lease, clock] = [new FakeLease(), new FakeClock()];
    const a = candidate(lease, clock, "a");
    await clock.advance(1_000);
    lease.hanging = true;
    await clock.advance(6_500);
    lease.hanging = false;
    await clock.advance(60_000);
    expect(a.elector.holds()).toBe(true);
    expect(a.errors).toHaveLength(1);
  });

  it("is given up by one who finds that another has taken it", async () => {
    const [lease, clock] = [new FakeLease(), new FakeClock()];
    const a = candidate(lease, clock, "a");
    await clock.advance(0);
    lease.stored = {
      version: "stolen",
      record: { holder: "b", durationSeconds: 15, acquiredAt: 0, renewedAt: 0, transitions: 1 },
    };
    // One try that conflicts, one that reads who has it.
    await clock.advance(2_000);
    expect(a.elector.holds()).toBe(true);
    await clock.advance(2_000);
    expect(a.elector.holds()).toBe(false);
    expect(a.state.lost).toBe(true);
  });

  it("that was released is taken at once", async () => {
    const [lease, clock] = [new FakeLease(), new FakeClock()];
    lease.stored = {
      version: "x",
      record: { holder: "", durationSeconds: 15, acquiredAt: 0, renewedAt: 0, transitions: 1 },
    };
    const b = candidate(lease, clock, "b");
    await clock.advance(0);
    expect(b.elector.holds()).toBe(true);
    expect(lease.stored?.record).toMatchObject({ holder: "b", transitions: 2 });
  });

  it("renewed by an answer that comes late is held from when the request was sent", async () => {
    const [lease, clock] = [new FakeLease(), new FakeClock()];
    const a = candidate(lease, clock, "a");
    await clock.advance(1_999);
    lease.latency = () => new Promise((resolve) => clock.after(4_000, resolve));
    await clock.advance(4_001);
    expect(a.answers).toHaveLength(2);
    lease.broken = true;
    // Sent at 2 s, answered at 6 s.
    await clock.advance(12_000 - 6_000 - 1);
    expect(a.elector.holds()).toBe(true);
    await clock.advance(1);
    expect(a.elector.holds()).toBe(false);
  });

  it("seen in an answer that comes late is waited for from the answer on", async () => {
    const [lease, clock] = [new FakeLease(), new FakeClock()];
    lease.stored = {
      version: "x",
      record: { holder: "a", durationSeconds: 15, acquiredAt: 0, renewedAt: 0, transitions: 0 },
    };
    lease.latency = () => new Promise((resolve) => clock.after(4_000, resolve));
    const b = candidate(lease, clock, "b");
    await clock.advance(4_000);
    lease.latency = () => Promise.resolve();
    await clock.advance(14_999);
    expect(b.elector.holds()).toBe(false);
    await clock.advance(2_001);
    expect(b.elector.holds()).toBe(true);
  });

  it("costs its holder one request for each renewal", async () => {
    const [lease, clock] = [new FakeLease(), new FakeClock()];
    candidate(lease, clock, "a");
    await clock.advance(20_000);
    expect([lease.reads, lease.writes]).toEqual([1, 11]);
  });

  it("is asked for by standbys at times that differ", async () => {
    const [lease, clock] = [new FakeLease(), new FakeClock()];
    lease.stored = {
      version: "x",
      record: { holder: "a", durationSeconds: 15, acquiredAt: 0, renewedAt: 0, transitions: 0 },
    };
    const b = candidate(lease, clock, "b", 0.5);
    await clock.advance(2_199);
    expect(b.answers).toHaveLength(1);
    await clock.advance(1);
    expect(b.answers).toHaveLength(2);
  });

  it("tells who leads instead, once for each", async () => {
    const [lease, clock] = [new FakeLease(), new FakeClock()];
    const first = candidate(lease, clock, "a");
    await clock.advance(0);
    const standby = candidate(lease, clock, "b");
    await clock.advance(20_000);
    expect(standby.leaders).toEqual(["a"]);
    expect([first.elector.waitsFor, standby.elector.waitsFor]).toEqual([undefined, "a"]);
    first.stop.abort();
    await clock.advance(20_000);
    expect(standby.state.leads).toBe(true);
    expect(standby.elector.waitsFor).toBeUndefined();
    expect(standby.leaders).toEqual(["a"]);
    standby.stop.abort();
    await standby.ended;
  });

  it("tells of every answer, and of none when there is none", async () => {
    const [lease, clock] = [new FakeLease(), new FakeClock()];
    const a = candidate(lease, clock, "a");
    await clock.advance(0);
    const b = candidate(lease, clock, "b");
    await clock.advance(5_000);
    expect([a.answers.length, b.answers.length]).toEqual([3, 3]);
    lease.broken = true;
    await clock.advance(5_000);
    expect([a.answers.length, b.answers.length]).toEqual([3, 3]);
  });

  it("is left as it is by one whose time ran out before it was told to stop", async () => {
    const [lease, clock] = [new FakeLease(), new FakeClock()];
    const a = candidate(lease, clock, "a");
    await clock.advance(0);
    lease.hanging = true;
    await clock.advance(10_500);
    a.stop.abort();
    lease.hanging = false;
    await clock.advance(0);
    await a.ended;
    expect(lease.writes).toBe(1);
    // The request that the stop cut off is no failure to tell of.
    expect(a.errors.map(String)).toEqual(["Error: the lease request took too long"]);
  });

  it("leaves no timer behind", async () => {
    const [lease, clock] = [new FakeLease(), new FakeClock()];
    const a = candidate(lease, clock, "a");
    await clock.advance(5_000);
    a.stop.abort();
    await clock.advance(0);
    await a.ended;
    expect(clock.pendingTimers).toBe(0);
  });

  it("isn't waited for by one who is told to stop", async () => {
    const [lease, clock] = [new FakeLease(), new FakeClock()];
    lease.stored = {
      version: "x",
      record: { holder: "a", durationSeconds: 15, acquiredAt: 0, renewedAt: 0, transitions: 0 },
    };
    const b = candidate(lease, clock, "b");
    await clock.advance(1_000);
    b.stop.abort();
    await b.ended;
    expect(b.state).toEqual({ leads: false, lost: false, released: false });
    expect(lease.writes).toBe(0);
  });

  it("a failed release is told, and ends all the same", async () => {
    const [lease, clock] = [new FakeLease(), new FakeClock()];
    const a = candidate(lease, clock, "a");
    await clock.advance(0);
    lease.broken = true;
    a.stop.abort();
    await clock.advance(0);
    await a.ended;
    expect(a.errors).toHaveLength(1);
  });

  it("an expired standby record is left to the one who renews in time", async () => {
    const [lease, clock] = [new FakeLease(), new FakeClock()];
    const a = candidate(lease, clock, "a");
    await clock.advance(0);
    a.elector.holds();
    await clock.advance(2_000);
    const { acquiredAt } = lease.stored!.record;
    await clock.advance(20_000);
    expect(lease.stored?.record.acquiredAt).toBe(acquiredAt);
  });

  it("gives the lease back also when a renewal is under way that goes through", async () => {
    const [lease, clock] = [new FakeLease(), new FakeClock()];
    const a = candidate(lease, clock, "a");
    await clock.advance(0);
    lease.losesAnswers = true;
    await clock.advance(2_000);
    a.stop.abort();
    lease.losesAnswers = false;
    await clock.advance(0);
    await a.ended;
    expect(lease.stored?.record.holder).toBe("");
  });

  it("gives back no lease that somebody else holds", async () => {
    const [lease, clock] = [new FakeLease(), new FakeClock()];
    const a = candidate(lease, clock, "a");
    await clock.advance(0);
    lease.losesAnswers = true;
    await clock.advance(2_000);
    lease.losesAnswers = false;
    const { record } = lease.stored!;
    await lease.update({ ...record, holder: "b" }, lease.stored!.version, a.stop.signal);
    a.stop.abort();
    await clock.advance(0);
    await a.ended;
    expect(lease.stored?.record.holder).toBe("b");
  });
});
