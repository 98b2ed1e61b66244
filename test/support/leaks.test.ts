import { describe, expect, it } from "@jest/globals";
import { CANARY } from "./gen.ts";
import { canary, leaksIn } from "./leaks.ts";

/** The search for leaks is a check of its own: it must find what there is to find. */
describe("a secret value in a text", () => {
  it.each([
    ["as it is", canary("db")],
    ...[0, 1, 2, 3, 4, 5].map((before): [string, string] => [
      `as Base64 behind ${before} other bytes`,
      Buffer.from(`${"ü?".repeat(3).slice(0, before)}${canary("db")} and more`).toString("base64"),
    ]),
    ["in JSON", JSON.stringify({ a: { b: canary("db") } })],
  ])("is found %s", (_case, text) => {
    expect(leaksIn("log", `before ${text} after`)).toHaveLength(1);
  });

  it("is told with the place and what is around it", () => {
    expect(leaksIn("op.log", `level=info msg=${CANARY}`)).toEqual([`op.log: …level=info msg=${CANARY}…`]);
  });

  it("isn't found where there is none", () => {
    expect(leaksIn("log", `${CANARY.slice(0, -1)} ${Buffer.from("other").toString("base64")}`)).toEqual([]);
  });
});
