import * as z from "zod";
import { objectName, secretKey } from "./fields.ts";

/** Secrets and ConfigMaps of Kubernetes, as a member of a ClusterSecretProvider's spec. */

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

export const clusterKubernetes = z
  .object({
    namespace: objectName("Namespace whose objects are read."),
    kind: z
      .enum(["Secret", "ConfigMap"])
      .default("Secret")
      .meta({ description: "What is read there. A key is the name of one, its members are the properties." }),
    kubeconfig: kubeconfig.optional(),
  })
  .meta({
    description:
      "Secrets or ConfigMaps of a namespace. In this cluster each must consent: its annotation secretsync.dev/shared-with names the namespaces that may have it.",
  });

export type KubernetesSpec = z.output<typeof clusterKubernetes>;
