import { KubeConfig } from "@kubernetes/client-node/dist/config.js";
import * as http from "node:http";
import * as https from "node:https";
import { createSecureContext } from "node:tls";
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
  /** Absent for a watch: a connection of its own that may stay open. */
  readonly priority?: Priority;
}

export interface Transport {
  readonly server: string;
  /** Resolves with the response's head; the caller reads the body. */
  send(request: Request, signal: AbortSignal): Promise<http.IncomingMessage>;
  close(): void;
}

/** Connections for requests; more only make the apiserver switch between them. */
const POOL = 16;
/** Credentials are asked for again after this time: files rotate, tokens expire. */
const CREDENTIALS_MS = 60_000;
/** No answer's head for so long means that the connection is dead. */
const HEAD_TIMEOUT_MS = 30_000;

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

export function newTransport(config: KubeConfig, monotonic: () => number): Transport {
  const cluster = config.getCurrentCluster();
  if (!cluster) throw new Error("the kubeconfig's current context names no cluster; set current-context");
  const base = new URL(cluster.server);
  const { request } = base.protocol === "http:" ? http : https;
  let credentials: { at: number; pending: Promise<Credentials> } | undefined;
  let pool: { of: Credentials; agent: http.Agent; streams: http.Agent } | undefined;
  const turnstile = new Turnstile(POOL);

  const currentCredentials = (): Promise<Credentials> => {
    if (!credentials || monotonic() - credentials.at > CREDENTIALS_MS) {
      credentials = { at: monotonic(), pending: loadCredentials(config) };
      credentials.pending.catch(() => (credentials = undefined));
    }
    return credentials.pending;
  };

  const agents = (found: Credentials) => {
    const { tls, proxy } = found;
    if (pool?.of === found) return pool;
    if (pool && sameTls(pool.of.tls, tls)) pool.of = found;
    else {
      const Agent = base.protocol === "http:" ? http.Agent : https.Agent;
      const { ca, cert, key, passphrase, pfx, ...rest } = tls;
      const options = {
        ...rest,
        // Made once: else every connection reads the certificates, and every request compares them.
        secureContext: createSecureContext({ ca, cert, key, passphrase, pfx }),
        keepAlive: true,
        keepAliveMsecs: 15_000,
        scheduling: "fifo" as const,
      };
      pool = {
        of: found,
        agent: proxy ?? new Agent({ ...options, maxSockets: POOL }),
        streams: proxy ?? new Agent({ ...options, keepAlive: false }),
      };
    }
    return pool;
  };

  return {
    server: cluster.server,
    async send({ method, path, headers = {}, body, priority }, signal) {
      const found = await currentCredentials();
      const { agent, streams } = agents(found);
      if (priority !== undefined) await turnstile.enter(priority);
      const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
        let sent: http.ClientRequest;
        try {
          sent = request(
            {
              protocol: base.protocol,
              host: base.hostname,
              port: base.port,
              path: base.pathname.replace(/\/$/, "") + path,
              method,
              agent: priority === undefined ? streams : agent,
              headers: {
                ...found.headers,
                ...headers,
                "user-agent": "secretsync",
                ...(body === undefined ? {} : { "content-length": Buffer.byteLength(body) }),
              },
              signal,
            },
            resolve,
          );
        } catch (error) {
          // A header that can't be sent, such as a token with a line end in it.
          if (priority !== undefined) turnstile.leave();
          throw error;
        }
        sent.setTimeout(HEAD_TIMEOUT_MS, () =>
          sent.destroy(new Error(`no answer from ${cluster.server} in time`)),
        );
        // A watch may be silent; any other answer must go on.
        if (priority === undefined) sent.once("response", () => sent.setTimeout(0));
        sent.on("error", reject);
        // Closed in every case: answered and read, failed or aborted.
        if (priority !== undefined) sent.once("close", () => turnstile.leave());
        sent.end(body);
      });
      // A token that was rotated before its time.
      if (response.statusCode === 401) credentials = undefined;
      return response;
    },
    close() {
      pool?.agent.destroy();
      pool?.streams.destroy();
    },
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

async function loadCredentials(config: KubeConfig): Promise<Credentials> {
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
  if (auth) headers["Authorization"] = `Basic ${Buffer.from(auth).toString("base64")}`;
  const proxied = config.getCurrentCluster()?.proxyUrl && agent instanceof http.Agent ? agent : undefined;
  return { headers, tls: Object.fromEntries(present), proxy: proxied };
}
