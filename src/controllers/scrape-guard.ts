import { createHash } from "node:crypto";
import type { KubeApi, KubeObject } from "../kube/kube-api.ts";
import { resources } from "../kube/resources.ts";
import type { Clock } from "../runtime/clock.ts";
import { Pace } from "../runtime/pace.ts";

/**
 * Lets scrape whoever shows a token of the cluster that may get /metrics, as kube-rbac-proxy does:
 * https://kubernetes.io/docs/reference/access-authn-authz/webhook/ (SubjectAccessReview, nonResourceAttributes)
 */

type TokenReview = KubeObject & {
  readonly status?: {
    readonly authenticated?: boolean;
    readonly user?: {
      readonly username?: string;
      readonly uid?: string;
      readonly groups?: readonly string[];
    };
  };
};
type AccessReview = KubeObject & { readonly status?: { readonly allowed?: boolean } };

/** How long a verdict holds. Who was let in is let in so much longer while it is asked again. */
const KEEP_MS = 60_000;
const STALE_MS = 60_000;
const MOST_KEPT = 256;
/** Reviews under way, and of one address: who shows made-up tokens must not flood the apiserver, nor hold up others. */
const MOST_REVIEWS = 8;
const OF_AN_ADDRESS_AT_ONCE = 5;
const OF_AN_ADDRESS_EACH_MS = 500;

interface Scrape {
  readonly headers: { readonly authorization?: string | undefined };
  readonly socket: { readonly remoteAddress?: string | undefined };
}

export function newScrapeGuard(api: KubeApi, clock: Clock) {
  /** By hash of the token. Refusals are apart, so that any number of them pushes out nobody who may. */
  const passes = new Map<string, number>();
  const refusals = new Map<string, { readonly at: number; readonly verdict: 401 | 403 }>();
  /** Of the reviews that an address causes. */
  const pace = new Pace({ clock, atOnce: OF_AN_ADDRESS_AT_ONCE, everyMs: OF_AN_ADDRESS_EACH_MS });
  let reviews = 0;

  return async function guard({ headers, socket }: Scrape): Promise<"pass" | 401 | 403 | 429> {
    const token = /^Bearer ([-\w.~+/=]{1,8192})$/.exec(headers.authorization ?? "")?.[1];
    if (token === undefined) return 401;
    const id = createHash("sha256").update(token).digest("hex");
    const now = clock.monotonic();
    const passedFor = now - (passes.get(id) ?? -Infinity);
    if (passedFor < KEEP_MS) return "pass";
    const refusal = refusals.get(id);
    if (refusal && now - refusal.at < KEEP_MS) return refusal.verdict;
    const wasLet = passedFor < KEEP_MS + STALE_MS;
    const mustWait = reviews >= MOST_REVIEWS || (!wasLet && pace.waitMs(socket.remoteAddress ?? "") > 0);
    if (mustWait) return wasLet ? "pass" : 429;
    const answer = reviewed(id, token);
    if (!wasLet) return answer;
    answer.catch(() => undefined);
    return "pass";
  };

  async function reviewed(id: string, token: string): Promise<"pass" | 401 | 403> {
    reviews++;
    try {
      const verdict = await review(token);
      if (verdict === "pass") keep(passes, id, clock.monotonic());
      else {
        passes.delete(id);
        keep(refusals, id, { at: clock.monotonic(), verdict });
      }
      return verdict;
    } finally {
      reviews--;
    }
  }

  async function review(token: string): Promise<"pass" | 401 | 403> {
    const { signal } = new AbortController();
    const tokenReview = { spec: { token }, metadata: {} } as unknown as TokenReview;
    const { status } = await api.create(resources.tokenReview, tokenReview, signal);
    if (status?.authenticated !== true) return 401;
    const { username = "", uid = "", groups = [] } = status.user ?? {};
    const nonResourceAttributes = { path: "/metrics", verb: "get" };
    const accessReview = {
      spec: { user: username, uid, groups, nonResourceAttributes },
      metadata: {},
    } as unknown as AccessReview;
    const answer = await api.create(resources.subjectAccessReview, accessReview, signal);
    return answer.status?.allowed === true ? "pass" : 403;
  }
}

function keep<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > MOST_KEPT) map.delete(map.keys().next().value ?? "");
}
