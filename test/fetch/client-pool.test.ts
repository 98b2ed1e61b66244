import { beforeEach, describe, expect, it } from "@jest/globals";
import { ClientPool, type Pooled } from "../../src/fetch/client-pool.ts";
import { settle } from "../support/fake-clock.ts";

interface Client extends Pooled {
  readonly identity: string;
}

let pool: ClientPool<Client>;
let connected: string[];
let closed: string[];
let limited: string[];

beforeEach(() => {
  pool = new ClientPool();
  connected = [];
  closed = [];
  limited = [];
});

const limitsOf = (requestsPerSecond: number) => ({ requestsPerSecond, maxConcurrent: 4 });

const get = (identity: string, user = `user of ${identity}`, limits = limitsOf(10), share = "shop") =>
  pool.get({ identity, user, share, limits }, () => {
    connected.push(identity);
    return Promise.resolve({
      identity,
      setLimits: ({ requestsPerSecond }) => limited.push(`${identity} ${requestsPerSecond}`),
      close: () => closed.push(identity),
    });
  });

describe("the pool of clients", () => {
  it("has one client for each identity, also for those who ask while it connects", async () => {
    const [one, same, other] = await Promise.all([get("a"), get("a", "another"), get("b")]);
    expect(same).toBe(one);
    expect(other).not.toBe(one);
    expect(connected).toEqual(["a", "b"]);
  });

  it("connects again after it failed to", async () => {
    const asked = { identity: "a", user: "u", share: "shop", limits: limitsOf(1) };
    await expect(pool.get(asked, () => Promise.reject(new Error("down")))).rejects.toThrow("down");
    await get("a", "u");
    expect(connected).toEqual(["a"]);
  });

  it("sets other limits on the client that is there", async () => {
    await get("a", "u", limitsOf(10));
    await get("a", "u", limitsOf(20));
    await settle();
    expect(connected).toEqual(["a"]);
    expect(limited).toEqual(["a 10", "a 20"]);
  });

  it("holds to the lowest limits of all that use it, as long as they do", async () => {
    await get("a", "slow", limitsOf(5));
    await get("a", "fast", limitsOf(50));
    pool.release("slow");
    await settle();
    expect(limited).toEqual(["a 5", "a 5", "a 50"]);
  });

  it("lets go of a client at once when nobody signs in so any more", async () => {
    await get("old", "u");
    await get("old", "other");
    await get("new", "u");
    await settle();
    expect(closed).toEqual([]);
    await get("new", "other");
    await settle();
    expect(closed).toEqual(["old"]);
    pool.release("u");
    pool.release("other");
    pool.release("never there");
    await settle();
    expect(closed).toEqual(["old", "new"]);
    expect(pool.size).toBe(0);
  });

  it("keeps so many clients of one tenant, those that were used last, and all of the admin's", async () => {
    await get("admin", "csprov", limitsOf(1), "");
    for (let index = 0; index < 70; index++) await get(`t${index}`);
    await get("other tenant", "o", limitsOf(1), "other");
    await settle();
    expect(closed).toEqual(["t0", "t1", "t2", "t3", "t4", "t5"]);
    await get("t6");
    await get("t70");
    await settle();
    expect(closed.at(-1)).toBe("t7");
    await get("t0");
    expect(connected.filter((identity) => identity === "t0")).toHaveLength(2);
  });
});
