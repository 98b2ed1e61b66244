/** A spec that was made from a template, beside that template. */

/**
 * Whether somebody has what is wanted. Members of an object beside it are theirs, and so are entries of a list whose items have a
 * key; any other list is a whole, in its order.
 */
export function contains(there: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    if (!Array.isArray(there)) return false;
    if (wanted.some((item) => keyOf(item) !== undefined))
      return wanted.every((item) =>
        there.some((other) => keyOf(other) === keyOf(item) && contains(other, item)),
      );
    return there.length === wanted.length && wanted.every((item, index) => contains(there[index], item));
  }
  if (!isObject(wanted)) return there === wanted;
  return isObject(there) && Object.entries(wanted).every(([name, value]) => contains(there[name], value));
}

/** The first thing, by its path, that somebody has beside what is wanted; undefined: nothing. For what has all that is wanted. */
export function addition(there: unknown, wanted: unknown, path: string): string | undefined {
  if (Array.isArray(there) && Array.isArray(wanted)) {
    for (const [index, item] of there.entries()) {
      const key = keyOf(item);
      const like: unknown = key === undefined ? wanted[index] : wanted.find((other) => keyOf(other) === key);
      const at = `${path}[${key ?? index}]`;
      const more = like === undefined ? at : addition(item, like, at);
      if (more !== undefined) return more;
    }
    return undefined;
  }
  if (!isObject(there) || !isObject(wanted)) return undefined;
  for (const [name, value] of Object.entries(there)) {
    const at = `${path}.${name}`;
    const more = Object.hasOwn(wanted, name) ? addition(value, wanted[name], at) : at;
    if (more !== undefined) return more;
  }
  return undefined;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const keyOf = (item: unknown): string | undefined => {
  const key = isObject(item) ? item["secretKey"] : undefined;
  return typeof key === "string" ? key : undefined;
};
