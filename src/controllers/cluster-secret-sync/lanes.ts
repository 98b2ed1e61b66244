/** Queue lanes, most urgent first. */
export const lanes = ["edit", "event", "failing"] as const;
export type Lane = (typeof lanes)[number];

/** Few objects, each of which may be about a thousand namespaces. */
export const CONCURRENCY = 4;

export const queuePolicy = {
  lanes,
  bulkFrom: "failing",
  bulkWorkers: CONCURRENCY - 1,
  mostPerTurn: 4,
  togetherMs: 20,
  backoff: { firstMs: 1_000, mostMs: 120_000 },
} as const;
