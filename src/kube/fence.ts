/** A write was held back because another replica may lead by now. */
export class LeaseLostError extends Error {
  constructor() {
    super("the leader lease is not held; nothing was written");
    this.name = "LeaseLostError";
  }
}

/**
 * Whether this replica still leads: a Lease alone doesn't stop one that was paused, or whose writes wait in a line. Asked
 * at the last moment, when nothing is left to do but to send.
 */
export type Fence = () => boolean;
