import type { AccessTo } from "../controllers/secret-sync/fetch.ts";
import { newNews } from "../cluster/odd-objects.ts";
import { newProviderAccess, type ConnectAws } from "../controllers/secret-sync/provider-access.ts";
import type { Views } from "../cluster/views.ts";
import { Caller } from "../fetch/caller.ts";
import { ClientPool } from "../fetch/client-pool.ts";
import { KeptBytes } from "../fetch/kept-bytes.ts";
import { ProviderClient, type ProviderClientOptions } from "../fetch/provider-client.ts";
import { Turns } from "../fetch/turns.ts";
import type { KubeApi } from "../kube/kube-api.ts";
import { newLookup } from "../providers/lookup.ts";
import { Intake } from "../runtime/intake.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { newCallObserver } from "../telemetry/provider-calls.ts";
import type { Parts } from "./parts.ts";

/** Connections to one provider as one identity: limits.maxConcurrent may grow up to that. */
const MOST_CONNECTIONS = 256;
/** At once, with all its own providers. */
const MOST_CALLS_OF_A_NAMESPACE = 16;
/** For others who may want the same, by all clients of all providers. */
const MOST_KEPT_BYTES_OF_VALUES = 16 * 1024 * 1024;
const MOST_KEPT_BYTES_OF_NAMES = 64 * 1024 * 1024;

/** Everything between a providerRef and a store that answers. */
export function wireStores(
  { options, clock, random, log, tracing, loadAws, proxyEnv }: Parts,
  {
    api,
    views,
    metrics,
    coming,
    onRecovered,
  }: {
    readonly api: KubeApi;
    readonly views: Views;
    readonly metrics: Metrics;
    readonly coming: ProviderClientOptions["coming"];
    /** The client's store answers again after it did not. */
    readonly onRecovered: (client: ProviderClient) => void;
  },
): AccessTo {
  for (const providers of [views.providers, views.clusterProviders]) providers.listen(() => void loadAws());
  const lookup = newLookup(clock);
  const kept = {
    values: new KeptBytes(MOST_KEPT_BYTES_OF_VALUES),
    names: new KeptBytes(MOST_KEPT_BYTES_OF_NAMES),
  };
  const intake = new Intake();
  const turns = new Turns(MOST_CALLS_OF_A_NAMESPACE);
  const connectAws: ConnectAws = async (target, share, limits) => {
    const { openSecretsManager } = await loadAws();
    const store = openSecretsManager({
      ...target,
      maxConcurrent: MOST_CONNECTIONS,
      lookup,
      proxyEnv,
      admitAnswer: () => intake.answer(share),
    });
    const caller = new Caller({
      clock,
      random,
      limits,
      // An admin's provider is bounded by its limits; of its own a tenant may have any number.
      ...(share === "" ? {} : { inTurn: (work) => turns.run(share, work) }),
      onRecovered: () => onRecovered(client),
      observe: newCallObserver({ provider: "aws", metrics, tracing, monotonic: () => clock.monotonic() }),
    });
    const client = new ProviderClient({
      store,
      caller,
      clock,
      coming,
      kept,
      onShared: (operation) => metrics.shared.inc({ operation }),
    });
    return client;
  };

  return newProviderAccess({
    api,
    views,
    clock,
    pool: new ClientPool(),
    connectAws,
    regions: options["aws-regions"],
    onMissingCredentials: newNews((provider, detail) =>
      log.warn({ provider, detail }, "credentials of a provider can't be read"),
    ),
    allowAmbientIdentity: options["allow-ambient-identity"],
    clusterProviders: options["cluster-providers"],
  });
}
