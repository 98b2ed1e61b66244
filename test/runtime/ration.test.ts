import { describe, expect, it } from "@jest/globals";
import { Ration } from "../../src/runtime/ration.ts";
import { settle } from "../support/fake-clock.ts";

const never = new AbortController().signal;

function newRation() {
  const ration = new Ration({ most: 100, mostOfAShare: 60 });
  const granted: string[] = [];
  const ask = (name: string, share: string, bytes: number, signal = never) => {
    const answer = ration.acquire(share, bytes, signal);
    void answer.then(
      () => granted.push(name),
      () => granted.push(`${name} gave up`),
    );
    return answer;
  };
  return { ask, granted };
}

describe("a ration", () => {
  it("lets hold so much at once, of one share and of all", async () => {
    const { ask, granted } = newRation();
    const giveBack = await ask("a1", "a", 50);
    void ask("a2", "a", 20);
    void ask("b1", "b", 50);
    void ask("c1", "c", 10);
    await settle();
    expect(granted).toEqual(["a1", "b1"]);
    giveBack();
    await settle();
    expect(granted).toEqual(["a1", "b1", "a2", "c1"]);
  });

  it("lets shares take turns, and nobody of a share pass who waits in it", async () => {
    const { ask, granted } = newRation();
    const giveBack = await ask("a1", "a", 60);
    for (const name of ["a2", "a3"]) void ask(name, "a", 40);
    void ask("b1", "b", 60);
    void ask("a4", "a", 1);
    await settle();
    expect(granted).toEqual(["a1"]);
    giveBack();
    giveBack();
    await settle();
    expect(granted).toEqual(["a1", "a2", "b1"]);
  });

  it("gives who wants more than there is all that one may have", async () => {
    const { ask, granted } = newRation();
    await ask("huge", "a", 1_000_000);
    expect(granted).toEqual(["huge"]);
  });

  it("forgets who gives up", async () => {
    const { ask, granted } = newRation();
    const giveBack = await ask("a1", "a", 60);
    const abort = new AbortController();
    ask("a2", "a", 60, abort.signal).catch(() => undefined);
    void ask("a3", "a", 30);
    abort.abort(new Error("over"));
    await settle();
    giveBack();
    await settle();
    expect(granted).toEqual(["a1", "a2 gave up", "a3"]);
    await expect(ask("late", "a", 1, abort.signal)).rejects.toThrow("over");
  });
});
