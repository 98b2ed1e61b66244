/** What kept a request from any answer, as Node tells it: https://nodejs.org/api/errors.html#nodejs-error-codes */

export interface Words {
  /** Who should have answered. */
  readonly store: string;
  /** What to do about its address, and about its certificate. */
  readonly address: string;
  readonly authority: string;
}

/**
 * Only what stays until somebody mends it: what comes and goes would be another message at each try. undefined: it isn't known why.
 * Addresses of proxies may hold passwords, so they aren't quoted.
 */
export function connectionProblem(error: unknown, { store, address, authority }: Words): string | undefined {
  const { code = "", message = "" } = error as { readonly code?: string; readonly message?: string };
  const text = `${code} ${message}`;
  if (text.includes("ERR_PROXY_TUNNEL")) {
    const [answer = "an error"] = /HTTP\/\d\.\d \d{3}[ \w]{0,40}/.exec(text) ?? [];
    return `the proxy doesn't connect to ${store} and answers ${answer}; check HTTPS_PROXY, NO_PROXY and what the proxy allows`;
  }
  const [untrusted] = /\b(?:CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_CERT_)[A-Z_]+/.exec(text) ?? [];
  if (untrusted !== undefined)
    return `the certificate that ${store} or a proxy shows isn't trusted (${untrusted}); ${authority}`;
  if (code === "ENOTFOUND") return `the name of ${store} can't be resolved (${code}); ${address}`;
  if (code === "ECONNREFUSED") return `nothing listens at the address of ${store} (${code}); ${address}`;
  return undefined;
}
