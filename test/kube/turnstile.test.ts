import { describe, expect, it } from "@jest/globals";
import { Turnstile, type Priority } from "../../src/kube/turnstile.ts";

describe("the turnstile", () => {
  it("lets the most urgent of those who wait through first", async () => {
    const turnstile = new Turnstile(1);
    const passed: Priority[] = [];
    expect(turnstile.enter(1)).toBeUndefined();
    const waiting = ([3, 2, 1, 0, 1] as const).map(async (priority) => {
      await turnstile.enter(priority);
      passed.push(priority);
      turnstile.leave();
    });
    turnstile.leave();
    await Promise.all(waiting);
    expect(passed).toEqual([0, 1, 1, 2, 3]);
    expect(turnstile.enter(3)).toBeUndefined();
  });
});
