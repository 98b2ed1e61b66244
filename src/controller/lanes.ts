/** Queue lanes, most urgent first. */
export const lanes = ["new", "edit", "event", "periodic", "failing"] as const;
export type Lane = (typeof lanes)[number];
