import { providerNames, type ProviderName } from "../api/secret-provider.ts";
import type { AccessTo } from "../controllers/secret-sync/fetch.ts";
import { newNews } from "../cluster/odd-objects.ts";
import { newProviderAccess, type Connection } from "../controllers/secret-sync/provider-access.ts";
import { newCredentialReader } from "../credentials/credentials.ts";
import type { Views } from "../cluster/views.ts";
import type { OnStoreNews } from "../controllers/secret-sync/store-news.ts";
import { runInTurn, runStoreFeed } from "../feeds/store-feed.ts";
import { Caller } from "../fetch/caller.ts";
import { ClientPool } from "../fetch/client-pool.ts";
import { KeptBytes } from "../fetch/kept-bytes.ts";
import { ProviderClient, type ProviderClientOptions } from "../fetch/provider-client.ts";
import { Turns } from "../runtime/turns.ts";
import type { KubeApi } from "../kube/kube-api.ts";
import { newLookup } from "../providers/lookup.ts";
import { Intake } from "../runtime/intake.ts";
import { newStreamPace } from "../runtime/stream-pace.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { newCallObserver } from "../telemetry/provider-calls.ts";
import type { Parts } from "./parts.ts";

/** Connections to one provider as one identity: limits.maxConcurrent may grow up to that. */
const MOST_CONNECTIONS = 256;
/** At once, with all its own providers. */
const MOST_CALLS_OF_A_NAMESPACE = 16;
/** Of a namespace's own providers; those beyond wait for one to end, and are polled. Each may be a connection that stays open. */
const MOST_FEEDS_OF_A_NAMESPACE = 8;
/** For others who may want the same, by all clients of all providers. */
const MOST_KEPT_BYTES_OF_VALUES = 16 * 1024 * 1024;
const MOST_KEPT_BYTES_OF_NAMES = 64 * 1024 * 1024;

/** Everything between a providerRef and a store that answers. */
export function wireStores(
  { options, clock, random, log, tracing, catalog, proxyEnv }: Parts,
  {
    api,
    views,
    metrics,
    coming,
    mark,
    onRecovered,
    onNews,
  }: {
    readonly api: KubeApi;
    readonly views: Views;
    readonly metrics: Metrics;
    readonly coming: ProviderClientOptions["coming"];
    readonly mark: (content: Uint8Array) => string;
    /** The client's store answers again after it did not. */
    readonly onRecovered: (client: ProviderClient) => void;
    readonly onNews: OnStoreNews;
  },
): AccessTo {
  // A store is loaded while the first lists still come in; who opens one is told when it can't be.
  for (const providers of [views.providers, views.clusterProviders])
    providers.listen((_before, after) => {
      for (const name of providerNames)
        if (namesProvider(after?.spec, name)) catalog[name]().catch(() => undefined);
    });
  const lookup = newLookup(clock);
  const kept = {
    values: new KeptBytes(MOST_KEPT_BYTES_OF_VALUES),
    names: new KeptBytes(MOST_KEPT_BYTES_OF_NAMES),
  };
  const intake = new Intake();
  const turns = new Turns(MOST_CALLS_OF_A_NAMESPACE);
  const feedTurns = new Turns(MOST_FEEDS_OF_A_NAMESPACE);
  const connect = (connection: Connection): ProviderClient => {
    const { name, module, target, credentials, share, limits, users } = connection;
    const store = module.connect(target, credentials, {
      clock,
      mark,
      lookup,
      proxyEnv,
      maxConnections: MOST_CONNECTIONS,
      admitAnswer: () => intake.answer(share),
      streamPace: () => newStreamPace(clock),
    });
    const caller = new Caller({
      clock,
      random,
      limits,
      // An admin's provider is bounded by its limits; of its own a tenant may have any number.
      ...(share === "" ? {} : { inTurn: (work) => turns.run(share, work) }),
      onRecovered: () => onRecovered(client),
      observe: newCallObserver({ provider: name, metrics, tracing, monotonic: () => clock.monotonic() }),
    });
    const client = new ProviderClient({
      store,
      caller,
      clock,
      coming,
      kept,
      onShared: (operation) => metrics.shared.inc({ operation }),
      onClose: () => closed.abort(),
    });
    const closed = new AbortController();
    const { feed } = store;
    let told = "";
    if (feed) {
      const onError = (error: unknown) => {
        const text = (error as Error).message;
        // It is tried again and again, and told once.
        const level = text === told ? "debug" : "warn";
        told = text;
        log[level](
          { providers: users(), place: store.place, err: error },
          "a store tells nothing of changes by itself; polling goes on, and it is tried again",
        );
      };
      const listening = { feed, clock, random, onNews: (key?: string) => onNews(users(), key), onError };
      void (share === ""
        ? runStoreFeed(listening, closed.signal)
        : runInTurn(feedTurns, share, listening, closed.signal));
    }
    return client;
  };

  return newProviderAccess({
    views,
    catalog,
    credentials: newCredentialReader({ api, clock }),
    pool: new ClientPool(clock),
    connect,
    onMissingCredentials: newNews((provider, detail) =>
      log.warn({ provider, detail }, "credentials of a provider can't be read"),
    ),
    allowAmbientIdentity: options["allow-ambient-identity"],
    clusterProviders: options["cluster-providers"],
  });
}

const namesProvider = (spec: unknown, name: ProviderName): boolean =>
  typeof spec === "object" && spec !== null && Object.hasOwn(spec, name);
