import { createServer, type Server, type ServerResponse } from "node:http";

/** Probes and metrics over plain HTTP. */

export type Check = () => string | undefined;

export interface Endpoint {
  readonly contentType: string;
  readonly body: () => Promise<string>;
}

/** 200 "ok", or 503 with what is wrong. */
export const probe = (check: Check) => ({
  handle(response: ServerResponse) {
    const problem = check();
    response.writeHead(problem === undefined ? 200 : 503, { "content-type": "text/plain" });
    response.end(`${problem ?? "ok"}\n`);
  },
});

export const page = ({ contentType, body }: Endpoint) => ({
  handle(response: ServerResponse) {
    body().then(
      (text) => response.writeHead(200, { "content-type": contentType }).end(text),
      () => response.writeHead(500).end(),
    );
  },
});

export type Routes = Readonly<Record<string, { handle(response: ServerResponse): void }>>;

/** `address` is host:port; an empty host means every interface, port 0 a free one. Resolves with the port. */
export async function serve(
  address: string,
  routes: Routes,
): Promise<{ readonly port: number; close(): void }> {
  const { host, port } = parseAddress(address);
  const server: Server = createServer((request, response) => {
    const path = (request.url ?? "/").split("?")[0] ?? "/";
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
    if (route && (request.method === "GET" || request.method === "HEAD")) route.handle(response);
    else
      response
        .writeHead(404, { "content-type": "text/plain" })
        .end(`try ${Object.keys(routes).join(", ")}\n`);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      reject(error.code === "EADDRINUSE" ? new Error(`${address} is in use; choose another port`) : error),
    );
    server.listen(port, host, resolve);
  });
  const bound = server.address();
  return {
    port: typeof bound === "object" && bound ? bound.port : port,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

export function parseAddress(address: string): { host: string | undefined; port: number } {
  const [, host = "", port = ""] = /^(.*):(\d{1,5})$/.exec(address) ?? [];
  return { host: host.replace(/^\[|\]$/g, "") || undefined, port: Number(port) };
}
