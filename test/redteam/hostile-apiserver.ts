import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** An apiserver that answers with as much as it may, in each of the ways in which there can be much. */
export interface HostileApiserver {
  readonly kubeconfig: string;
  close(): Promise<void>;
}

/** Just below what is taken of one answer. */
const OF_AN_ANSWER = 4 * 1024 * 1024 - 1_024;
const filled = (head: string, piece: string, tail: string): string =>
  `${head}${piece.repeat(Math.floor((OF_AN_ANSWER - head.length - tail.length) / piece.length))}${tail}`;

const object = '"kind":"Secret","apiVersion":"v1","metadata":{"name":"a","resourceVersion":"1","uid":"u"}';
/** Members by the million, where a few would be. */
const bombs = [
  filled(`{${object},"data":[`, "{},", "{}]}"),
  filled(`{${object},"odd":[`, "[],", "[]]}"),
  filled(`{${object},"data":{"a":[`, "0,", "0]}}"),
];
/** A page of very many, and none that is the last. */
const page = (count: number) =>
  filled(
    `{"metadata":{"resourceVersion":"1","continue":"c${count}"},"items":[`,
    '{"metadata":{"name":"k"}},',
    "{}]}",
  );
const flood = Array.from(
  { length: 2_000 },
  (_, n) => `{"type":"MODIFIED","object":{"metadata":{"name":"x${n}","resourceVersion":"${n}"}}}\n`,
).join("");

export async function startHostileApiserver(): Promise<HostileApiserver> {
  let answers = 0;
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "", "http://x");
    answers++;
    response.setHeader("content-type", "application/json");
    if (url.searchParams.has("watch")) pour(response);
    else if (/\/secrets\/[^/]+$/.test(url.pathname)) response.end(bombs[answers % bombs.length]);
    else if (url.searchParams.get("limit") === "1" && answers % 2 === 0)
      response.end('{"metadata":{"resourceVersion":"1"},"items":[]}');
    else response.end(page(answers));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    kubeconfig: `apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "http://127.0.0.1:${port}"}}]
users: [{name: u, user: {token: t}}]
`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function pour(response: ServerResponse): void {
  if (response.destroyed) return;
  if (response.write(flood)) setImmediate(pour, response);
  else response.once("drain", () => pour(response));
}
