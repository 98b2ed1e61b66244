import { createHash } from "node:crypto";
import type { KubeApi, KubeObject } from "../kube/kube-api.ts";
import { resources } from "../kube/resources.ts";
import type { Clock } from "../runtime/clock.ts";

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

/** How long a verdict holds. */
const KEEP_MS = 60_000;
const MOST_KEPT = 256;
/** Reviews under way: who shows made-up tokens must not make us flood the apiserver. */
const MOST_REVIEWS = 4;

export function newScrapeGuard(api: KubeApi, clock: Clock) {
  /** By hash of the token. */
  const verdicts = new Map<string, { readonly at: number; readonly verdict: "pass" | 401 | 403 }>();
  let reviews = 0;

  return async function guard(request: {
    readonly headers: { readonly authorization?: string | undefined };
  }): Promise<"pass" | 401 | 403 | 429> {
    const token = /^Bearer ([-\w.~+/=]{1,8192})$/.exec(request.headers.authorization ?? "")?.[1];
    if (token === undefined) return 401;
    const id = createHash("sha256").update(token).digest("hex");
    const now = clock.monotonic();
    const known = verdicts.get(id);
    if (known && now - known.at < KEEP_MS) return known.verdict;
    if (reviews >= MOST_REVIEWS) return 429;
    reviews++;
    try {
      const verdict = await review(token);
      verdicts.delete(id);
      verdicts.set(id, { at: now, verdict });
      if (verdicts.size > MOST_KEPT) verdicts.delete(verdicts.keys().next().value ?? "");
      return verdict;
    } finally {
      reviews--;
    }
  };

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
