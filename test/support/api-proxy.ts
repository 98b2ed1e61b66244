import { readFileSync, writeFileSync } from "node:fs";
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { request as httpsRequest } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { parse, stringify } from "yaml";

/** Stands between the operator and the real apiserver, and can cut, freeze and count what goes through. */

interface Kubeconfig {
  clusters: {
    cluster: { server: string; "certificate-authority"?: string; "certificate-authority-data"?: string };
  }[];
  users: { user: { token?: string; "client-certificate-data"?: string; "client-key-data"?: string } }[];
}

export interface Write {
  readonly method: string;
  readonly path: string;
}

/** Called before a write is forwarded, and again when its answer is there but not yet given. */
export type WriteHook = (write: Write, phase: "before" | "after") => Promise<void> | void;

export class ApiProxy {
  readonly #server = createServer((request, response) => this.#forward(request, response));
  readonly #sockets = new Set<Socket>();
  readonly #upstream: Kubeconfig;
  #port = 0;
  readonly #tls: { ca?: Buffer; cert?: Buffer; key?: Buffer };
  onWrite: WriteHook = () => undefined;
  /** Open watches get nothing any more, and no end either: a connection that died without a FIN. */
  readonly #frozen = new Set<ServerResponse>();
  readonly #watches = new Set<ServerResponse>();
  /** Writes that reached the apiserver. */
  readonly writes: Write[] = [];

  constructor(kubeconfig: string) {
    this.#upstream = parse(readFileSync(kubeconfig, "utf8")) as Kubeconfig;
    const cluster = this.#upstream.clusters[0]!.cluster;
    const user = this.#upstream.users[0]!.user;
    const decode = (text: string | undefined) => (text ? { value: Buffer.from(text, "base64") } : undefined);
    const ca = cluster["certificate-authority"]
      ? readFileSync(cluster["certificate-authority"])
      : decode(cluster["certificate-authority-data"])?.value;
    const cert = decode(user["client-certificate-data"])?.value;
    const key = decode(user["client-key-data"])?.value;
    this.#tls = { ...(ca ? { ca } : {}), ...(cert ? { cert } : {}), ...(key ? { key } : {}) };
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
  }

  /** Writes a kubeconfig that leads here and resolves with its path. */
  async start(file: string): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
    const server = `http://127.0.0.1:${this.#port}`;
    const config = {
      apiVersion: "v1",
      kind: "Config",
      "current-context": "proxy",
      // The client library takes plain HTTP only with this.
      clusters: [{ name: "proxy", cluster: { server, "insecure-skip-tls-verify": true } }],
      users: [{ name: "proxy", user: {} }],
      contexts: [{ name: "proxy", context: { cluster: "proxy", user: "proxy" } }],
    };
    writeFileSync(file, stringify(config));
    return file;
  }

  /** On the same port as before. */
  async restart(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.#port, "127.0.0.1", resolve));
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  freezeWatches(): void {
    for (const watch of this.#watches) this.#frozen.add(watch);
  }

  #forward(request: IncomingMessage, response: ServerResponse): void {
    void this.#relay(request, response).catch(() => response.destroy());
  }

  async #relay(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "GET", url = "/" } = request;
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const write: Write | undefined = method === "GET" ? undefined : { method, path: url.split("?")[0] ?? "" };
    if (write) await this.onWrite(write, "before");
    if (response.destroyed) return;
    const { server } = this.#upstream.clusters[0]!.cluster;
    const { token } = this.#upstream.users[0]!.user;
    const { host: _host, connection: _connection, ...headers } = request.headers;
    const send = server.startsWith("https:") ? httpsRequest : httpRequest;
    const isWatch = url.includes("watch=true");
    if (isWatch) this.#watches.add(response);
    const upstream = send(
      `${server}${url}`,
      {
        method,
        headers: { ...headers, ...(token ? { authorization: `Bearer ${token}` } : {}) },
        ...this.#tls,
        agent: false,
      },
      (answer) => {
        void (async () => {
          if (write) {
            this.writes.push(write);
            await this.onWrite(write, "after");
          }
          if (response.destroyed) return;
          response.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.on("data", (chunk) => {
            if (!this.#frozen.has(response)) response.write(chunk);
          });
          answer.once("end", () => {
            if (!this.#frozen.has(response)) response.end();
          });
          answer.once("error", () => response.destroy());
        })();
      },
    );
    upstream.once("error", () => response.destroy());
    response.once("close", () => {
      this.#watches.delete(response);
      upstream.destroy();
    });
    upstream.end(Buffer.concat(chunks));
  }
}
