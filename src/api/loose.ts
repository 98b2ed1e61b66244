/** For what others stored: whatever is there, each answer is of the type that it promises. */

export const recordOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};

export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** undefined for what is no text, and for one that is longer. */
export const textOf = (value: unknown, longest = 253): string | undefined =>
  typeof value === "string" && value.length <= longest ? value : undefined;

/** Bytes that the value takes in memory, about: a walk that stops once it is above `most`. */
export function weightOf(value: unknown, most = Infinity): number {
  let weight = 0;
  const waiting: unknown[] = [value];
  while (waiting.length > 0 && weight <= most) {
    const next = waiting.pop();
    if (typeof next === "string") weight += 16 + next.length;
    else if (typeof next !== "object" || next === null) weight += 8;
    else if (Array.isArray(next)) {
      weight += 32 + 8 * next.length;
      for (const item of next) waiting.push(item);
    } else {
      weight += 32;
      for (const name in next) {
        weight += 24 + name.length;
        waiting.push((next as Record<string, unknown>)[name]);
      }
    }
  }
  return weight;
}
