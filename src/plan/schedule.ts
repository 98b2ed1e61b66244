/**
 * When an object is refreshed next. Objects with the same interval and provider are due together, so that one sweep
 * of the provider serves them all; the moments differ by up to ±10 % from round to round and between
 * installations, so that clusters don't fall into step. Needs no memory: it is the same after a restart.
 */
export function nextRefreshMs(nowMs: number, intervalMs: number, group: string): number {
  const round = Math.floor(nowMs / intervalMs);
  for (let candidate = round; ; candidate++) {
    const at = candidate * intervalMs + phase(group, intervalMs) + jitter(group, candidate, intervalMs);
    // A tick that is almost now belongs to the refresh that just ran.
    if (at > nowMs + intervalMs * 0.05) return at - nowMs;
  }
}

const phase = (group: string, intervalMs: number): number => chance(`phase ${group}`) * intervalMs * 0.5;

const jitter = (group: string, round: number, intervalMs: number): number =>
  (chance(`round ${group} ${round}`) - 0.5) * 0.2 * intervalMs;

/** A number in [0, 1) that depends on the text alone: FNV-1a, mixed once more so that similar texts differ. */
export function chance(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++)
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
