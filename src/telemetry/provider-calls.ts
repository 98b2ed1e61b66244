import type { Metrics } from "./metrics.ts";
import type { Tracing } from "./tracing.ts";

/** Counts, times and traces the calls to a provider. */
export function newCallObserver(options: {
  readonly provider: string;
  readonly metrics: Pick<Metrics, "providerCalls" | "providerSeconds">;
  readonly tracing: Tracing;
  readonly monotonic: () => number;
}) {
  const { provider, metrics, tracing, monotonic } = options;
  return <T>(operation: string, call: () => Promise<T>, resultOf: (answer: T) => string): Promise<T> => {
    const attributes = { "secretsync.provider": provider, "secretsync.operation": operation };
    return tracing.span({ name: `${provider} ${operation}`, outgoing: true, attributes }, async (span) => {
      const started = monotonic();
      const answer = await call();
      const result = resultOf(answer);
      metrics.providerCalls.inc({ provider, operation, result });
      metrics.providerSeconds.observe({ provider, operation }, (monotonic() - started) / 1000);
      span.set({ "secretsync.result": result });
      if (result !== "success" && result !== "missing") span.fail(result);
      return answer;
    });
  };
}
