import { setTimeout as sleep } from "node:timers/promises";

/** Waiting longer is of no use. */
export class Fatal extends Error {}

/** Polls until the check gives a value other than undefined or false; the last error or value explains a time-out. */
export async function until<T>(
  what: string,
  check: () => Promise<T | undefined | false> | T | undefined | false,
  { timeoutMs = 30_000, everyMs = 50 }: { timeoutMs?: number; everyMs?: number } = {},
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await check();
      if (value !== undefined && value !== false) return value;
      last = value;
    } catch (error) {
      if (error instanceof Fatal) throw error;
      last = error;
    }
    if (performance.now() > deadline) {
      throw new Error(`timed out after ${timeoutMs} ms waiting until ${what}; last: ${String(last)}`);
    }
    await sleep(everyMs);
  }
}
