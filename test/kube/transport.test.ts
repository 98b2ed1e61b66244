import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { KubeConfig } from "@kubernetes/client-node/dist/config.js";
import type { ServerResponse } from "node:http";
import { LeaseLostError } from "../../src/kube/fence.ts";
import type { KubeObject } from "../../src/kube/kube-api.ts";
import { resources } from "../../src/kube/resources.ts";
import { newKubeApi } from "../../src/kube/rest-kube-api.ts";
import { newTransports } from "../../src/kube/transport.ts";
import { FakeApiserver, reply } from "../support/fake-apiserver.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { until } from "../support/wait.ts";

/** The client of the apiserver against a server of this test's own: what a real one can't be made to do. */

const { signal } = new AbortController();
const secret: KubeObject = { metadata: { name: "a", namespace: "ns" } };
const options = { fieldManager: "m", force: true };

let server: FakeApiserver;
const ok = (response: ServerResponse, body: unknown = secret) => reply(response, 200, body);

beforeEach(() => {
  server = new FakeApiserver();
  server.answer = (_request, response) => ok(response);
});
afterEach(() => server.stop());

describe("requests to the apiserver", () => {
  it("share a few connections", async () => {
    const transport = await server.start();
    const api = newKubeApi(transport);
    await Promise.all(Array.from({ length: 200 }, () => api.get(resources.secret, "a", "ns", signal)));
    expect(server.requests).toHaveLength(200);
    expect(server.sockets.size).toBeLessThanOrEqual(16);
  });

  it("reach a server by its IPv6 address", async () => {
    const transport = await server.start({ host: "::1" });
    expect(await newKubeApi(transport).get(resources.secret, "a", "ns", signal)).toEqual(secret);
  });

  it("of strangers are read and parsed as they are let in, and no faster than their watch may tell", async () => {
    const transport = await server.start();
    const admitted: number[] = [];
    const lines: number[] = [];
    let letIn = () => undefined as unknown;
    const api = newKubeApi(transport, undefined, {
      admitAnswer: () => async (bytes) => {
        admitted.push(bytes);
        await new Promise<void>((resolve) => (letIn = resolve));
      },
      streamPace: () => async (bytes) => void lines.push(bytes),
    });
    const large = { ...secret, data: { a: "x".repeat(500_000) } };
    server.answer = (_request, response) => ok(response, large);
    const isThere = new AbortController();
    const read = api.get(resources.secret, "a", "ns", signal).finally(() => isThere.abort());
    await until("it begins", () => admitted.length === 1);
    expect(admitted[0]).toBeLessThan(200_000);
    while (!isThere.signal.aborted) {
      letIn();
      await new Promise(setImmediate);
    }
    expect(await read).toEqual(large);
    // All of it once more, before it is parsed.
    const bytes = JSON.stringify(large).length;
    expect([admitted.at(-1), admitted.slice(0, -1).reduce((sum, each) => sum + each, 0)]).toEqual([
      bytes,
      bytes,
    ]);
    const event = JSON.stringify({ type: "ADDED", object: secret });
    server.answer = (_request, response) => {
      response.writeHead(200, { "content-type": "application/json" });
      response.end(`${event}\n${event}\n`);
    };
    const watching = { namespace: "ns", resourceVersion: "1", timeoutSeconds: 1 };
    for await (const told of api.watch(resources.secret, watching, signal)) expect(told.type).toBe("ADDED");
    expect(lines).toEqual([event.length, event.length]);
  });

  it("take no object and no line of a watch that no apiserver would send", async () => {
    const transport = await server.start();
    const api = newKubeApi(transport);
    const piece = Buffer.alloc(1024 * 1024, " ");
    let sent = 0;
    server.answer = (_request, response) => {
      response.writeHead(200, { "content-type": "application/json" });
      const more = () => {
        sent++;
        if (!response.destroyed && sent < 64) response.write(piece, () => setImmediate(more));
      };
      more();
    };
    await expect(api.get(resources.secret, "a", "ns", signal)).rejects.toThrow("4194304 bytes");
    expect(sent).toBeLessThan(64);
    sent = 0;
    await expect(api.list(resources.secret, { namespace: "ns", limit: 1 }, signal)).rejects.toThrow(
      "4194304 bytes",
    );
    sent = 0;
    const watch = async () => {
      const watching = { namespace: "ns", resourceVersion: "1", timeoutSeconds: 1 };
      for await (const event of api.watch(resources.secret, watching, signal)) expect(event).toBeUndefined();
    };
    await expect(watch()).rejects.toThrow(/4194304 bytes in a line|cut off/);
    expect(sent).toBeLessThan(64);
  });

  it("are sent once more when the server closes a connection that it had kept for us", async () => {
    const transport = await server.start();
    const api = newKubeApi(transport);
    await api.get(resources.secret, "a", "ns", signal);
    let cut = 0;
    server.answer = (request, response) => {
      if (cut++ === 0) request.socket.resetAndDestroy();
      else ok(response);
    };
    await api.apply(resources.secret, secret, options, signal);
    expect(cut).toBe(2);
    // But never one that would make something twice.
    cut = 0;
    await expect(api.create(resources.event, secret, signal)).rejects.toThrow();
    expect(cut).toBe(1);
  });

  it("don't wait longer than 30 s for an answer", async () => {
    const clock = new FakeClock();
    const transport = await server.start({ clock });
    server.answer = () => undefined;
    const asked = newKubeApi(transport).get(resources.secret, "a", "ns", signal);
    const failed = expect(asked).rejects.toThrow("in time");
    await until("it was asked", () => server.requests.length === 1);
    await clock.advance(30_001);
    await failed;
  });

  it("of the leader's lease wait for no other", async () => {
    const transport = await server.start();
    const api = newKubeApi(transport);
    const held: ServerResponse[] = [];
    server.answer = (request, response) => {
      if (request.url?.includes("/leases/")) ok(response);
      else held.push(response);
    };
    const others = Array.from({ length: 40 }, () => api.apply(resources.secret, secret, options, signal));
    await until("the connections are taken", () => held.length === 16);
    await api.apply(resources.lease, secret, options, signal);
    server.answer = (_request, response) => ok(response);
    for (const response of held) ok(response);
    await Promise.all(others);
  });

  it("stop waiting in line when they are given up", async () => {
    const transport = await server.start();
    const api = newKubeApi(transport);
    const held: ServerResponse[] = [];
    server.answer = (_request, response) => void held.push(response);
    const others = Array.from({ length: 16 }, () => api.get(resources.secret, "a", "ns", signal));
    await until("the connections are taken", () => held.length === 16);
    const patience = new AbortController();
    const late = api.get(resources.secret, "late", "ns", patience.signal);
    patience.abort(new Error("given up"));
    await expect(late).rejects.toThrow("given up");
    server.answer = (_request, response) => ok(response);
    for (const response of held) ok(response);
    await Promise.all(others);
    expect(server.requests.some((line) => line.includes("late"))).toBe(false);
  });

  it("ask for metadata only, with the label, and for bookmarks, where the caller does", async () => {
    const transport = await server.start();
    const accepted: string[] = [];
    server.answer = (request, response) => {
      accepted.push(String(request.headers.accept));
      ok(
        response,
        request.url?.includes("watch=true") ? {} : { metadata: { resourceVersion: "1" }, items: null },
      );
    };
    const api = newKubeApi(transport);
    const selection = { labelSelector: "a=b", metadataOnly: true };
    await api.list(resources.secret, { ...selection, limit: 500 }, signal);
    const watch = api.watch(
      resources.secret,
      { ...selection, resourceVersion: "1", timeoutSeconds: 300 },
      signal,
    );
    await watch[Symbol.asyncIterator]()
      .next()
      .catch(() => undefined);
    expect(server.requests).toEqual([
      "GET /api/v1/secrets?labelSelector=a%3Db&limit=500",
      "GET /api/v1/secrets?labelSelector=a%3Db&watch=true&allowWatchBookmarks=true&resourceVersion=1&timeoutSeconds=300",
    ]);
    expect(accepted).toEqual([
      "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
      "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
    ]);
  });

  it("fail when their answer is cut off", async () => {
    const transport = await server.start();
    server.answer = (request, response) => {
      response.writeHead(200, { "content-length": "1000" }).write("{");
      setImmediate(() => request.socket.destroy());
    };
    await expect(newKubeApi(transport).get(resources.secret, "a", "ns", signal)).rejects.toThrow();
  });
});

