/** Go durations (https://pkg.go.dev/time#ParseDuration), the form that Kubernetes users write. */

const unitMilliseconds = {
  ns: 1e-6,
  us: 1e-3,
  "\u00b5s": 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
} as const;

export const DURATION = /^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$/u;

/** Milliseconds, or undefined when the text is not a non-negative Go duration. */
export function parseDuration(text: string): number | undefined {
  if (!DURATION.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/([0-9.]+)(ns|us|\u00b5s|ms|s|m|h)/gu)) {
    total += Number(amount) * unitMilliseconds[unit as keyof typeof unitMilliseconds];
  }
  return Number.isFinite(total) ? total : undefined;
}
