import { describe, expect, it } from "@jest/globals";
import { readBody } from "../../src/runtime/paced-body.ts";

const chunks = (...texts: readonly string[]) => {
  let read = 0;
  return {
    get read() {
      return read;
    },
    async *[Symbol.asyncIterator]() {
      for (const text of texts) {
        read++;
        yield await Promise.resolve(Buffer.from(text));
      }
    },
  };
};

describe("the body of an answer", () => {
  it("is whole, and its bytes are asked for as they come and before they are parsed", async () => {
    const asked: number[] = [];
    const admit = (bytes: number) => {
      asked.push(bytes);
      return Promise.resolve();
    };
    const body = await readBody(chunks("ab", "c", "def"), admit);
    expect(Buffer.from(body).toString()).toBe("abcdef");
    expect(asked).toEqual([2, 1, 3, 6]);
  });

  it("isn't read on while it isn't let in", async () => {
    const body = chunks("ab", "c");
    let letIn = (): void => undefined;
    const reading = readBody(body, () => new Promise((resolve) => (letIn = resolve)));
    await new Promise(setImmediate);
    expect(body.read).toBe(1);
    letIn();
    await new Promise(setImmediate);
    expect(body.read).toBe(2);
    letIn();
    await new Promise(setImmediate);
    letIn();
    expect(Buffer.from(await reading).toString()).toBe("abc");
  });

  it("has an end", async () => {
    async function* endless() {
      for (;;) yield await Promise.resolve(Buffer.alloc(1024 * 1024));
    }
    await expect(readBody(endless(), () => Promise.resolve())).rejects.toThrow(
      "an answer of more than 16777216 bytes",
    );
  });
});
