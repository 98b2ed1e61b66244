import type { Filter } from "@aws-sdk/client-secrets-manager";
import type { ListFilter } from "../contract.ts";

/**
 * Both filters are prefix matches at AWS, and of several values one must match; so leaving some out only makes the answer
 * longer. https://docs.aws.amazon.com/secretsmanager/latest/userguide/manage_search-secret.html
 */
export function filtersOf({ namePrefix, tags = {} }: ListFilter): Filter[] {
  const wanted: readonly (readonly [Filter["Key"], readonly string[]])[] = [
    ["name", namePrefix === undefined ? [] : [namePrefix]],
    ["tag-key", Object.keys(tags)],
    ["tag-value", Object.values(tags)],
  ];
  return wanted
    .map(([Key, texts]) => ({ Key, Values: texts.filter(isFilterValue).slice(0, MOST_FILTER_VALUES) }))
    .filter(({ Values }) => Values.length > 0);
}

/** https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Filter.html; a "!" in front means: not. */
const isFilterValue = (text: string): boolean =>
  /^[a-zA-Z0-9 :_@/+=.-][a-zA-Z0-9 :_@/+=.!-]{0,511}$/.test(text);
const MOST_FILTER_VALUES = 10;
