import { beforeEach, describe, expect, it } from "@jest/globals";
import { ClientPool } from "../../src/fetch/client-pool.ts";
import type { ProviderClient } from "../../src/fetch/provider-client.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";

const HOUR_MS = 3_600_000;

let clock: FakeClock;
let pool: ClientPool;
let connected: string[];
let closed: string[];

beforeEach(() => {
  clock = new FakeClock();
  pool = new ClientPool(clock);
  connected = [];
  closed = [];
});

const get = (identity: string) =>
  pool.get(identity, () => {
    connected.push(identity);
    return Promise.resolve({ close: () => closed.push(identity) } as unknown as ProviderClient);
  });

describe("the pool of clients", () => {
  it("has one client for each identity, also for those who ask while it connects", async () => {
    const [one, same, other] = await Promise.all([get("a"), get("a"), get("b")]);
    expect(same).toBe(one);
    expect(other).not.toBe(one);
    expect(connected).toEqual(["a", "b"]);
  });

  it("connects again after it failed to", async () => {
    await expect(pool.get("a", () => Promise.reject(new Error("down")))).rejects.toThrow("down");
    await get("a");
    expect(connected).toEqual(["a"]);
  });

  it("lets go of those that nobody used for two hours, and of no others", async () => {
    await get("rotated away");
    const used = await get("used");
    await clock.advance(HOUR_MS);
    await get("used");
    await clock.advance(HOUR_MS - 1);
    await get("new");
    await settle();
    expect(closed).toEqual([]);
    await clock.advance(1);
    await get("newer");
    await settle();
    expect(closed).toEqual(["rotated away"]);
    expect(await get("used")).toBe(used);
    await get("rotated away");
    expect(connected).toEqual(["rotated away", "used", "new", "newer", "rotated away"]);
  });
});
