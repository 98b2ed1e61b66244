import { describe, expect, it } from "@jest/globals";
import { createSocket } from "node:dgram";
import { promises, type LookupAddress } from "node:dns";
import { readFile } from "node:fs/promises";
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

  it("S13: of names that a real name server is silent about holds up neither other names nor files", async () => {
    const server = createSocket("udp4");
    server.on("message", (question, { port, address }) => {
      if (question.includes("silent")) return;
      server.send(answerTo(question), port, address);
    });
    await new Promise<void>((resolve) => server.bind(0, "127.0.0.1", resolve));
    const resolver = new promises.Resolver({ timeout: 60_000, tries: 1 });
    resolver.setServers([`127.0.0.1:${server.address().port}`]);
    const lookup = newLookup({ monotonic: () => performance.now(), resolver });
    const find = (host: string) =>
      new Promise<unknown>((resolve, reject) =>
        lookup(host, { all: true }, (error, addresses) => (error ? reject(error) : resolve(addresses))),
      );
    // As many as the system's resolver would have threads for, and more.
    let silent = 32;
    const hanging = Array.from({ length: silent }, (_, index) =>
      find(`silent-${index}.invalid`).catch(() => silent--),
    );
    await expect(find("known.invalid")).resolves.toEqual([{ address: "127.0.0.9", family: 4 }]);
    await expect(readFile(import.meta.filename, "utf8")).resolves.toContain("silent");
    expect(silent).toBe(32);
    resolver.cancel();
    await Promise.all(hanging);
    server.close();
  });
});

/** https://www.rfc-editor.org/rfc/rfc1035#section-4: 127.0.0.9 to who asks for type A, nothing to others. */
function answerTo(question: Buffer): Buffer {
  const end = question.indexOf(0, 12) + 5;
  const isA = question.readUInt16BE(end - 4) === 1;
  const header = Buffer.from([...question.subarray(0, 2), 0x81, 0x80, 0, 1, 0, isA ? 1 : 0, 0, 0, 0, 0]);
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 9]);
  return Buffer.concat([header, question.subarray(12, end), ...(isA ? [record] : [])]);
}
