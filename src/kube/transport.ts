import type { KubeConfig } from "@kubernetes/client-node/dist/config.js";
import * as http from "node:http";
import * as https from "node:https";
import { newConnections, newKept, type Connections } from "./connections.ts";
import { LeaseLostError, type Fence } from "./fence.ts";
import { NoAnswerError } from "./kube-api.ts";
import { clusterOf } from "./own-kubeconfig.ts";
import { Turnstile, type Priority } from "./turnstile.ts";

/**
 * HTTP to the apiserver. The client library knows kubeconfigs, exec plug-ins, OIDC and in-cluster credentials; its
 * own calls open a TLS connection each, so requests go through pooled agents here instead.
 */
export interface Request {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** "stream": a watch, on a connection of its own that may stay open. "lease": waits for nobody. */
  readonly lane: "stream" | "lease" | Priority;
  /** Asked right before the request is sent; false holds it back. */
  readonly fence?: Fence | undefined;
}

export interface Transport {
  readonly server: string;
  /** Resolves with the response's head; the caller reads the body. */
  send(request: Request, signal: AbortSignal): Promise<http.IncomingMessage>;
  close(): void;
}

/** What of the runtime's clock is needed here. */
interface Clock {
  monotonic(): number;
  after(milliseconds: number, callback: () => void): () => void;
}

/** Connections for requests; more only make the apiserver switch between them. */
const POOL = 16;
/** There may be very many who sign in by tokens, and each asks rarely. */
const IDLE_MS = 10_000;
/** No whole answer (of a watch: no head) for so long means that the connection is dead, or was never made. */
const ANSWER_MS = 30_000;

/** Signs in instead of what a kubeconfig says. */
export interface SignIn {
  /** Asked for about once a minute. */
  token(): Promise<string>;
  refused(): void;
}

/** Requests as the user of a kubeconfig. */
export function newTransport(config: KubeConfig, clock: Clock): Transport {
  const connections = newConnections(config, clock, { most: POOL });
  return transportOver(connections, clock, connections);
}

/**
 * Requests to the cluster of a kubeconfig as any number of others, over connections that they share: who asks is said by a header,
 * so a further one costs no connection. The kubeconfig's own user is not among them.
 */
export function newTransports(config: KubeConfig, clock: Clock): (signIn: SignIn) => Transport {
  // Each is bounded by a turnstile; together they are by those who use them.
  const connections = newConnections(clusterOf(config), clock, { most: Infinity, idleMs: IDLE_MS });
  return (signIn) => {
    const token = newKept(clock, () => signIn.token());
    return transportOver(connections, clock, {
      async current() {
        const [{ headers, agents }, bearer] = await Promise.all([connections.current(), token.get()]);
        return { headers: { ...headers, Authorization: `Bearer ${bearer}` }, agents };
      },
      refused() {
        token.forget();
        signIn.refused();
      },
      close: () => undefined,
    });
  };
}

function transportOver(
  { server }: Connections,
  clock: Clock,
  { current, refused, close }: Pick<Connections, "current" | "refused" | "close">,
): Transport {
  const base = new URL(server);
  const { request } = base.protocol === "http:" ? http : https;
  const turnstile = new Turnstile(POOL);

  return {
    server,
    async send({ method, path, headers = {}, body, lane, fence }, signal) {
      const { headers: signedIn, agents } = await current();
      const options: http.RequestOptions = {
        protocol: base.protocol,
        // An IPv6 address has brackets in a URL, and nowhere else.
        host: base.hostname.replace(/^\[|\]$/g, ""),
        port: base.port,
        path: base.pathname.replace(/\/$/, "") + path,
        method,
        agent: typeof lane === "number" ? agents.requests : agents[lane],
        headers: {
          ...signedIn,
          ...headers,
          "user-agent": "secretsync",
          ...(body === undefined ? {} : { "content-length": Buffer.byteLength(body) }),
        },
        signal,
      };
      if (typeof lane === "number") await turnstile.enter(lane, signal);
      const leave = once(() => {
        if (typeof lane === "number") turnstile.leave();
      });
      try {
        const response = await sendOnce(options, body, lane, fence, leave).catch((error: unknown) => {
          // The server closed a connection that it had kept open for us, just when we used it.
          if (method === "POST" || !(error instanceof StaleConnectionError)) throw error;
          return sendOnce(options, body, lane, fence, leave);
        });
        // A token that was rotated before its time.
        if (response.statusCode === 401) refused();
        return response;
      } catch (error) {
        leave();
        throw error;
      }
    },
    close,
  };

  function sendOnce(
    options: http.RequestOptions,
    body: string | undefined,
    lane: Request["lane"],
    fence: Fence | undefined,
    leave: () => void,
  ): Promise<http.IncomingMessage> {
    return new Promise((resolve, reject) => {
      if (fence && !fence()) throw new LeaseLostError();
      const sent = request(options, (response) => {
        // A watch may be silent.
        if (lane === "stream") cancel();
        response.once("close", () => {
          cancel();
          leave();
        });
        resolve(response);
      });
      const cancel = clock.after(ANSWER_MS, () => sent.destroy(new NoAnswerError(server)));
      sent.on("error", (error: NodeJS.ErrnoException) => {
        cancel();
        const stale = sent.reusedSocket && (error.code === "ECONNRESET" || error.code === "EPIPE");
        reject(stale ? new StaleConnectionError(error) : error);
      });
      sent.end(body);
    });
  }
}

class StaleConnectionError extends Error {
  constructor(cause: Error) {
    super(cause.message, { cause });
  }
}

function once(work: () => void): () => void {
  let done = false;
  return () => {
    if (!done) work();
    done = true;
  };
}
