import * as dns from "node:dns";
import type { LookupFunction } from "node:net";
import { callbackify } from "node:util";

/**
 * Names of hosts to addresses, without the system's resolver: that one keeps a thread busy until it answers, there are few,
 * and a name server that doesn't answer for the one name would hold up all others.
 */
export interface LookupOptions {
  /** Milliseconds that never go back. */
  readonly monotonic: () => number;
  readonly resolver?: Pick<dns.promises.Resolver, "resolve4" | "resolve6">;
  /** For what name servers don't know, such as names in /etc/hosts. */
  readonly system?: (host: string) => Promise<readonly dns.LookupAddress[]>;
}

const LONGEST_MS = 30_000;
const SHORTEST_MS = 2_000;
const FAILED_MS = 1_000;
const MOST_KEPT = 512;

interface Answer {
  readonly addresses: readonly dns.LookupAddress[];
  readonly keepMs: number;
}

export function newLookup({
  monotonic,
  resolver = new dns.promises.Resolver({ timeout: 2_000, tries: 2 }),
  system = (host) => dns.promises.lookup(host, { all: true }),
}: LookupOptions): LookupFunction {
  const answers = new Map<string, { readonly answer: Promise<Answer>; until: number }>();

  const find = (host: string): Promise<Answer> => {
    const known = answers.get(host);
    if (known && monotonic() < known.until) return known.answer;
    const answer = resolve(host);
    const entry = { answer, until: Infinity };
    answers.delete(host);
    answers.set(host, entry);
    if (answers.size > MOST_KEPT) answers.delete(answers.keys().next().value ?? "");
    answer.then(
      ({ keepMs }) => (entry.until = monotonic() + keepMs),
      () => (entry.until = monotonic() + FAILED_MS),
    );
    return answer;
  };

  const resolve = async (host: string): Promise<Answer> => {
    const options = { ttl: true } as const;
    const results = await Promise.allSettled([
      resolver.resolve4(host, options),
      resolver.resolve6(host, options),
    ]);
    const found = results.flatMap((result, index) =>
      result.status === "fulfilled"
        ? result.value.map(({ address, ttl }) => ({ address, family: index === 0 ? 4 : 6, ttl }))
        : [],
    );
    if (found.length > 0) {
      const shortest = Math.min(...found.map(({ ttl }) => ttl)) * 1_000;
      const keepMs = Math.min(LONGEST_MS, Math.max(SHORTEST_MS, shortest));
      return { addresses: found.map(({ address, family }) => ({ address, family })), keepMs };
    }
    // Answered, but not known: asking the system hangs no longer than that answer took.
    const reasons = results.map((result) => (result as { reason?: { code?: string } }).reason);
    if (reasons.every((reason) => reason?.code === dns.NOTFOUND || reason?.code === dns.NODATA))
      return { addresses: await system(host), keepMs: LONGEST_MS };
    throw reasons.find((reason) => reason !== undefined) as Error;
  };

  const answer = async (
    host: string,
    family: dns.LookupOptions["family"],
  ): Promise<readonly dns.LookupAddress[]> => {
    const { addresses } = await find(host);
    const fitting = addresses.filter((address) => !family || address.family === Number(family));
    if (fitting.length > 0) return fitting;
    throw Object.assign(new Error(`${host} has no address of the family`), { code: dns.NODATA });
  };

  return (host, { family, all }, callback) => {
    const tell = callbackify(answer);
    tell(host, family, (error, addresses) => {
      const [first] = addresses ?? [];
      if (error || !addresses || !first) callback(error, []);
      else if (all) callback(null, [...addresses]);
      else callback(null, first.address, first.family);
    });
  };
}
