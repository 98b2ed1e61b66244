import { KubeConfig } from "@kubernetes/client-node/dist/config.js";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { LeaseLostError } from "../../src/kube/fence.ts";
import type { KubeObject } from "../../src/kube/kube-api.ts";
import { resources } from "../../src/kube/resources.ts";
import { newKubeApi } from "../../src/kube/rest-kube-api.ts";
import { newTransport, type Transport } from "../../src/kube/transport.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { until } from "../support/wait.ts";

/** The client of the apiserver against a server of this test's own: what a real one can't be made to do. */

const { signal } = new AbortController();
const secret: KubeObject = { metadata: { name: "a", namespace: "ns" } };
const options = { fieldManager: "m", force: true };

let answer: (request: IncomingMessage, response: ServerResponse) => void;
const sockets = new Set<Socket>();
let server: ReturnType<typeof createServer>;
let transport: Transport;
const requests: string[] = [];

const ok = (response: ServerResponse, body: unknown = secret) =>
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));

async function start(host = "127.0.0.1", clock = systemClock): Promise<void> {
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const { port } = server.address() as AddressInfo;
  const config = new KubeConfig();
  config.loadFromOptions({
    clusters: [
      { name: "c", server: `http://${host.includes(":") ? `[${host}]` : host}:${port}`, skipTLSVerify: true },
    ],
    users: [{ name: "u", token: "t" }],
    contexts: [{ name: "x", cluster: "c", user: "u" }],
    currentContext: "x",
  });
  transport = newTransport(config, clock);
}

beforeEach(() => {
  requests.length = 0;
  sockets.clear();
  answer = (_request, response) => ok(response);
  server = createServer((request, response) => {
    request.resume();
    requests.push(`${request.method} ${request.url}`);
    answer(request, response);
  });
  server.on("connection", (socket) => sockets.add(socket));
});
afterEach(async () => {
  transport.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

describe("requests to the apiserver", () => {
  it("share a few connections", async () => {
    await start();
    const api = newKubeApi(transport);
    await Promise.all(Array.from({ length: 200 }, () => api.get(resources.secret, "a", "ns", signal)));
    expect(requests).toHaveLength(200);
    expect(sockets.size).toBeLessThanOrEqual(16);
  });

  it("reach a server by its IPv6 address", async () => {
    await start("::1");
    expect(await newKubeApi(transport).get(resources.secret, "a", "ns", signal)).toEqual(secret);
  });

  it("are sent once more when the server closes a connection that it had kept for us", async () => {
    await start();
    const api = newKubeApi(transport);
    await api.get(resources.secret, "a", "ns", signal);
    let cut = 0;
    answer = (request, response) => {
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
    await start("127.0.0.1", clock);
    answer = () => undefined;
    const asked = newKubeApi(transport).get(resources.secret, "a", "ns", signal);
    const failed = expect(asked).rejects.toThrow("in time");
    await until("it was asked", () => requests.length === 1);
    await clock.advance(30_001);
    await failed;
  });

  it("of the leader's lease wait for no other", async () => {
    await start();
    const api = newKubeApi(transport);
    const held: ServerResponse[] = [];
    answer = (request, response) => {
      if (request.url?.includes("/leases/")) ok(response);
      else held.push(response);
    };
    const others = Array.from({ length: 40 }, () => api.apply(resources.secret, secret, options, signal));
    await until("the connections are taken", () => held.length === 16);
    await api.apply(resources.lease, secret, options, signal);
    answer = (_request, response) => ok(response);
    for (const response of held) ok(response);
    await Promise.all(others);
  });

  it("stop waiting in line when they are given up", async () => {
    await start();
    const api = newKubeApi(transport);
    const held: ServerResponse[] = [];
    answer = (_request, response) => void held.push(response);
    const others = Array.from({ length: 16 }, () => api.get(resources.secret, "a", "ns", signal));
    await until("the connections are taken", () => held.length === 16);
    const patience = new AbortController();
    const late = api.get(resources.secret, "late", "ns", patience.signal);
    patience.abort(new Error("given up"));
    await expect(late).rejects.toThrow("given up");
    answer = (_request, response) => ok(response);
    for (const response of held) ok(response);
    await Promise.all(others);
    expect(requests.some((line) => line.includes("late"))).toBe(false);
  });

  it("ask for metadata only, with the label, and for bookmarks, where the caller does", async () => {
    await start();
    const accepted: string[] = [];
    answer = (request, response) => {
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
    expect(requests).toEqual([
      "GET /api/v1/secrets?labelSelector=a%3Db&limit=500",
      "GET /api/v1/secrets?labelSelector=a%3Db&watch=true&allowWatchBookmarks=true&resourceVersion=1&timeoutSeconds=300",
    ]);
    expect(accepted).toEqual([
      "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
      "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
    ]);
  });

  it("fail when their answer is cut off", async () => {
    await start();
    answer = (request, response) => {
      response.writeHead(200, { "content-length": "1000" }).write("{");
      setImmediate(() => request.socket.destroy());
    };
    await expect(newKubeApi(transport).get(resources.secret, "a", "ns", signal)).rejects.toThrow();
  });
});

describe("the fence", () => {
  it("lets nothing be written without the lease, and everything be read", async () => {
    await start();
    let leads = false;
    const api = newKubeApi(transport, () => leads);
    const writes = [
      () => api.apply(resources.secret, secret, options, signal),
      () => api.create(resources.event, secret, signal),
      () => api.delete(resources.secret, "a", "ns", { uid: "uid" }, signal),
    ];
    for (const write of writes) await expect(write()).rejects.toThrow(LeaseLostError);
    await api.get(resources.secret, "a", "ns", signal);
    expect(requests).toEqual(["GET /api/v1/namespaces/ns/secrets/a"]);
    leads = true;
    for (const write of writes) await write();
    expect(requests).toHaveLength(4);
  });

  it("is asked when nothing is left to wait for: what stood in line is held back, too", async () => {
    await start();
    let leads = true;
    const api = newKubeApi(transport, () => leads);
    const held: ServerResponse[] = [];
    answer = (_request, response) => void held.push(response);
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
    expect(requests).toHaveLength(16);
  });
});
