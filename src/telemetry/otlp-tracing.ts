import { context, diag, DiagLogLevel, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import {
  detectResources,
  resourceAttributesEnvDetector,
  resourceFromAttributes,
  serviceNameEnvDetector,
} from "@opentelemetry/resources";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import type { Logger } from "./logger.ts";
import type { Tracing } from "./tracing.ts";

/**
 * Spans to a collector, by OTLP over HTTP. The exporter reads its own variables (OTEL_EXPORTER_OTLP_ENDPOINT, …_HEADERS and
 * so on), and OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES name the service.
 */
export function newOtlpTracing(options: { version: string; identity: string; log: Logger }): Tracing {
  const { version, identity, log } = options;
  const warn = (said: string) => log.warn({ detail: messageOf(said) }, "spans can't be sent");
  const silent = () => undefined;
  diag.setLogger(
    { error: warn, warn, info: silent, debug: silent, verbose: silent },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const own = {
    "service.name": "secretsync",
    "service.version": version,
    "service.instance.id": identity,
  };
  const provider = new TracerProvider({
    resource: resourceFromAttributes(own).merge(
      detectResources({ detectors: [resourceAttributesEnvDetector, serviceNameEnvDetector] }),
    ),
    spanProcessors: [new BatchSpanProcessor({ exporter: new OTLPTraceExporter() })],
  });
  const tracer = provider.getTracer("secretsync", version);

  return {
    span({ name, outgoing = false, attributes }, work) {
      const span = tracer.startSpan(name, {
        kind: outgoing ? SpanKind.CLIENT : SpanKind.INTERNAL,
        attributes,
      });
      const fail = (reason: string) => {
        span.setAttribute("error.type", reason);
        span.setStatus({ code: SpanStatusCode.ERROR, message: reason });
      };
      return context.with(trace.setSpan(context.active(), span), async () => {
        try {
          return await work({ set: (more) => void span.setAttributes(more), fail });
        } catch (error) {
          // Its message is in the log, where it is looked at for secrets.
          fail(error instanceof Error ? error.name : "Error");
          throw error;
        } finally {
          span.end();
        }
      });
    },
    async stop() {
      try {
        await provider.shutdown();
      } catch (error) {
        log.warn({ err: error }, "spans can't be sent");
      }
    },
  };
}

/** The SDK tells an error as JSON of all that is in it; its message is enough. */
function messageOf(said: string): string {
  try {
    return (JSON.parse(said) as { message?: string }).message ?? "unknown";
  } catch {
    return said;
  }
}
