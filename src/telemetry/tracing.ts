/**
 * Spans around what takes time: each reconcile, and each call to a provider. Nothing is recorded unless a collector is
 * named (https://opentelemetry.io/docs/specs/otel/protocol/exporter/); only then otlp-tracing.ts is loaded.
 */
export interface Tracing {
  /** Runs the work in a span that ends with it. Spans that start meanwhile become its children. */
  span<T>(options: SpanOptions, work: (span: Span) => Promise<T>): Promise<T>;
  /** Sends what is still here. */
  stop(): Promise<void>;
}

export interface SpanOptions {
  readonly name: string;
  /** Whether it is a call to somebody else. */
  readonly outgoing?: boolean;
  readonly attributes: Attributes;
}

/** Names and counts, never a value of a secret. */
export type Attributes = Readonly<Record<string, string | number | boolean>>;

export interface Span {
  set(attributes: Attributes): void;
  /** `reason`: one word of a closed set. */
  fail(reason: string): void;
}

const unrecorded: Span = { set: () => undefined, fail: () => undefined };

export const noTracing: Tracing = {
  span: (_options, work) => work(unrecorded),
  stop: () => Promise.resolve(),
};

/** Whether the environment names a collector for traces. */
export const wantsTracing = (env: Readonly<Record<string, string | undefined>>): boolean =>
  Boolean(env["OTEL_EXPORTER_OTLP_ENDPOINT"] || env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]) &&
  env["OTEL_SDK_DISABLED"]?.toLowerCase() !== "true" &&
  env["OTEL_TRACES_EXPORTER"] !== "none";
