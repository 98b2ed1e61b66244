import { describe, expect, it } from "@jest/globals";
import { Turnstile, type Priority } from "../../src/kube/turnstile.ts";

const { signal } = new AbortController();

describe("the turnstile", () => {
  it("lets the most urgent of those who wait through first, in the order in which they came", async () => {
    const turnstile = new Turnstile(1);
    const passed: string[] = [];
    expect(turnstile.enter(1, signal)).toBeUndefined();
    const waiting = ([3, 2, 1, 2, 1] as const).map(async (priority, index) => {
      await turnstile.enter(priority, signal);
      passed.push(`${priority}.${index}`);
      turnstile.leave();
    });
    turnstile.leave();
    await Promise.all(waiting);
    expect(passed).toEqual(["1.2", "1.4", "2.1", "2.3", "3.0"]);
    expect(turnstile.enter(3, signal)).toBeUndefined();
  });

  it("lets as many through at once as it is wide", async () => {
    const turnstile = new Turnstile(2);
    expect([turnstile.enter(1, signal), turnstile.enter(1, signal)]).toEqual([undefined, undefined]);
    const third = turnstile.enter(1, signal);
    expect(third).toBeInstanceOf(Promise);
    turnstile.leave();
    await third;
  });

  it("now and then lets the least urgent go first, so that it doesn't wait for ever", async () => {
    const turnstile = new Turnstile(1);
    void turnstile.enter(1, signal);
    const passed: Priority[] = [];
    const enter = async (priority: Priority) => {
      await turnstile.enter(priority, signal);
      passed.push(priority);
    };
    const last = enter(3);
    for (let turn = 0; turn < 40; turn++) {
      void enter(1);
      turnstile.leave();
      await Promise.resolve();
    }
    await last;
    expect(passed.indexOf(3)).toBe(15);
  });

  it("forgets who gives up waiting", async () => {
    const turnstile = new Turnstile(1);
    const patience = new AbortController();
    void turnstile.enter(1, signal);
    const gaveUp = turnstile.enter(1, patience.signal);
    const next = turnstile.enter(2, signal);
    patience.abort(new Error("out of patience"));
    await expect(gaveUp).rejects.toThrow("out of patience");
    turnstile.leave();
    await next;
    expect(() => turnstile.enter(1, patience.signal)).toThrow("out of patience");
  });
});
