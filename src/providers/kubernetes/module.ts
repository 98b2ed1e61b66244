import type { KubernetesSpec } from "../../api/provider-kubernetes.ts";
import type { KubeApi } from "../../kube/kube-api.ts";
import type { OpenCluster } from "../catalog.ts";
import { UnusableCredentials, type ProviderModule } from "../contract.ts";
import { openObjects } from "./objects.ts";

/** Kubernetes as a kind of store: this cluster, or the one of a kubeconfig. */

interface Target {
  readonly namespace: string;
  readonly kind: "Secret" | "ConfigMap";
  readonly isRemote: boolean;
}

export function newKubernetes({
  api,
  openCluster,
}: {
  readonly api: KubeApi;
  readonly openCluster: OpenCluster;
}): ProviderModule<KubernetesSpec, Target> {
  const opened = (kubeconfig: string) => {
    try {
      return openCluster(kubeconfig);
    } catch (error) {
      throw new UnusableCredentials(`its kubeconfig ${(error as Error).message}`);
    }
  };
  return {
    problemOf: () => undefined,

    credentials({ kubeconfig }) {
      const field = "spec.kubernetes.kubeconfig.secretRef";
      if (!kubeconfig) return [{ kind: "ambient", field }];
      const { namespace, name, key } = kubeconfig.secretRef;
      return [{ kind: "secretKeys", field, namespace, name, keys: [key] }];
    },

    target: ({ namespace, kind, kubeconfig }) => ({ namespace, kind, isRemote: kubeconfig !== undefined }),

    connect({ namespace, kind, isRemote }, [keys], { clock }) {
      const options = { clock, namespace, kind };
      if (!isRemote)
        return openObjects({
          ...options,
          api,
          cluster: "this cluster",
          needsConsent: true,
          onClose: () => undefined,
        });
      const remote = opened(keys?.[0] ?? "");
      return openObjects({
        ...options,
        api: remote.api,
        cluster: "the other cluster",
        needsConsent: false,
        onClose: () => remote.close(),
      });
    },
  };
}
