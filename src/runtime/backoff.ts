import type { Random } from "./clock.ts";

export interface Backoff {
  readonly firstMs: number;
  readonly mostMs: number;
}

/**
 * The wait before try number `failures + 1`: doubles from first to most, then ±20 % of chance so that what failed
 * together doesn't come back together.
 */
export function backoffDelay({ firstMs, mostMs }: Backoff, failures: number, random: Random): number {
  const doubled = firstMs * 2 ** Math.min(failures - 1, 30);
  return Math.min(doubled, mostMs) * (0.8 + 0.4 * random());
}