describe("the fence", () => {
  it("lets nothing be written without the lease, and everything be read", async () => {
    const transport = await server.start();
    let leads = false;
    const api = newKubeApi(transport, () => leads);
    const writes = [
      () => api.apply(resources.secret, secret, options, signal),
      () => api.create(resources.event, secret, signal),
      () => api.delete(resources.secret, "a", "ns", { uid: "uid" }, signal),
    ];
    for (const write of writes) await expect(write()).rejects.toThrow(LeaseLostError);
    await api.get(resources.secret, "a", "ns", signal);
    expect(server.requests).toEqual(["GET /api/v1/namespaces/ns/secrets/a"]);
    leads = true;
    for (const write of writes) await write();
    expect(server.requests).toHaveLength(4);
  });

  it("is asked when nothing is left to wait for: what stood in line is held back, too", async () => {
    const transport = await server.start();
    let leads = true;
    const api = newKubeApi(transport, () => leads);
    const held: ServerResponse[] = [];
    server.answer = (_request, response) => void held.push(response);
    const writes = Array.from({ length: 60 }, () =>
      api.apply(resources.secret, secret, options, signal).then(
        () => "written",
        (error: Error) => error.name,
      ),
    );
    await until("the connections are taken", () => held.length === 16);
    leads = false;
    for (const response of held) ok(response);
    const ends = await Promise.all(writes);
    expect(ends.filter((end) => end === "written")).toHaveLength(16);
    expect(ends.filter((end) => end === "LeaseLostError")).toHaveLength(44);
    expect(server.requests).toHaveLength(16);
  });
});

