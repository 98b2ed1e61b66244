import { describe, expect, it } from "@jest/globals";
import { Turns } from "../../src/runtime/turns.ts";
import { settle } from "../support/fake-clock.ts";

describe("turns", () => {
  it("let each share do so many things at once, the others in their order", async () => {
    const turns = new Turns(2);
    const begun: string[] = [];
    const ends = new Map<string, () => void>();
    const work = (share: string, name: string) =>
      turns.run(share, () => {
        begun.push(name);
        return new Promise<string>((resolve) => ends.set(name, () => resolve(name)));
      });
    const all = ["a", "b", "c", "d"].map((name) => work("shop", name));
    const other = work("other", "x");
    await settle();
    expect(begun).toEqual(["a", "b", "x"]);
    ends.get("b")?.();
    await settle();
    expect(begun).toEqual(["a", "b", "x", "c"]);
    for (const name of ["a", "c", "d", "x"]) {
      ends.get(name)?.();
      await settle();
    }
    expect(await Promise.all([...all, other])).toEqual(["a", "b", "c", "d", "x"]);
  });

  it("are no longer waited for by whoever gives up, who is kept no longer", async () => {
    const turns = new Turns(1);
    let end = () => undefined as unknown;
    const running = turns.run("shop", () => new Promise<void>((resolve) => (end = resolve)));
    const stop = new AbortController();
    let begun = 0;
    const waiting = turns.run("shop", () => Promise.resolve(++begun), stop.signal);
    const after = turns.run("shop", () => Promise.resolve("after"));
    stop.abort(new Error("closed"));
    await expect(waiting).rejects.toThrow("closed");
    await expect(turns.run("shop", () => Promise.resolve(++begun), stop.signal)).rejects.toThrow("closed");
    end();
    await running;
    expect([await after, begun]).toEqual(["after", 0]);
    // Aborted after its turn has come, it is as it was.
    const other = new AbortController();
    expect(
      await turns.run(
        "shop",
        () => {
          other.abort();
          return Promise.resolve("done");
        },
        other.signal,
      ),
    ).toBe("done");
  });

  it("go on after work that fails", async () => {
    const turns = new Turns(1);
    const failed = expect(turns.run("shop", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    const next = turns.run("shop", () => Promise.resolve(1));
    await failed;
    expect(await next).toBe(1);
  });
});
