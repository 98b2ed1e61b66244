import { describe, expect, it } from "@jest/globals";
import type { LookupAddress } from "node:dns";
import { newLookup } from "../../src/providers/lookup.ts";

const missing = Object.assign(new Error("none"), { code: "ENOTFOUND" });
const timeout = Object.assign(new Error("silent"), { code: "ETIMEOUT" });

function newWorld(v4: Error | string[], v6: Error | string[] = missing, ttl = 10) {
  const asked: string[] = [];
  let now = 0;
  const answer = (found: Error | string[]) =>
    found instanceof Error
      ? Promise.reject(found)
      : Promise.resolve(found.map((address) => ({ address, ttl })));
  const resolver = {
    resolve4: (host: string) => {
      asked.push(host);
      return answer(v4);
    },
    resolve6: () => answer(v6),
  };
  const lookup = newLookup({
    monotonic: () => now,
    resolver: resolver as never,
    system: (host) => Promise.resolve([{ address: `system of ${host}`, family: 4 }]),
  });
  const find = (host: string, options: { all?: boolean; family?: number } = { all: true }) =>
    new Promise<readonly LookupAddress[] | string>((resolve, reject) =>
      lookup(host, options, (error, address) => (error ? reject(error) : resolve(address))),
    );
  return { asked, find, advance: (milliseconds: number) => (now += milliseconds) };
}

describe("a look-up", () => {
  it("gives the addresses of both families, or of the one that is asked for", async () => {
    const { find } = newWorld(["1.2.3.4"], ["::1"]);
    await expect(find("a")).resolves.toEqual([
      { address: "1.2.3.4", family: 4 },
      { address: "::1", family: 6 },
    ]);
    await expect(find("a", { family: 6, all: true })).resolves.toEqual([{ address: "::1", family: 6 }]);
    await expect(find("a", {})).resolves.toBe("1.2.3.4");
  });

  it("is kept as long as it is good, and never for long", async () => {
    const { asked, find, advance } = newWorld(["1.2.3.4"]);
    await find("a");
    advance(9_999);
    await find("a");
    expect(asked).toEqual(["a"]);
    advance(1);
    await find("a");
    expect(asked).toEqual(["a", "a"]);
  });

  it("of a name that nobody answers for fails, and isn't repeated for everybody who wants it", async () => {
    const { asked, find, advance } = newWorld(timeout, timeout);
    await expect(Promise.allSettled([find("a"), find("a")])).resolves.toMatchObject([
      { status: "rejected", reason: { code: "ETIMEOUT" } },
      { status: "rejected" },
    ]);
    await expect(find("a")).rejects.toThrow("silent");
    expect(asked).toEqual(["a"]);
    advance(1_000);
    await expect(find("a")).rejects.toThrow("silent");
    expect(asked).toEqual(["a", "a"]);
  });

  it("asks the system only for what name servers say they don't know", async () => {
    await expect(newWorld(missing).find("b")).resolves.toEqual([{ address: "system of b", family: 4 }]);
    await expect(newWorld(missing, timeout).find("b")).rejects.toThrow();
  });

  it("says that there is no address of the family", async () => {
    const { find } = newWorld(["1.2.3.4"]);
    await expect(find("a", { family: 6, all: true })).rejects.toThrow("a has no address of the family");
  });
});
