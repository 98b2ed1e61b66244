import * as z from "zod";
import { conditions, observedGeneration } from "./fields.ts";

/** The status of a SecretSync: what was observed, for people and for kubectl. Decisions never read it back but for times and generations. */

const source = z
  .object({
    provider: z.string().meta({ description: "The provider object, as Kind/name." }),
    key: z.string().meta({ description: "The secret's name in the provider, or the find." }),
    versionId: z.string().optional().meta({ description: "The version that the Secret holds." }),
    versionStages: z.array(z.string()).optional().meta({
      description: "Staging labels of that version.",
      "x-kubernetes-list-type": "atomic",
    }),
  })
  .meta({ description: "A secret that was read." });

const historyEntry = z
  .object({
    time: z.string().meta({ description: "When the content changed.", format: "date-time" }),
    trigger: z.string().meta({ description: "Created, Spec, Request, Refresh or Drift." }),
    keys: z.array(z.string()).meta({
      description: "Names of the keys that changed, the first 20.",
      "x-kubernetes-list-type": "atomic",
    }),
    workloads: z.array(z.string()).optional().meta({
      description: "Workloads that were restarted for it, as Kind/name, the first 20.",
      "x-kubernetes-list-type": "atomic",
    }),
    outcome: z
      .string()
      .meta({ description: "Written, Repaired, Restarted, RestartWaiting, RestartFailed or Deleted." }),
  })
  .meta({ description: "A change of the content." });

export const secretSyncStatus = z
  .object({
    observedGeneration,
    conditions: conditions("Ready always; Reconciling, Stalled, Stale and Restarted while they hold."),
    secretRef: z
      .object({ name: z.string().meta({ description: "Name of the Secret." }) })
      .optional()
      .meta({ description: "The Secret that was written." }),
    lastChangeTime: z.string().optional().meta({
      description: "When the content last changed. Not a heartbeat.",
      format: "date-time",
    }),
    lastHandledReconcileAt: z.string().optional().meta({
      description: "The value of the annotation reconcile.secretsync.dev/requestedAt that was last handled.",
    }),
    provider: z.string().optional().meta({ description: "The provider objects in use, for kubectl get." }),
    sources: z.array(source).max(32).optional().meta({
      description: "The secrets that were read, the first 32.",
      "x-kubernetes-list-type": "atomic",
    }),
    history: z.array(historyEntry).max(10).optional().meta({
      description: "The last 10 changes, newest first. Key names only.",
      "x-kubernetes-list-type": "atomic",
    }),
  })
  .meta({ description: "What was observed. Written by the operator only." });

export type SecretSyncStatus = z.output<typeof secretSyncStatus>;
export type HistoryEntry = z.output<typeof historyEntry>;
export type SourceStatus = z.output<typeof source>;
