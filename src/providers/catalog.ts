import type { ProviderName } from "../api/secret-provider.ts";
import type { AnswerPace, KubeApi } from "../kube/kube-api.ts";
import type { ProviderModule, TokenSource } from "./contract.ts";

/** The stores that there are. Each is loaded when a provider object names it: an idle operator stays small. */
export type Catalog = { readonly [name in ProviderName]: () => Promise<ProviderModule> };

export interface OpenedCluster {
  readonly api: KubeApi;
  close(): void;
}

/** Apiservers as somebody else than the operator. */
export interface Clusters {
  /** Throws for a kubeconfig that can't be used, with a sentence for its owner. */
  ofKubeconfig(kubeconfig: string, pace: AnswerPace): OpenedCluster;
  /** This cluster, as the ServiceAccount that the tokens are of. */
  asAccount(tokens: TokenSource, pace: AnswerPace): OpenedCluster;
}

export interface CatalogOptions {
  /** Regions of AWS that may be asked, as globs; empty: any. */
  readonly awsRegions: readonly string[];
  readonly matches: (glob: string, text: string) => boolean;
  /** Folders below which files may be read. */
  readonly fileRoots: readonly string[];
  /** This cluster, as the operator. */
  readonly apiWith: (pace: AnswerPace) => KubeApi;
  readonly loadClusters: () => Promise<Clusters>;
}

export const newCatalog = (options: CatalogOptions): Catalog => ({
  aws: once(async () => {
    const { newAws } = await import("./aws/module.ts");
    const { awsRegions: regions, matches } = options;
    const mayAskRegion = (region: string) =>
      regions.length === 0 || regions.some((glob) => matches(glob, region));
    return newAws({ regions, mayAskRegion });
  }),
  kubernetes: once(async () => {
    const { newKubernetes } = await import("./kubernetes/module.ts");
    return newKubernetes({ apiWith: options.apiWith, clusters: await options.loadClusters() });
  }),
  file: once(async () => {
    const { newFile } = await import("./file/module.ts");
    return newFile({ roots: options.fileRoots });
  }),
});

/** Each reconcile asks for a module. One that couldn't be loaded is tried again. */
function once(load: () => Promise<ProviderModule>): () => Promise<ProviderModule> {
  let loading: Promise<ProviderModule> | undefined;
  return () =>
    (loading ??= load().catch((error: unknown) => {
      loading = undefined;
      throw error;
    }));
}
