import type { Condition } from "../api/fields.ts";

/** A condition of a status, as kstatus reads it: https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md */

/** The CRD takes more; people and etcd don't. */
const LONGEST_MESSAGE = 4_000;

/** Its time of transition stays as it is in `before` while its status does. `now`: as RFC 3339. */
export function condition(
  before: { readonly conditions?: readonly Condition[] | undefined },
  generation: number | undefined,
  now: string,
  type: string,
  status: Condition["status"],
  { reason, message }: { readonly reason: string; readonly message: string },
): Condition {
  const same = before.conditions?.find((other) => other.type === type && other.status === status);
  return {
    type,
    status,
    reason,
    message: cut(message, LONGEST_MESSAGE),
    lastTransitionTime: same?.lastTransitionTime ?? now,
    ...(generation === undefined ? {} : { observedGeneration: generation }),
  };
}

export const cut = (text: string, longest: number): string =>
  text.length > longest ? `${text.slice(0, longest)}…` : text;
