import { KubeConfig } from "@kubernetes/client-node/dist/config.js";
import * as http from "node:http";
import * as https from "node:https";
import { createSecureContext } from "node:tls";
import { LeaseLostError, type Fence } from "./fence.ts";
import { NoAnswerError } from "./kube-api.ts";
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
/** Credentials are asked for again after this time: files rotate, tokens expire. */
const CREDENTIALS_MS = 60_000;
/** There may be very many who sign in by tokens, and each asks rarely. */
const IDLE_MS = 10_000;
/** No whole answer (of a watch: no head) for so long means that the connection is dead, or was never made. */
const ANSWER_MS = 30_000;

export function loadKubeConfig(): KubeConfig {
  const config = new KubeConfig();
  try {
    config.loadFromDefault();
  } catch (error) {
    throw new Error(`the kubeconfig can't be read: ${(error as Error).message}; correct KUBECONFIG`, {
      cause: error,
    });
  }
  // What the library makes up when it finds nothing.
  if (config.getCurrentCluster()?.server === "http://localhost:8080")
    throw new Error("there is no cluster: set KUBECONFIG, or run in a pod with a ServiceAccount");
  return config;
}

/** The cluster of a kubeconfig, and nobody who signs in to it. */
export function clusterOf(config: KubeConfig): KubeConfig {
  const cluster = config.getCurrentCluster();
  const user = { name: "account" };
  const context = { name: "account", user: user.name, cluster: cluster?.name ?? "" };
  const alone = new KubeConfig();
  alone.loadFromOptions({
    clusters: cluster ? [cluster] : [],
    users: [user],
    contexts: [context],
    currentContext: context.name,
  });
  return alone;
}

/** Signs in instead of what a kubeconfig says. */
export interface SignIn {
  /** Asked for about once a minute. */
  token(): Promise<string>;
  refused(): void;
}

export function newTransport(config: KubeConfig, clock: Clock, signIn?: SignIn): Transport {
  const cluster = config.getCurrentCluster();
  if (!cluster) throw new Error("the kubeconfig's current context names no cluster; set current-context");
  const base = new URL(cluster.server);
  const { request } = base.protocol === "http:" ? http : https;
  let credentials: { at: number; pending: Promise<Credentials> } | undefined;
  let pool: { of: Credentials; agents: Agents } | undefined;
  let isClosed = false;
  const turnstile = new Turnstile(POOL);

  const currentCredentials = (): Promise<Credentials> => {
    if (!credentials || clock.monotonic() - credentials.at > CREDENTIALS_MS) {
      credentials = { at: clock.monotonic(), pending: loadCredentials(config, signIn) };
      credentials.pending.catch(() => (credentials = undefined));
    }
    return credentials.pending;
  };

  const agentsFor = (found: Credentials): Agents => {
    if (pool?.of === found) return pool.agents;
    if (pool && sameTls(pool.of.tls, found.tls)) pool.of = found;
    else pool = { of: found, agents: newAgents(base, found, signIn ? IDLE_MS : undefined) };
    return pool.agents;
  };

  return {
    server: cluster.server,
    async send({ method, path, headers = {}, body, lane, fence }, signal) {
      const found = await currentCredentials();
      // Who still asks is answered, and leaves no connection behind.
      const agents = isClosed ? newAgents(base, found, 1) : agentsFor(found);
      const options: http.RequestOptions = {
        protocol: base.protocol,
        // An IPv6 address has brackets in a URL, and nowhere else.
        host: base.hostname.replace(/^\[|\]$/g, ""),
        port: base.port,
        path: base.pathname.replace(/\/$/, "") + path,
        method,
        agent: typeof lane === "number" ? agents.requests : agents[lane],
        headers: {
          ...found.headers,
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
        if (response.statusCode === 401) {
          credentials = undefined;
          signIn?.refused();
        }
        return response;
      } catch (error) {
        leave();
        throw error;
      }
    },
    close() {
      isClosed = true;
      for (const agent of Object.values(pool?.agents ?? {})) agent.destroy();
    },
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
      const cancel = clock.after(ANSWER_MS, () => sent.destroy(new NoAnswerError(cluster?.server ?? "")));
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

interface Agents {
  readonly requests: http.Agent;
  readonly lease: http.Agent;
  readonly stream: http.Agent;
}

/** `idleMs`: a connection that nobody used for so long is closed. */
function newAgents(base: URL, { tls, proxy }: Credentials, idleMs: number | undefined): Agents {
  if (proxy) return { requests: proxy, lease: proxy, stream: proxy };
  const Agent = base.protocol === "http:" ? http.Agent : https.Agent;
  const { ca, cert, key, passphrase, pfx, ...rest } = tls;
  const options = {
    ...rest,
    // Made once: else every connection reads the certificates, and every request compares them.
    secureContext: createSecureContext({ ca, cert, key, passphrase, pfx }),
    keepAlive: true,
    keepAliveMsecs: 15_000,
    ...(idleMs === undefined ? {} : { timeout: idleMs }),
    scheduling: "fifo" as const,
  };
  return {
    requests: new Agent({ ...options, maxSockets: POOL }),
    lease: new Agent(options),
    stream: new Agent({ ...options, keepAlive: false }),
  };
}

function once(work: () => void): () => void {
  let done = false;
  return () => {
    if (!done) work();
    done = true;
  };
}

interface Credentials {
  readonly headers: Record<string, string>;
  readonly tls: Pick<
    https.AgentOptions,
    "ca" | "cert" | "key" | "passphrase" | "pfx" | "rejectUnauthorized" | "servername"
  >;
  /** Present when the kubeconfig names a proxy. */
  readonly proxy: http.Agent | undefined;
}

const sameTls = (a: Credentials["tls"], b: Credentials["tls"]): boolean =>
  JSON.stringify([a.ca, a.cert, a.key].map(String)) === JSON.stringify([b.ca, b.cert, b.key].map(String));

async function loadCredentials(config: KubeConfig, signIn: SignIn | undefined): Promise<Credentials> {
  const options: https.RequestOptions = {};
  await config.applyToHTTPSOptions(options);
  const { ca, cert, key, passphrase, pfx, rejectUnauthorized, servername, agent, auth } = options;
  const present = Object.entries({ ca, cert, key, passphrase, pfx, rejectUnauthorized, servername }).filter(
    ([, value]) => value !== undefined && value !== null,
  );
  const headers = Object.fromEntries(
    Object.entries((options.headers ?? {}) as Record<string, unknown>).map(([name, value]) => [
      name,
      String(value).trim(),
    ]),
  );
  if (signIn) headers["Authorization"] = `Bearer ${await signIn.token()}`;
  if (auth) headers["Authorization"] = `Basic ${Buffer.from(auth).toString("base64")}`;
  const proxied = config.getCurrentCluster()?.proxyUrl && agent instanceof http.Agent ? agent : undefined;
  return { headers, tls: Object.fromEntries(present), proxy: proxied };
}
