import { KubeConfig } from "@kubernetes/client-node/dist/config.js";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { newTransport, type Transport } from "../../src/kube/transport.ts";
import { systemClock } from "../../src/runtime/clock.ts";

/** A server in the apiserver's place, for what no real one does on demand. */
export class FakeApiserver {
  /** Until told otherwise: an empty object. */
  answer: (request: IncomingMessage, response: ServerResponse) => void = (_request, response) =>
    reply(response, 200, {});
  /** Method and URL of each request. */
  readonly requests: string[] = [];
  /** Every connection that there was. */
  readonly sockets = new Set<Socket>();
  readonly #server = createServer((request, response) => {
    request.resume();
    this.requests.push(`${request.method} ${request.url}`);
    this.answer(request, response);
  });
  #transport: Transport | undefined;

  /** Connected to it. */
  async start({ host = "127.0.0.1", clock = systemClock } = {}): Promise<Transport> {
    this.#server.on("connection", (socket) => this.sockets.add(socket));
    await new Promise<void>((resolve) => this.#server.listen(0, host, resolve));
    const { port } = this.#server.address() as AddressInfo;
    const config = new KubeConfig();
    const server = `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
    config.loadFromClusterAndUser({ name: "c", server, skipTLSVerify: true }, { name: "u", token: "t" });
    this.#transport = newTransport(config, clock);
    return this.#transport;
  }

  async stop(): Promise<void> {
    this.#transport?.close();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export function reply(
  response: ServerResponse,
  code: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(code, { "content-type": "application/json", ...headers });
  response.end(typeof body === "string" ? body : JSON.stringify(body));
}
