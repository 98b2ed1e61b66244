import { describe, expect, it } from "@jest/globals";
import { Intake } from "../../src/runtime/intake.ts";

const KIB = 1024;

/** An intake whose turns the test makes, and what it has let in, in order. */
function newIntake() {
  const turns: (() => void)[] = [];
  const intake = new Intake((callback) => turns.push(callback));
  const admitted: string[] = [];
  return {
    admitted,
    /** A piece of an answer of its own, or of the one that is given. */
    ask: (share: string, name: string, bytes: number, admit = intake.answer(share)) =>
      void admit(bytes).then(() => admitted.push(name)),
    answer: () => intake.answer(""),
    /** The next turn of the loop, with what it set off; false when none is asked for. */
    async turn(): Promise<boolean> {
      const callback = turns.shift();
      callback?.();
      await Promise.resolve();
      await new Promise(setImmediate);
      return callback !== undefined;
    },
  };
}

describe("what is let in in one turn of the event loop", () => {
  it("is a mebibyte, the rest in turns to come", async () => {
    const { ask, admitted, turn } = newIntake();
    for (const name of ["a", "b", "c", "d", "e"]) ask("", name, 512 * KIB);
    await new Promise(setImmediate);
    expect(admitted).toEqual(["a", "b"]);
    await turn();
    expect(admitted).toEqual(["a", "b", "c", "d"]);
    await turn();
    expect(admitted).toEqual(["a", "b", "c", "d", "e"]);
  });

  it("goes to the shares in turns", async () => {
    const { ask, admitted, turn } = newIntake();
    for (let index = 0; index < 100; index++) ask("evil", `evil-${index}`, 1024 * KIB);
    ask("shop", "shop", 1024 * KIB);
    await turn();
    await turn();
    expect(admitted).toEqual(["evil-0", "evil-1", "shop"]);
  });

  it("is the oldest answer's first", async () => {
    const { ask, answer, admitted, turn } = newIntake();
    const [old, young] = [answer(), answer()];
    ask("", "full", 1024 * KIB);
    ask("", "young", 1024 * KIB, young);
    ask("", "old", 1024 * KIB, old);
    while (await turn());
    expect(admitted).toEqual(["full", "old", "young"]);
  });

  it("is paid for by the turns after it when one piece is larger", async () => {
    const { ask, admitted, turn } = newIntake();
    ask("", "large", 3 * 1024 * KIB);
    ask("", "next", 1);
    await turn();
    await turn();
    expect(admitted).toEqual(["large"]);
    await turn();
    expect(admitted).toEqual(["large", "next"]);
  });

  it("is never held back for want of a turn, and turns are asked for only while something is owed", async () => {
    const { ask, admitted, turn } = newIntake();
    ask("", "first", 2 * 1024 * KIB);
    while (await turn());
    ask("", "second", 1024 * KIB);
    ask("", "third", 1);
    while (await turn());
    expect(admitted).toEqual(["first", "second", "third"]);
    ask("", "fourth", 1);
    await new Promise(setImmediate);
    expect(admitted).toContain("fourth");
  });
});
