import type { LabelSelector, Namespaces } from "../api/namespaces.ts";
import type { AccessRule } from "../api/secret-provider.ts";

/** Who may read which key of a ClusterSecretProvider. Deny is the default. */

export interface NamespaceFacts {
  readonly name: string;
  /** undefined while they aren't known: then no selector selects it, or one that excludes would let it in. */
  readonly labels: Labels | undefined;
}

type Labels = Readonly<Record<string, string>>;

export function mayRead(rules: readonly AccessRule[], namespace: NamespaceFacts, key: string): boolean {
  return rules.some(
    (rule) =>
      selects(rule.namespaces, namespace) && rule.keys.some((glob) => globMatches(glob, namespace.name, key)),
  );
}

/** Whether there is anything at all that the namespace may read. */
export const isSelected = (rules: readonly AccessRule[], namespace: NamespaceFacts): boolean =>
  rules.some((rule) => selects(rule.namespaces, namespace));

export function selects({ all, names, selector }: Namespaces, { name, labels }: NamespaceFacts): boolean {
  if (all) return true;
  if (names) return names.includes(name);
  return selector !== undefined && labels !== undefined && meets(selector, labels);
}

/** One that says nothing is met by nobody, whatever stored it. */
function meets({ matchLabels = {}, matchExpressions = [] }: LabelSelector, labels: Labels): boolean {
  const wanted = Object.entries(matchLabels);
  return (
    wanted.length + matchExpressions.length > 0 &&
    wanted.every(([label, value]) => valueOf(labels, label) === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = valueOf(labels, key);
      switch (operator) {
        case "In":
          return value !== undefined && values.includes(value);
        case "NotIn":
          return value === undefined || !values.includes(value);
        case "Exists":
          return value !== undefined;
        case "DoesNotExist":
          return value === undefined;
      }
    })
  );
}

const valueOf = (labels: Labels, name: string): string | undefined =>
  Object.hasOwn(labels, name) ? labels[name] : undefined;

/**
 * Anchored at both ends. `*` is any run within a path segment, `**` crosses segments, {{namespace}} is the
 * SecretSync's namespace; everything else is literal. An ARN, which may name another account, needs a glob that begins
 * with arn:, and there * stays between two colons. Takes time proportional to the product of both lengths at most.
 */
export function globMatches(glob: string, namespace: string, key: string): boolean {
  const isArn = key.startsWith("arn:");
  if (isArn && !glob.startsWith("arn:")) return false;
  const tokens = glob.replaceAll("{{namespace}}", namespace).match(/\*\*|\*|[^*]/g) ?? [];
  // Positions in `key` that the tokens so far can reach.
  let reachable = new Set([0]);
  for (const token of tokens) {
    const next = new Set<number>();
    for (const position of reachable) {
      if (token === "*" || token === "**") {
        for (let end = position; end <= key.length && !next.has(end); end++) {
          next.add(end);
          if (token === "*" && (key[end] === "/" || (isArn && key[end] === ":"))) break;
        }
      } else if (key.startsWith(token, position)) next.add(position + token.length);
    }
    reachable = next;
  }
  return reachable.has(key.length);
}
