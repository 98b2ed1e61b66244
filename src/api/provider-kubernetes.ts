import * as z from "zod";
import { objectName, secretKey } from "./fields.ts";
import { withRules } from "./rule.ts";

/** Secrets and ConfigMaps of Kubernetes, as a member of a provider's spec. */

const kubeconfig = z
  .object({
    secretRef: z
      .object({
        namespace: objectName("Namespace of that Secret."),
        name: objectName("Name of the Secret that holds the kubeconfig."),
        key: secretKey("Key of the kubeconfig.").default("kubeconfig"),
      })
      .meta({ description: "The Secret with the kubeconfig." }),
  })
  .meta({
    description:
      "Another cluster. Certificates, keys and tokens must be in the kubeconfig itself; it may name neither files nor programs.",
  });

const place = {
  namespace: objectName("Namespace whose objects are read."),
  kind: z
    .enum(["Secret", "ConfigMap"])
    .default("Secret")
    .meta({ description: "What is read there. A key is the name of one, its members are the properties." }),
};

/** Of a namespace's own provider: what its own ServiceAccount may read, and never what the operator may. */
export const kubernetes = z
  .object({
    ...place,
    serviceAccountRef: z.object({ name: objectName("Name of the ServiceAccount.") }).meta({
      description: "A ServiceAccount of the provider's namespace, as which is read: its Roles decide.",
    }),
  })
  .meta({
    description:
      "Secrets or ConfigMaps of a namespace, as far as a ServiceAccount may get, list and watch them.",
  });

export const clusterKubernetes = withRules(
  z
    .object({
      ...place,
      kubeconfig: kubeconfig.optional(),
      serviceAccountRef: z
        .object({
          namespace: objectName("Namespace of the ServiceAccount."),
          name: objectName("Name of the ServiceAccount."),
        })
        .meta({
          description:
            "A ServiceAccount of this cluster, as which is read: its Roles decide, and nobody need consent.",
        })
        .optional(),
    })
    .meta({
      description:
        "Secrets or ConfigMaps of a namespace. In this cluster each must consent: its annotation secretsync.dev/shared-with names the namespaces that may have it.",
    }),
  {
    cel: "!(has(self.kubeconfig) && has(self.serviceAccountRef))",
    check: (spec) => spec.kubeconfig === undefined || spec.serviceAccountRef === undefined,
    message: "set kubeconfig or serviceAccountRef, not both",
  },
);

type ClusterKubernetes = z.output<typeof clusterKubernetes>;
/** Of both kinds. */
export type KubernetesSpec = Omit<ClusterKubernetes, "serviceAccountRef"> & {
  readonly serviceAccountRef?: { readonly name: string; readonly namespace?: string | undefined } | undefined;
};
