import { GROUP, VERSION } from "../api/group.ts";
import type { ResourceType } from "./kube-api.ts";

const own = (plural: string, kind: string, namespaced: boolean): ResourceType => ({
  group: GROUP,
  version: VERSION,
  plural,
  kind,
  namespaced,
});
const core = (plural: string, kind: string, namespaced = true): ResourceType => ({
  group: "",
  version: "v1",
  plural,
  kind,
  namespaced,
});
const apps = (plural: string, kind: string): ResourceType => ({
  group: "apps",
  version: "v1",
  plural,
  kind,
  namespaced: true,
});

const review = (group: string, plural: string, kind: string): ResourceType => ({
  group,
  version: "v1",
  plural,
  kind,
  namespaced: false,
});

export const resources = {
  secretSync: own("secretsyncs", "SecretSync", true),
  clusterSecretSync: own("clustersecretsyncs", "ClusterSecretSync", false),
  secretProvider: own("secretproviders", "SecretProvider", true),
  clusterSecretProvider: own("clustersecretproviders", "ClusterSecretProvider", false),
  secret: core("secrets", "Secret"),
  configMap: core("configmaps", "ConfigMap"),
  namespace: core("namespaces", "Namespace", false),
  event: core("events", "Event"),
  pod: core("pods", "Pod"),
  Deployment: apps("deployments", "Deployment"),
  StatefulSet: apps("statefulsets", "StatefulSet"),
  DaemonSet: apps("daemonsets", "DaemonSet"),
  tokenReview: review("authentication.k8s.io", "tokenreviews", "TokenReview"),
  subjectAccessReview: review("authorization.k8s.io", "subjectaccessreviews", "SubjectAccessReview"),
  lease: { group: "coordination.k8s.io", version: "v1", plural: "leases", kind: "Lease", namespaced: true },
} as const satisfies Record<string, ResourceType>;

export const apiVersionOf = (type: ResourceType): string =>
  type.group ? `${type.group}/${type.version}` : type.version;
