import { KubeConfig } from "@kubernetes/client-node/dist/config.js";

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
