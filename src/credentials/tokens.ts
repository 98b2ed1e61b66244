import { recordOf, textOf } from "../api/loose.ts";
import type { KubeApi } from "../kube/kube-api.ts";
import type { Clock } from "../runtime/clock.ts";

/** Tokens of ServiceAccounts, each asked for once for all who use it, and anew before it ends. */

export interface AccountRef {
  readonly namespace: string;
  readonly name: string;
  readonly audiences: readonly string[];
}

export interface AccountToken {
  readonly token: string;
  /** Of the ServiceAccount: another one of the same name is somebody else. */
  readonly uid: string;
}

/** The shortest that the apiserver gives: what leaks is of little use, and what was deleted is soon noticed. */
const SECONDS = 600;
/** Share of its life after which a token is asked for anew. */
const RENEWED_AFTER = 0.8;

/** A token that was refused is asked for anew no sooner after it was made. */
const REFUSED_AFTER_MS = 5_000;

export interface Tokens {
  /** undefined when there is no such account. */
  of(account: AccountRef, signal: AbortSignal): Promise<AccountToken | undefined>;
  /** Whoever it was shown to doesn't take it. */
  refused(account: AccountRef): void;
}

interface Kept {
  readonly made: Promise<AccountToken | undefined>;
  readonly at: number;
  /** Monotonic; Infinity while it is being asked for. */
  until: number;
}

export function newTokens({ api, clock }: { readonly api: KubeApi; readonly clock: Clock }): Tokens {
  const kept = new Map<string, Kept>();

  function refused(account: AccountRef): void {
    const id = idOf(account);
    const known = kept.get(id);
    if (known && clock.monotonic() - known.at >= REFUSED_AFTER_MS) kept.delete(id);
  }

  function of(account: AccountRef, signal: AbortSignal): Promise<AccountToken | undefined> {
    const now = clock.monotonic();
    for (const [id, { until }] of kept) if (until <= now) kept.delete(id);
    const id = idOf(account);
    const known = kept.get(id);
    if (known) return known.made;
    const { namespace, name, audiences } = account;
    const asked = api.requestToken({ namespace, name }, { audiences, seconds: SECONDS }, signal);
    const entry: Kept = {
      made: asked.then((made) => made && { token: made.token, uid: uidIn(made.token) }),
      at: now,
      until: Infinity,
    };
    kept.set(id, entry);
    const forget = () => kept.get(id) === entry && kept.delete(id);
    asked.then((made) => {
      if (made) entry.until = now + made.lifeMs * RENEWED_AFTER;
      else forget();
    }, forget);
    return entry.made;
  }

  return { of, refused };
}

const idOf = ({ namespace, name, audiences }: AccountRef): string =>
  JSON.stringify([namespace, name, audiences]);

/** https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#schema-for-service-account-private-claims */
function uidIn(token: string): string {
  try {
    const claims = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as unknown;
    return textOf(recordOf(recordOf(recordOf(claims)["kubernetes.io"])["serviceaccount"])["uid"]) ?? "";
  } catch {
    return "";
  }
}
