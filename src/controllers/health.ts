import { ApiError } from "../kube/kube-api.ts";
import type { Logger } from "../telemetry/logger.ts";

/**
 * What keeps the operator from its work and only an admin can mend: rights that it lacks, CRDs that aren't there.
 * Readiness tells all of it; the log tells each once, however often it is tried again.
 */
export class Health {
  readonly #log: Logger;
  readonly #problems = new Map<string, string>();
  /** By namespace, of what is about one namespace of several. */
  readonly #ofNamespaces = new Map<string, Map<string, string>>();

  constructor(log: Logger) {
    this.#log = log;
  }

  get problems(): readonly string[] {
    return [...this.#problems.values()];
  }

  problemsOf(namespace: string): readonly string[] {
    return [...(this.#ofNamespaces.get(namespace)?.values() ?? [])];
  }

  works(part: string, namespace?: string): void {
    this.#of(namespace).delete(part);
  }

  #of(namespace: string | undefined): Map<string, string> {
    if (namespace === undefined) return this.#problems;
    const problems = this.#ofNamespaces.get(namespace) ?? new Map<string, string>();
    this.#ofNamespaces.set(namespace, problems);
    return problems;
  }

  /** Something that will be tried again failed. `needsCrd`: not found means that the kind isn't there. */
  failed(
    part: string,
    error: unknown,
    message: string,
    {
      needsCrd = false,
      scope,
      ...fields
    }: { needsCrd?: boolean; scope?: string | undefined; [field: string]: unknown } = {},
  ): void {
    const problem = problemOf(error, needsCrd);
    const problems = this.#of(scope);
    const isNews = problem === undefined || problems.get(part) !== problem;
    if (problem !== undefined) problems.set(part, problem);
    const detail = problem === undefined ? { err: error } : { detail: problem };
    if (isNews) this.#log.warn({ ...fields, ...detail }, message);
    else this.#log.debug({ ...fields, ...detail }, message);
  }
}

/** undefined for what passes by itself. */
function problemOf(error: unknown, needsCrd: boolean): string | undefined {
  if (!(error instanceof ApiError)) return undefined;
  if (error.status === 403) return error.message;
  if (error.unreadable !== undefined)
    return `the apiserver can't decrypt ${error.unreadable}, so it tells nothing of any object of this kind: restore the key that it is encrypted with, or delete it from etcd`;
  if (error.status === 404 && needsCrd)
    return "a CRD is not installed; run: kubectl apply --server-side -f crds/";
  return undefined;
}
