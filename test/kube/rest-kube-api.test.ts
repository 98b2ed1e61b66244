import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { inspect } from "node:util";
import { ApiError, type KubeApi } from "../../src/kube/kube-api.ts";
import { resources } from "../../src/kube/resources.ts";
import { newKubeApi } from "../../src/kube/rest-kube-api.ts";
import type { Transport } from "../../src/kube/transport.ts";
import { FakeApiserver, reply } from "../support/fake-apiserver.ts";
import { CANARY } from "../support/gen.ts";

let server: FakeApiserver;
let transport: Transport;
let api: KubeApi;
const { signal } = new AbortController();

beforeEach(async () => {
  server = new FakeApiserver();
  transport = await server.start();
  api = newKubeApi(transport);
});
afterEach(() => server.stop());

const answers = (code: number, body: unknown, headers: Record<string, string> = {}) => {
  server.answer = (_request, response) => reply(response, code, body, headers);
};

const secret = { metadata: { name: "db", namespace: "shop" } };
const applied = (): Promise<unknown> =>
  api.apply(resources.secret, secret, { fieldManager: "m", force: true }, signal);
const errorOf = async (work: Promise<unknown>): Promise<ApiError> => {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ApiError)) throw new Error(`no ApiError: ${String(error)}`);
  return error;
};

describe("an object that the apiserver refuses", () => {
  it.each([422, 400])(
    "with %d is told by its fields, and never by words that may quote a value",
    async (code) => {
      answers(code, {
        reason: "Invalid",
        message: `Secret "db" is invalid: data[password]: Invalid value: "${CANARY}": too long`,
        details: { causes: [{ field: "data[password]", reason: "FieldValueTooLong", message: CANARY }] },
      });
      const error = await errorOf(applied());
      expect(error.message).toBe("the apiserver refused the object: data[password] (FieldValueTooLong)");
      expect([error.status, error.reason]).toEqual([code, "Invalid"]);
      expect(inspect(error, { depth: null, showHidden: true })).not.toContain(CANARY);
    },
  );

  it("for no field is told by its reason alone", async () => {
    answers(422, { reason: "Invalid", message: CANARY });
    expect((await errorOf(applied())).message).toBe("the apiserver refused the object: Invalid");
  });

  it("because of a policy is told by the policy's name alone", async () => {
    answers(422, {
      reason: "Invalid",
      message: `ValidatingAdmissionPolicy 'no-secrets' with binding 'b' denied request: ${CANARY}`,
    });
    expect((await errorOf(applied())).message).toBe("the ValidatingAdmissionPolicy no-secrets denies it");
  });

  it("because of the chart's own policy is told in its words, which are constant", async () => {
    const said = (words: string) => ({
      reason: "Invalid",
      message: `ValidatingAdmissionPolicy 'ours.secrets' with binding 'b' denied request: ${words}`,
    });
    answers(422, said("the operator may only delete Secrets that are its own or were handed over to it"));
    expect((await errorOf(applied())).message).toBe(
      "the ValidatingAdmissionPolicy ours.secrets denies it: the operator may only delete Secrets that are its own or were handed over to it",
    );
    answers(422, said("the operator may not write '\u0000' 5"));
    expect((await errorOf(applied())).message).toBe("the ValidatingAdmissionPolicy ours.secrets denies it");
  });

  it("for what can't hold a value is told in the apiserver's words", async () => {
    const causes = [
      { field: "metadata.ownerReferences", reason: "FieldValueInvalid", message: "Only one may control" },
      { field: "type", reason: "FieldValueInvalid", message: "field is immutable" },
      { field: "data[a]", reason: "FieldValueInvalid", message: CANARY },
    ];
    answers(422, { reason: "Invalid", details: { causes } });
    expect((await errorOf(applied())).message).toBe(
      "the apiserver refused the object: metadata.ownerReferences (FieldValueInvalid): Only one may control, type (FieldValueInvalid): field is immutable, data[a] (FieldValueInvalid)",
    );
    const message =
      "ValidatingAdmissionPolicy 'frozen' with binding 'b' denied request: no changes on Fridays";
    answers(422, { reason: "Invalid", message });
    const workload = { metadata: { name: "w", namespace: "shop" } };
    const restarted = api.apply(resources.Deployment, workload, { fieldManager: "m", force: true }, signal);
    expect((await errorOf(restarted)).message).toBe(
      "the ValidatingAdmissionPolicy frozen denies it: no changes on Fridays",
    );
  });

  it("for want of a right is told in the apiserver's words", async () => {
    answers(403, { reason: "Forbidden", message: 'secrets "db" is forbidden' });
    expect((await errorOf(applied())).message).toBe('secrets "db" is forbidden');
  });
});

