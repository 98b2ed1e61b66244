/**
 * A set of keys that mostly holds one: very many such sets are kept, and a Set takes some 200 bytes. `undefined` is the empty one.
 */
export type Few = string | ReadonlySet<string> | undefined;

export function withKey(few: Few, key: string): Few {
  if (few === undefined || few === key) return key;
  if (typeof few === "string") return new Set([few, key]);
  return (few as Set<string>).add(key);
}

export function withoutKey(few: Few, key: string): Few {
  if (few === key) return undefined;
  if (few === undefined || typeof few === "string") return few;
  (few as Set<string>).delete(key);
  return few.size > 0 ? few : undefined;
}

export const hasKey = (few: Few, key: string): boolean =>
  typeof few === "string" ? few === key : (few?.has(key) ?? false);

export function keysOf(few: Few): Iterable<string> {
  if (few === undefined) return [];
  return typeof few === "string" ? [few] : few;
}
