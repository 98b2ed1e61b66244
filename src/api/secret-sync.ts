import * as z from "zod";
import { annotations, goDuration, labels, objectName } from "./fields.ts";
import { withRules } from "./rule.ts";
import { dataEntry, dataFromEntry, providerRef } from "./secret-sync-sources.ts";

/** The kind SecretSync: what to read, which Secret to write, and what to restart. */

/**
 * Secret types whose mere existence gives power: a ServiceAccount token, a node join token, and Helm's release
 * records (CVE-2026-42876 of a peer).
 */
export const REFUSED_SECRET_TYPES = [
  "kubernetes.io/service-account-token",
  "bootstrap.kubernetes.io/token",
  "helm.sh/release.v1",
] as const;

/** Helm takes a Secret with such a name and the label owner=helm for a release, whatever its type. */
export const HELM_NAME = "sh.helm.release.";

const target = withRules(
  z
    .object({
      name: objectName("Name of the Secret. Default: the SecretSync's own name.").optional(),
      type: withRules(
        z
          .string()
          .min(1)
          .max(253)
          .meta({ description: "Type of the Secret. Default: Opaque. It can't change later." }),
        {
          cel: `!(self in [${REFUSED_SECRET_TYPES.map((type) => `'${type}'`).join(", ")}])`,
          check: (type) => !(REFUSED_SECRET_TYPES as readonly string[]).includes(type),
          message:
            "this Secret type is refused, because whoever writes it gains the rights that it stands for",
        },
      ).optional(),
      creationPolicy: z.enum(["Owner", "Merge", "Orphan"]).default("Owner").meta({
        description:
          "Owner: the Secret is created, and deleted with the SecretSync. Orphan: created, and kept. Merge: keys are added to a Secret that exists already.",
      }),
      deletionPolicy: z.enum(["Retain", "Delete", "Merge"]).default("Retain").meta({
        description:
          "When secrets are gone from the provider. Retain: keep everything. Delete: delete the Secret once all are gone. Merge: remove the keys that are gone. What was never read under its key, property and provider counts as a mistake, and takes nothing away.",
      }),
      immutable: z
        .boolean()
        .optional()
        .meta({ description: "True: the Secret is written once and never changed." }),
      template: z
        .object({
          metadata: z
            .object({
              labels: labels("Labels of the Secret.").optional(),
              annotations: annotations("Annotations of the Secret.").optional(),
            })
            .optional()
            .meta({ description: "Metadata of the Secret." }),
        })
        .optional()
        .meta({ description: "Shape of the Secret." }),
    })
    .meta({ description: "The Secret that is written." }),
  {
    cel: "self.deletionPolicy != 'Delete' || self.creationPolicy == 'Owner'",
    check: (t) => t.deletionPolicy !== "Delete" || t.creationPolicy === "Owner",
    message: "deletionPolicy Delete needs creationPolicy Owner",
  },
  {
    cel: `!has(self.name) || !self.name.startsWith('${HELM_NAME}')`,
    check: (t) => !t.name?.startsWith(HELM_NAME),
    message: "names that start with sh.helm.release. are Helm's own",
  },
  {
    cel: "self.creationPolicy != 'Merge' || !(has(self.type) || has(self.immutable) && self.immutable)",
    check: (t) => t.creationPolicy !== "Merge" || (t.type === undefined && t.immutable !== true),
    message: "creationPolicy Merge leaves type and immutable to the Secret that exists; remove them",
  },
  {
    cel: "self.creationPolicy != 'Merge' || !has(self.template)",
    check: (t) => t.creationPolicy !== "Merge" || t.template === undefined,
    message: "creationPolicy Merge leaves labels and annotations to the Secret that exists; remove template",
  },
);

export const workloadKinds = ["Deployment", "StatefulSet", "DaemonSet"] as const;
export type WorkloadKind = (typeof workloadKinds)[number];

const restart = withRules(
  z
    .object({
      policy: z.enum(["Auto", "Listed", "None"]).default("Auto").meta({
        description:
          "Auto: restart every workload of the namespace that consumes a changed key. Listed: only those in targets. None: restart nothing.",
      }),
      targets: z
        .array(
          z
            .object({
              kind: z.enum(workloadKinds).meta({ description: "Deployment, StatefulSet or DaemonSet." }),
              name: objectName("Name of the workload."),
            })
            .meta({ description: "A workload of this namespace." }),
        )
        .max(64)
        .optional()
        .meta({ description: "Workloads to restart with policy Listed." }),
    })
    .meta({ description: "What restarts when the content changes." }),
  {
    cel: "(self.policy == 'Listed') == (has(self.targets) && size(self.targets) > 0)",
    check: (r) => (r.policy === "Listed") === (r.targets ?? []).length > 0,
    message: "policy Listed needs targets, and targets need policy Listed",
  },
);

export const secretSyncSpec = withRules(
  z
    .object({
      providerRef: providerRef("Provider of every entry that names none itself.").optional(),
      refreshInterval: goDuration(
        "How often the provider is asked for changes, for example 15m. 0s: only when this spec changes.",
      ).default("1h"),
      suspend: z
        .boolean()
        .optional()
        .meta({ description: "True: nothing is read or written until it is false again." }),
      data: z
        .array(dataEntry)
        .max(256)
        // The apiserver's twin of this rule is the list's map key.
        .refine((entries) => new Set(entries.map((entry) => entry.secretKey)).size === entries.length, {
          message: "Duplicate value: each secretKey can be set once",
        })
        .optional()
        .meta({
          description: "Single keys. They win over dataFrom.",
          "x-kubernetes-list-type": "map",
          "x-kubernetes-list-map-keys": ["secretKey"],
        }),
      dataFrom: z.array(dataFromEntry).max(32).optional().meta({
        description: "Many keys at once; later entries win over earlier ones.",
        "x-kubernetes-list-type": "atomic",
      }),
      // The apiserver checks a default against the rules before it fills in nested defaults, so these are whole.
      target: target.prefault({ creationPolicy: "Owner", deletionPolicy: "Retain" }),
      restart: restart.prefault({ policy: "Auto" }),
    })
    .meta({ description: "What to read, which Secret to write, and what to restart." }),
  {
    cel: "(has(self.data) && size(self.data) > 0) || (has(self.dataFrom) && size(self.dataFrom) > 0)",
    check: (s) => (s.data ?? []).length + (s.dataFrom ?? []).length > 0,
    message: "set data or dataFrom, or there is nothing to sync",
  },
  {
    cel: "has(self.providerRef) || ((!has(self.data) || self.data.all(d, has(d.providerRef))) && (!has(self.dataFrom) || self.dataFrom.all(d, has(d.providerRef))))",
    check: (s) =>
      s.providerRef !== undefined ||
      [...(s.data ?? []), ...(s.dataFrom ?? [])].every((entry) => entry.providerRef !== undefined),
    message: "set spec.providerRef, or providerRef in each entry",
  },
);

export type SecretSyncSpec = z.output<typeof secretSyncSpec>;
