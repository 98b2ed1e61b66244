import * as http from "node:http";
import * as https from "node:https";
import type { Socket } from "node:net";
import { Readable } from "node:stream";
import type { Clock } from "../runtime/clock.ts";

/** Probes and metrics over HTTP, for anybody who reaches the port: so nobody gets more than a small share of us. */

export type Check = () => string | undefined;
export interface Route {
  handle(request: http.IncomingMessage, response: http.ServerResponse): void;
}
export type Routes = Readonly<Record<string, Route>>;

/** 200 "ok", or 503 with what is wrong; with ?verbose also `details`, which are no reason for it. */
export const probe = (check: Check, details: () => readonly string[] = () => []): Route => ({
  handle(request, response) {
    const problem = check();
    const more = /\?(?:.*&)?verbose\b/.test(request.url ?? "") ? details() : [];
    response.writeHead(problem === undefined ? 200 : 503, { "content-type": "text/plain" });
    response.end(`${[problem ?? "ok", ...more].join("\n")}\n`);
  },
});

/** Who asks within this time gets the same text. */
const SAME_TEXT_MS = 1_000;
/** So many get it at once; the others wait for the next one. */
const MOST_AT_ONCE = 10;
/** Who has not read a text by then is cut off, or it would be kept for as long as somebody reads slowly. */
const READ_MS = 10_000;

interface Made {
  /** Monotonic time since when it is whole. */
  at: number | undefined;
  readonly text: Promise<readonly Buffer[]>;
  given: number;
}

/** A text that takes work to make: once a second at most, however many ask. */
export function page(options: {
  readonly contentType: string;
  /** Piece by piece, with turns for others between: a piece is turned into bytes at once. */
  readonly body: () => AsyncIterable<string>;
  readonly clock: Clock;
}): Route {
  const { contentType, body, clock } = options;
  let made: Made | undefined;
  const make = (): Made => {
    const next: Made = { at: undefined, text: bytesOf(body()), given: 0 };
    const whole = () => void (next.at = clock.monotonic());
    next.text.then(whole, whole);
    return next;
  };
  const handle = (request: http.IncomingMessage, response: http.ServerResponse): void => {
    if (response.destroyed) return;
    const ageMs = made?.at === undefined ? 0 : clock.monotonic() - made.at;
    if (!made || ageMs >= SAME_TEXT_MS) made = make();
    const current = made;
    if (current.given >= MOST_AT_ONCE) {
      const again = () => void clock.after(SAME_TEXT_MS, () => handle(request, response));
      current.text.then(again, again);
      return;
    }
    current.given++;
    current.text.then(
      (pieces) => {
        const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
        const cutOff = clock.after(READ_MS, () => response.destroy());
        response.once("close", cutOff);
        response.writeHead(200, { "content-type": contentType, "content-length": length });
        Readable.from(pieces).pipe(response);
      },
      () => response.writeHead(500).end(),
    );
  };
  return { handle };
}

async function bytesOf(pieces: AsyncIterable<string>): Promise<readonly Buffer[]> {
  const bytes: Buffer[] = [];
  for await (const piece of pieces) bytes.push(Buffer.from(piece));
  return bytes;
}

/** Lets a request pass, or answers it with a status of its own. */
export type Guard = (request: http.IncomingMessage) => Promise<"pass" | 401 | 403 | 429>;

export const guarded = (route: Route, guard: Guard): Route => ({
  handle(request, response) {
    guard(request).then(
      (verdict) => {
        if (verdict === "pass") route.handle(request, response);
        else response.writeHead(verdict, verdict === 401 ? { "www-authenticate": "Bearer" } : {}).end();
      },
      () => response.writeHead(500).end(),
    );
  },
});

/** Of one address; Prometheus and the kubelet use one or two. */
const CONNECTIONS_OF_A_CLIENT = 8;
const CONNECTIONS = 256;
const SERVER_OPTIONS: http.ServerOptions = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 30_000,
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: 8 * 1024,
};

export interface Tls {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** `address` is host:port; an empty host means every interface, port 0 a free one. Resolves with the port. */
export async function serve(
  address: string,
  routes: Routes,
  tls?: Tls,
): Promise<{ readonly port: number; close(): void }> {
  const { host, port } = parseAddress(address);
  const isAnswering = new WeakSet<Socket>();
  const answer: http.RequestListener = (request, response) => {
    const { socket } = request;
    // Requests may follow each other before anything is read, and their answers would wait here; nobody who is served needs that.
    if (isAnswering.has(socket)) {
      socket.destroy();
      return;
    }
    isAnswering.add(socket);
    response.once("close", () => isAnswering.delete(socket));
    const path = (request.url ?? "/").split("?")[0] ?? "/";
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
    if (route && (request.method === "GET" || request.method === "HEAD")) route.handle(request, response);
    else
      response
        .writeHead(404, { "content-type": "text/plain" })
        .end(`try ${Object.keys(routes).join(", ")}\n`);
  };
  const server = tls
    ? https.createServer({ ...SERVER_OPTIONS, ...tls, minVersion: "TLSv1.2" }, answer)
    : http.createServer(SERVER_OPTIONS, answer);
  server.on("connection", limitClients());
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

/**
 * An address gets no more than its share. When all together are too many, the newcomer is let in, and the oldest one of
 * whoever has most goes: else many addresses would shut out the kubelet, whose probes are each a new connection.
 */
function limitClients(): (socket: Socket) => void {
  /** By address, in the order in which they came. */
  const clients = new Map<string, Set<Socket>>();
  let open = 0;
  const forget = (address: string, socket: Socket) => {
    const sockets = clients.get(address);
    if (!sockets?.delete(socket)) return;
    open--;
    if (sockets.size === 0) clients.delete(address);
  };
  return (socket) => {
    const address = socket.remoteAddress ?? "";
    const sockets = clients.get(address) ?? new Set();
    if (sockets.size >= CONNECTIONS_OF_A_CLIENT) {
      socket.destroy();
      return;
    }
    clients.set(address, sockets.add(socket));
    open++;
    socket.once("close", () => forget(address, socket));
    if (open <= CONNECTIONS) return;
    const [most, theirs] = [...clients].reduce((a, b) => (a[1].size >= b[1].size ? a : b));
    const [oldest] = theirs;
    if (!oldest) return;
    forget(most, oldest);
    oldest.destroy();
  };
}

export function parseAddress(address: string): { host: string | undefined; port: number } {
  const [, host = "", port = ""] = /^(.*):(\d{1,5})$/.exec(address) ?? [];
  return { host: host.replace(/^\[|\]$/g, "") || undefined, port: Number(port) };
}
