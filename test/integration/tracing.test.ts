import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { KubeApi } from "../../src/kube/kube-api.ts";
import type { Transport } from "../../src/kube/transport.ts";
import { AwsStandIn } from "../support/aws-stand-in.ts";
import { canary } from "../support/leaks.ts";
import { logFile, newAdmin, newTenant, request, unique } from "../support/suite.ts";
import { until } from "../support/wait.ts";

/** The operator with a collector: https://opentelemetry.io/docs/specs/otlp/#otlphttp */

interface Span {
  readonly name: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly status?: { readonly code?: number };
  readonly attributes: readonly { readonly key: string; readonly value: { readonly stringValue?: string } }[];
}
interface Traces {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: Span["attributes"] };
    readonly scopeSpans: readonly { readonly spans: readonly Span[] }[];
  }[];
}

const aws = new AwsStandIn();
const received: string[] = [];
const collector = createServer((incoming, answer) => {
  void text(incoming).then((body) => {
    received.push(body);
    answer
      .writeHead(incoming.url === "/v1/traces" ? 200 : 404, { "content-type": "application/json" })
      .end("{}");
  });
});
let transport: Transport;
let api: KubeApi;
let endpoint: string;

beforeAll(async () => {
  ({ api, transport } = newAdmin());
  endpoint = await aws.start();
  await new Promise<void>((resolve) => collector.listen(0, "127.0.0.1", resolve));
});
afterAll(async () => {
  // For the scan that comes after the tests.
  writeFileSync(logFile(unique("collector")).replace(/log$/, "spans"), received.join("\n"));
  collector.close();
  await aws.stop();
  transport.close();
});

const traces = () =>
  received.map((body) => JSON.parse(body) as Traces).flatMap(({ resourceSpans }) => resourceSpans);
const spans = () => traces().flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans));
const attributesOf = (attributes: Span["attributes"]) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue]));

describe("an operator whose environment names a collector", () => {
  it("sends a span for each reconcile, with the provider's calls within, and tells failures", async () => {
    const { namespace, sync, spec, startOperator, untilReason, untilHandled } = await newTenant(
      api,
      "trace",
      endpoint,
    );
    const url = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
    const operator = await startOperator({
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=test" },
    });
    const [good, missing] = [unique("good"), unique("missing")];
    aws.put(good, canary("one"));
    await sync(good, spec(good));
    await untilReason(good, "Synced");
    aws.put(good, canary("two"));
    await sync(good, spec(good), request());
    await untilHandled(good);
    await sync(missing, spec(missing));
    await untilReason(missing, "SecretNotFound");
    // What is still here when it ends is sent, too.
    await operator.stop();

    const of = (object: string) =>
      spans().filter(
        ({ name, attributes }) =>
          name === "reconcile" && attributesOf(attributes)["secretsync.object"] === `${namespace}/${object}`,
      );
    expect(attributesOf(of(good)[0]!.attributes)).toMatchObject({ "secretsync.result": "success" });
    expect(attributesOf(of(missing)[0]!.attributes)).toMatchObject({
      "secretsync.result": "retry",
      "error.type": "retry",
    });
    expect(of(missing)[0]!.status?.code).toBe(2);
    const calls = spans().filter(({ name }) => name === "aws read");
    const parents = new Set([...of(good), ...of(missing)].map(({ spanId }) => spanId));
    expect(calls.length).toBeGreaterThanOrEqual(3);
    expect(calls.filter(({ parentSpanId }) => parents.has(parentSpanId ?? ""))).toHaveLength(calls.length);
    expect(calls.map(({ attributes }) => attributesOf(attributes)["secretsync.result"])).toEqual(
      expect.arrayContaining(["success", "missing"]),
    );
    for (const { resource } of traces()) {
      expect(attributesOf(resource.attributes)).toMatchObject({
        "service.name": "secretsync",
        "deployment.environment.name": "test",
      });
    }
  }, 60_000);

  it("works without the collector, and says so", async () => {
    const { sync, spec, startOperator, untilReason } = await newTenant(api, "trace", endpoint);
    const operator = await startOperator({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1" } });
    const key = unique("k");
    aws.put(key, canary("one"));
    await sync(key, spec(key));
    await untilReason(key, "Synced");
    await until("the log tells", () => operator.logs().some(({ msg }) => msg === "spans can't be sent"), {
      timeoutMs: 40_000,
    });
    await operator.stop();
  }, 90_000);

  it("that switches them off sends none", async () => {
    const before = received.length;
    const { startOperator } = await newTenant(api, "trace", endpoint);
    const url = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
    const operator = await startOperator({
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_SDK_DISABLED: "true" },
    });
    await operator.stop();
    expect(received).toHaveLength(before);
  }, 60_000);
});
