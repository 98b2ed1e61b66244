import { beforeEach, describe, expect, it } from "@jest/globals";
import { ClientPool, type Pooled } from "../../src/fetch/client-pool.ts";
import { FakeClock } from "../support/fake-clock.ts";

interface Client extends Pooled {
  readonly identity: string;
}

let pool: ClientPool<Client>;
let connected: string[];
let closed: string[];
let limited: string[];
let clock: FakeClock;

beforeEach(() => {
  clock = new FakeClock();
  pool = new ClientPool(clock);
  connected = [];
  closed = [];
  limited = [];
});

const limitsOf = (requestsPerSecond: number) => ({ requestsPerSecond, maxConcurrent: 4 });

const get = (identity: string, user = `user of ${identity}`, limits = limitsOf(10), share = "shop") =>
  pool.get({ identity, user, share, limits }, () => {
    connected.push(identity);
    return {
      identity,
      setLimits: ({ requestsPerSecond }) => limited.push(`${identity} ${requestsPerSecond}`),
      close: () => closed.push(identity),
    };
  });

describe("the pool of clients", () => {
  it("has one client for each identity, and knows who uses it", () => {
    const [one, same, other] = [get("a"), get("a", "another"), get("b")];
    expect(same).toBe(one);
    expect(other).not.toBe(one);
    expect(connected).toEqual(["a", "b"]);
    expect(pool.usersOf("a")).toEqual(["user of a", "another"]);
    pool.release("another");
    expect(pool.usersOf("a")).toEqual(["user of a"]);
    pool.release("user of a");
    expect(pool.usersOf("a")).toEqual([]);
  });

  it("connects again after it failed to", () => {
    const asked = { identity: "a", user: "u", share: "shop", limits: limitsOf(1) };
    const connect = () => {
      throw new Error("down");
    };
    expect(() => pool.get(asked, connect)).toThrow("down");
    get("a", "u");
    expect(connected).toEqual(["a"]);
  });

  it("sets other limits on the client that is there", () => {
    get("a", "u", limitsOf(10));
    get("a", "u", limitsOf(20));
    expect(connected).toEqual(["a"]);
    expect(limited).toEqual(["a 10", "a 20"]);
  });

  it("holds to the lowest limits of all that use it, as long as they do", () => {
    get("a", "slow", limitsOf(5));
    get("a", "fast", limitsOf(50));
    pool.release("slow");
    expect(limited).toEqual(["a 5", "a 5", "a 50"]);
  });

  it("lets go of a client at once when nobody signs in so any more", () => {
    get("old", "u");
    get("old", "other");
    get("new", "u");
    expect(closed).toEqual([]);
    get("new", "other");
    expect(closed).toEqual(["old"]);
    pool.release("u");
    pool.release("other");
    pool.release("never there");
    expect(closed).toEqual(["old", "new"]);
    expect(pool.size).toBe(0);
  });

  it("keeps so many clients of one tenant, those that were used last, and all of the admin's", () => {
    get("admin", "csprov", limitsOf(1), "");
    for (let index = 0; index < 70; index++) get(`t${index}`);
    get("other tenant", "o", limitsOf(1), "other");
    expect(closed).toEqual(["t0", "t1", "t2", "t3", "t4", "t5"]);
    get("t6");
    get("t70");
    expect(closed.at(-1)).toBe("t7");
    get("t0");
    expect(connected.filter((identity) => identity === "t0")).toHaveLength(2);
  });

  it("opens no more for a tenant who opens too many, and goes on with those that are open, and with the admin's", async () => {
    for (let index = 0; index < 96; index++) get(`t${index}`);
    expect(get("t96")).toBeUndefined();
    expect(get("t95")).toMatchObject({ identity: "t95" });
    expect(get("other tenant", "o", limitsOf(1), "other")).toBeDefined();
    expect(get("admin", "csprov", limitsOf(1), "")).toBeDefined();
    // Another identity of the same provider object is another client.
    expect(get("t97", "user of t95")).toBeUndefined();
    expect(closed.at(-1)).toBe("t95");
    await clock.advance(250);
    expect(get("t96")).toMatchObject({ identity: "t96" });
    expect(get("t98")).toBeUndefined();
  });
});
