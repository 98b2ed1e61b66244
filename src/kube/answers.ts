import type { IncomingMessage } from "node:http";
import { createInterface } from "node:readline";
import { readBody, type Admit } from "../runtime/paced-body.ts";
import { AnswerTooLargeError } from "./kube-api.ts";

/** The bytes of an apiserver's answers, up to what any would send. */

/** An apiserver takes requests of 3 MiB; what answers with a larger object is none. */
export const LARGEST_OBJECT = 4 * 1024 * 1024;
export const LARGEST_LIST = 64 * 1024 * 1024;

/** By events, since an iterator costs more than all the rest of a small answer. */
export function readAll(response: IncomingMessage, mostBytes = LARGEST_LIST): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    response.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= mostBytes) return chunks.push(chunk);
      chunks.length = 0;
      reject(new AnswerTooLargeError(`${mostBytes} bytes`));
      return response.destroy();
    });
    response.once("end", () => resolve(Buffer.concat(chunks).toString("utf8")));
    response.once("error", reject);
    response.once("close", () => {
      if (!response.complete) reject(new Error("the answer was cut off"));
    });
  });
}

/** Reads an answer of a stranger as it is let in. */
export async function readPaced(
  response: IncomingMessage,
  admit: Admit,
  mostBytes = LARGEST_LIST,
): Promise<string> {
  const tooLarge = () => new AnswerTooLargeError(`${mostBytes} bytes`);
  return (await readBody(response, admit, mostBytes, tooLarge)).toString("utf8");
}

/** A stream that breaks ends in an error, not in a short read. */
export async function* lines(response: IncomingMessage): AsyncIterable<string> {
  let broken: Error | undefined;
  response.once("error", (error) => (broken = error));
  let length = 0;
  response.on("data", (chunk: Buffer) => {
    const end = chunk.lastIndexOf("\n");
    length = end < 0 ? length + chunk.length : chunk.length - end - 1;
    if (length > LARGEST_OBJECT)
      response.destroy(new AnswerTooLargeError(`${LARGEST_OBJECT} bytes in a line`));
  });
  for await (const line of createInterface({ input: response, crlfDelay: Infinity })) {
    if (line !== "") yield line;
  }
  if (broken) throw broken;
  if (!response.complete) throw new Error("the watch was cut off");
}
