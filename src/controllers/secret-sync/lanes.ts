/** Queue lanes, most urgent first. */
export const lanes = ["new", "edit", "event", "periodic", "failing"] as const;
export type Lane = (typeof lanes)[number];

/** Of the workers, so many stay free for what is urgent. */
const URGENT_SHARE = 0.25;

/** How the queue serves the lanes, for so many workers. */
export const queuePolicy = (concurrent: number) =>
  ({
    lanes,
    bulkFrom: "periodic",
    bulkWorkers: Math.max(1, Math.floor(concurrent * (1 - URGENT_SHARE))),
    mostPerTurn: 32,
    togetherMs: 20,
    backoff: { firstMs: 1_000, mostMs: 120_000 },
  }) as const;