describe("tokens", () => {
  it("are asked for as Kubernetes has it, with the life that it gives; a missing account has none", async () => {
    const api = newKubeApi(await server.start());
    server.answer = (_request, response) =>
      reply(response, 201, {
        metadata: { creationTimestamp: "2026-05-01T00:00:00Z" },
        status: { token: "t1", expirationTimestamp: "2026-05-01T00:20:00Z" },
      });
    const account = { namespace: "shop", name: "reader" };
    const ask = (audiences: readonly string[]) =>
      api.requestToken(account, { audiences, seconds: 600 }, signal);
    expect(await ask(["sts.amazonaws.com"])).toEqual({ token: "t1", lifeMs: 1_200_000 });
    expect(server.requests).toEqual(["POST /api/v1/namespaces/shop/serviceaccounts/reader/token"]);
    server.answer = (_request, response) =>
      reply(response, 201, { status: { token: "t2", expirationTimestamp: "2026-05-01T00:20:00Z" } });
    expect(await ask([])).toEqual({ token: "t2", lifeMs: 600_000 });
    server.answer = (_request, response) => reply(response, 404, { code: 404, reason: "NotFound" });
    expect(await ask([])).toBeUndefined();
    server.answer = (_request, response) => reply(response, 403, { code: 403, reason: "Forbidden" });
    await expect(ask([])).rejects.toMatchObject({ status: 403 });
  });

  it("sign in to the same cluster instead of whatever else its kubeconfig has, and are asked for each minute", async () => {
    const { server: url } = await server.start();
    const clock = new FakeClock();
    let count = 0;
    let refusals = 0;
    const transport = newTransports(
      operatorsConfig(url),
      clock,
    )({
      token: () => Promise.resolve(`token-${++count}`),
      refused: () => refusals++,
    });
    const api = newKubeApi(transport);
    const seen: (string | undefined)[] = [];
    server.answer = ({ headers }, response) => {
      seen.push(headers.authorization);
      ok(response);
    };
    for (const wait of [0, 30_000, 31_000]) {
      await clock.advance(wait);
      await api.get(resources.secret, "a", "ns", signal);
    }
    expect(seen).toEqual(["Bearer token-1", "Bearer token-1", "Bearer token-2"]);
    server.answer = (_request, response) => reply(response, 401, { code: 401 });
    await expect(api.get(resources.secret, "a", "ns", signal)).rejects.toMatchObject({ status: 401 });
    expect(refusals).toBe(1);
    server.answer = ({ headers }, response) => {
      seen.push(headers.authorization);
      ok(response);
    };
    await api.get(resources.secret, "a", "ns", signal);
    expect(seen.at(-1)).toBe("Bearer token-3");
  });

  it("are asked for again when none was given", async () => {
    const { server: url } = await server.start();
    let tries = 0;
    const transport = newTransports(
      operatorsConfig(url),
      new FakeClock(),
    )({
      token: () => (++tries === 1 ? Promise.reject(new Error("no token")) : Promise.resolve("t")),
      refused: () => undefined,
    });
    const api = newKubeApi(transport);
    await expect(api.get(resources.secret, "a", "ns", signal)).rejects.toThrow("no token");
    expect(await api.get(resources.secret, "a", "ns", signal)).toEqual(secret);
  });

  it("of many accounts share connections, and each is taken for itself", async () => {
    const { server: url } = await server.start();
    const transportAs = newTransports(operatorsConfig(url), new FakeClock());
    const seen: (string | undefined)[] = [];
    server.answer = ({ headers }, response) => {
      seen.push(headers.authorization);
      ok(response);
    };
    for (let round = 0; round < 2; round++) {
      for (let index = 0; index < 50; index++) {
        const token = `token-${index}`;
        const transport = transportAs({ token: () => Promise.resolve(token), refused: () => undefined });
        await newKubeApi(transport).get(resources.secret, "a", "ns", signal);
        expect(seen.at(-1)).toBe(`Bearer ${token}`);
        // Whoever closes leaves the connections to the others.
        transport.close();
      }
    }
    expect(server.sockets.size).toBe(1);
  });
});

/** A kubeconfig that signs in as somebody whom no account may be taken for. */
function operatorsConfig(url: string): KubeConfig {
  const config = new KubeConfig();
  config.loadFromClusterAndUser(
    { name: "c", server: url, skipTLSVerify: true },
    { name: "u", token: "the operator's", username: "root", password: "root" },
  );
  return config;
}

describe("errors", () => {
  it("of any length are told by their code, and their words are cut", async () => {
    const api = newKubeApi(await server.start());
    server.answer = (_request, response) =>
      reply(response, 500, JSON.stringify({ message: "x".repeat(300_000), reason: "InternalError" }));
    await expect(api.get(resources.lease, "a", "ns", signal)).rejects.toMatchObject({ status: 500 });
    server.answer = (_request, response) =>
      reply(response, 500, JSON.stringify({ message: "x".repeat(100_000), reason: "InternalError" }));
    const error = await api.get(resources.lease, "a", "ns", signal).catch((thrown: Error) => thrown);
    expect((error as Error).message.length).toBeLessThanOrEqual(4_096);
  });
});
