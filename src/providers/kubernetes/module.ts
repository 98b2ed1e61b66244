import type { KubernetesSpec } from "../../api/provider-kubernetes.ts";
import type { AnswerPace, KubeApi } from "../../kube/kube-api.ts";
import type { Clusters } from "../catalog.ts";
import { keysOf, tokensOf, UnusableCredentials, type Credentials, type ProviderModule } from "../contract.ts";
import { openObjects } from "./objects.ts";

/** Kubernetes as a kind of store: this cluster, as the operator or as a ServiceAccount, or the one of a kubeconfig. */

interface Target {
  readonly namespace: string;
  readonly kind: "Secret" | "ConfigMap";
  readonly as: "operator" | "account" | "kubeconfig";
}

export function newKubernetes({
  apiWith,
  clusters,
}: {
  readonly apiWith: (pace: AnswerPace) => KubeApi;
  readonly clusters: Clusters;
}): ProviderModule<KubernetesSpec, Target> {
  /** Who reads there. Where it isn't the operator, rights decide what may be read; its own reach further than anybody's. */
  function opened(as: Target["as"], credential: Credentials[number], pace: AnswerPace) {
    switch (as) {
      case "operator":
        return {
          api: apiWith(pace),
          close: () => undefined,
          cluster: "this cluster",
          needsConsent: true,
        };
      case "account":
        return {
          ...clusters.asAccount(tokensOf(credential), pace),
          cluster: "this cluster",
          needsConsent: false,
        };
      case "kubeconfig":
        return { ...ofKubeconfig(credential, pace), cluster: "the other cluster", needsConsent: false };
    }
  }

  function ofKubeconfig(credential: Credentials[number], pace: AnswerPace) {
    try {
      return clusters.ofKubeconfig(keysOf(credential)?.[0] ?? "", pace);
    } catch (error) {
      throw new UnusableCredentials(`its kubeconfig ${(error as Error).message}`);
    }
  }

  return {
    problemOf: () => undefined,

    credentials({ kubeconfig, serviceAccountRef }) {
      if (serviceAccountRef) {
        const { name, namespace } = serviceAccountRef;
        const field = "spec.kubernetes.serviceAccountRef";
        return [{ kind: "serviceAccountToken", field, namespace, name, audiences: [] }];
      }
      const field = "spec.kubernetes.kubeconfig.secretRef";
      if (!kubeconfig) return [{ kind: "ambient", field }];
      const { namespace, name, key } = kubeconfig.secretRef;
      return [{ kind: "secretKeys", field, namespace, name, keys: [key] }];
    },

    target: ({ namespace, kind, kubeconfig, serviceAccountRef }) => ({
      namespace,
      kind,
      as: serviceAccountRef ? "account" : kubeconfig ? "kubeconfig" : "operator",
    }),

    connect({ namespace, kind, as }, [credential], { clock, ...pace }) {
      const { api, close, cluster, needsConsent } = opened(as, credential, pace);
      return openObjects({ api, clock, namespace, kind, cluster, needsConsent, onClose: close });
    },
  };
}
