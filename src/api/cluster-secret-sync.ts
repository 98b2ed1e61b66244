import * as z from "zod";
import { annotations, conditions, labels, objectName, observedGeneration } from "./fields.ts";
import { namespaces } from "./namespaces.ts";
import { parseSpec, type Parsed } from "./parse.ts";
import { secretSyncSpec } from "./secret-sync.ts";

/** The kind ClusterSecretSync: one SecretSync for each of many namespaces. */

export const clusterSecretSyncSpec = z
  .object({
    namespaces,
    template: z
      .object({
        metadata: z
          .object({
            name: objectName(
              "Name of the SecretSyncs. Default: the ClusterSecretSync's own name. Another name makes other ones.",
            ).optional(),
            labels: labels("Labels of the SecretSyncs.").optional(),
            annotations: annotations("Annotations of the SecretSyncs.").optional(),
          })
          .optional()
          .meta({ description: "Metadata of the SecretSyncs." }),
        spec: secretSyncSpec,
      })
      .meta({ description: "The SecretSync that each of the namespaces gets." }),
    deletionPolicy: z.enum(["Delete", "Retain"]).default("Delete").meta({
      description:
        "When a namespace isn't meant any more. Delete: its SecretSync is deleted, and with it what its own policy says. Retain: it stays, until this object is deleted.",
    }),
  })
  .meta({ description: "Which namespaces get a SecretSync, and which one." });

export type ClusterSecretSyncSpec = z.output<typeof clusterSecretSyncSpec>;

export const parseClusterSync = (spec: unknown): Parsed<ClusterSecretSyncSpec> =>
  parseSpec(clusterSecretSyncSpec, spec);

/** Namespaces that status names. */
export const MOST_TOLD = 10;

const failing = z
  .object({
    namespace: z.string().meta({ description: "The namespace." }),
    reason: z.string().meta({
      description: "Why, as its SecretSync's Ready condition says; or NameTaken, Added or WriteFailed.",
    }),
    message: z.string().meta({ description: "What to know or to do." }),
  })
  .meta({ description: "A namespace whose SecretSync isn't ready." });

const count = (description: string) => z.int().meta({ description, format: "int32" });

export const clusterSecretSyncStatus = z
  .object({
    observedGeneration,
    conditions: conditions("Ready always; Reconciling and Stalled while they hold."),
    namespaces: z
      .object({
        matched: count("Namespaces that are meant."),
        ready: count("Of these, those whose SecretSync is ready."),
        failed: count("Of these, those whose SecretSync fails, or can't be made."),
      })
      .optional()
      .meta({ description: "How many namespaces." }),
    failing: z.array(failing).max(MOST_TOLD).optional().meta({
      description: "The first ten namespaces that fail, by name.",
      "x-kubernetes-list-type": "atomic",
    }),
  })
  .meta({ description: "What was observed. Written by the operator only." });

export type ClusterSecretSyncStatus = z.output<typeof clusterSecretSyncStatus>;
