import { describe, expect, it } from "@jest/globals";
import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { text } from "node:stream/consumers";

describe("a program that is told to end", () => {
  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const)(
    "by %s undoes what it did, the latest first, whatever fails on the way",
    async (signal, code) => {
      const source = `
      import { atEnd } from ${JSON.stringify(path.resolve("test/support/at-end.ts"))};
      atEnd(() => console.log("first"));
      const forget = atEnd(() => console.log("done already"));
      atEnd(() => Promise.reject(new Error("fails")));
      atEnd(async () => { await new Promise(setImmediate); console.log("last"); });
      forget();
      console.log("ready");
      setInterval(() => undefined, 1_000);`;
      const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", source], {
        stdio: ["ignore", "pipe", "inherit"],
        env: { ...process.env, NODE_OPTIONS: "" },
      });
      child.stdout.once("data", () => child.kill(signal));
      const [output, [ended]] = await Promise.all([text(child.stdout), once(child, "exit")]);
      expect(output.trim().split("\n")).toEqual(["ready", "last", "first"]);
      expect(ended).toBe(code);
    },
  );
});
