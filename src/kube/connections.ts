import type { KubeConfig } from "@kubernetes/client-node/dist/config.js";
import * as http from "node:http";
import * as https from "node:https";
import { createSecureContext } from "node:tls";

/** Connections to the cluster of a kubeconfig, and the headers by which its user signs in over them. */
export interface Connections {
  readonly server: string;
  current(): Promise<{ readonly headers: Readonly<Record<string, string>>; readonly agents: Agents }>;
  /** The server doesn't take these headers: they are loaded anew. */
  refused(): void;
  close(): void;
}

export interface ConnectionsOptions {
  /** For requests, at once. */
  readonly most: number;
  /** A connection that nobody used for so long is closed; by default it stays. */
  readonly idleMs?: number;
}

/** Credentials are loaded again after this time: files rotate, tokens expire. */
const CREDENTIALS_MS = 60_000;

export function newConnections(
  config: KubeConfig,
  clock: { monotonic(): number },
  options: ConnectionsOptions,
): Connections {
  const cluster = config.getCurrentCluster();
  if (!cluster) throw new Error("the kubeconfig's current context names no cluster; set current-context");
  const base = new URL(cluster.server);
  const credentials = newKept(clock, () => loadCredentials(config));
  let pool: { of: Credentials; agents: Agents } | undefined;
  let isClosed = false;

  const agentsFor = (found: Credentials): Agents => {
    if (pool?.of === found) return pool.agents;
    if (pool && sameTls(pool.of.tls, found.tls)) pool.of = found;
    else pool = { of: found, agents: newAgents(base, found, options) };
    return pool.agents;
  };

  return {
    server: cluster.server,
    async current() {
      const found = await credentials.get();
      // Who still asks is answered, and leaves no connection behind.
      const agents = isClosed ? newAgents(base, found, { most: 1, idleMs: 1 }) : agentsFor(found);
      return { headers: found.headers, agents };
    },
    refused: () => credentials.forget(),
    close() {
      isClosed = true;
      for (const agent of Object.values(pool?.agents ?? {})) agent.destroy();
    },
  };
}

/** What signs in, loaded about once a minute, and again after it couldn't be. */
export function newKept<T>(clock: { monotonic(): number }, load: () => Promise<T>) {
  let kept: { readonly at: number; readonly pending: Promise<T> } | undefined;
  const forget = () => void (kept = undefined);
  return {
    get(): Promise<T> {
      if (!kept || clock.monotonic() - kept.at > CREDENTIALS_MS) {
        kept = { at: clock.monotonic(), pending: load() };
        kept.pending.catch(forget);
      }
      return kept.pending;
    },
    forget,
  };
}

export interface Agents {
  readonly requests: http.Agent;
  readonly lease: http.Agent;
  readonly stream: http.Agent;
}

function newAgents(base: URL, { tls, proxy }: Credentials, { most, idleMs }: ConnectionsOptions): Agents {
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
    requests: new Agent({ ...options, maxSockets: most }),
    lease: new Agent(options),
    stream: new Agent({ ...options, keepAlive: false }),
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