describe("an answer", () => {
  it("that is no JSON is told so, and not quoted", async () => {
    answers(200, `<html>${CANARY}`);
    const error = await errorOf(applied());
    expect(error.reason).toBe("BadAnswer");
    expect(error.message).not.toContain(CANARY);
  });

  it("of a watch that is no JSON is told so, and not quoted", async () => {
    answers(200, `{"type":"ADDED"${CANARY}\n`);
    const changes = api.watch(resources.secret, { resourceVersion: "1", timeoutSeconds: 1 }, signal);
    const error = await errorOf(
      (async () => {
        for await (const change of changes) throw new Error(`a change: ${change.type}`);
      })(),
    );
    expect(error.reason).toBe("BadAnswer");
    expect(error.message).not.toContain(CANARY);
  });

  it("of a proxy that isn't the apiserver's counts by its code", async () => {
    answers(502, "<html>bad gateway</html>");
    expect(await errorOf(applied())).toMatchObject({
      status: 502,
      isTransient: true,
      message: "the apiserver answered 502",
    });
  });

  it("that asks for a wait tells how long", async () => {
    answers(429, { reason: "TooManyRequests" }, { "retry-after": "7" });
    expect((await errorOf(applied())).retryAfterSeconds).toBe(7);
    answers(429, { reason: "TooManyRequests" });
    expect((await errorOf(applied())).retryAfterSeconds).toBeUndefined();
  });

  it("that breaks off is an error, and no short answer", async () => {
    server.answer = (_request, response) => {
      response.writeHead(200, { "content-length": "100" });
      response.write("{}");
      setTimeout(() => response.destroy(), 10);
    };
    await expect(applied()).rejects.toThrow(/cut off|aborted/);
  });

  it("that there is no such object is none for who reads, and done for who deletes", async () => {
    answers(404, { reason: "NotFound" });
    expect(await api.get(resources.secret, "db", "shop", signal)).toBeUndefined();
    await api.delete(resources.secret, "db", "shop", { uid: "u" }, signal);
    expect((await errorOf(applied())).status).toBe(404);
  });

  it("of another failure is one for who reads and for who deletes", async () => {
    answers(500, { message: "etcd" });
    expect((await errorOf(api.get(resources.secret, "db", "shop", signal))).message).toBe("etcd");
    expect((await errorOf(api.delete(resources.secret, "db", "shop", { uid: "u" }, signal))).status).toBe(
      500,
    );
  });
});

describe("a request", () => {
  it("asks for metadata alone where that is enough, and names what it is about", async () => {
    const seen: string[] = [];
    server.answer = (request, response) => {
      seen.push(`${request.method} ${request.url} ${request.headers.accept}`);
      response.end("{}");
    };
    await api.get(resources.secret, "db", "shop", signal, { metadataOnly: true });
    await api.get(resources.clusterSecretProvider, "a/b", undefined, signal);
    await api.list(
      resources.secret,
      { limit: 5, continue: "t", labelSelector: "a=b", metadataOnly: true },
      signal,
    );
    await api.apply(
      resources.secretSync,
      secret,
      { fieldManager: "m", force: true, subresource: "status", metadataOnly: true },
      signal,
    );
    expect(seen).toEqual([
      "GET /api/v1/namespaces/shop/secrets/db application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
      "GET /apis/secretsync.dev/v1alpha1/clustersecretproviders/a%2Fb application/json",
      "GET /api/v1/secrets?labelSelector=a%3Db&limit=5&continue=t application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
      "PATCH /apis/secretsync.dev/v1alpha1/namespaces/shop/secretsyncs/db/status?fieldManager=m&force=true application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
    ]);
  });

  it("that writes isn't sent once the fence is down", async () => {
    let sent = 0;
    server.answer = (_request, response) => {
      sent++;
      response.end("{}");
    };
    const fenced = newKubeApi(transport, () => false);
    const write = fenced.apply(resources.secret, secret, { fieldManager: "m", force: true }, signal);
    await expect(write).rejects.toThrow(/lease/i);
    expect(sent).toBe(0);
    await fenced.get(resources.secret, "db", "shop", signal);
    expect(sent).toBe(1);
  });
});
