import { Writable } from "node:stream";
import { afterEach, describe, expect, it } from "@jest/globals";
import { createConnection, type Socket } from "node:net";
import { once } from "node:events";
import { guarded, page, probe, serve, type Route } from "../../src/telemetry/http-server.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";

const closing: (() => void)[] = [];
afterEach(() => closing.splice(0).forEach((close) => close()));

async function serving(routes: Readonly<Record<string, Route>>): Promise<number> {
  const server = await serve("127.0.0.1:0", routes);
  closing.push(() => server.close());
  return server.port;
}

/** What a handler answers, without a network. */
class Response extends Writable {
  readonly answer: { status?: number; body?: string; headers?: object } = {};

  constructor() {
    // It closes when all was read, which a test says.
    super({ autoDestroy: false });
  }

  writeHead(status: number, headers: object = {}): this {
    Object.assign(this.answer, { status, headers });
    return this;
  }

  override _write(piece: Buffer, _encoding: string, done: () => void): void {
    this.answer.body = `${this.answer.body ?? ""}${String(piece)}`;
    done();
  }

  wasRead(): void {
    this.emit("close");
  }
}

function answerOf(route: Route, headers: Record<string, string> = {}) {
  const response = new Response();
  route.handle({ headers } as never, response as never);
  return { answer: response.answer, response };
}

async function* piecesOf(...pieces: readonly (string | Error)[]): AsyncIterable<string> {
  for (const piece of pieces) {
    if (typeof piece !== "string") throw piece;
    yield await Promise.resolve(piece);
  }
}

describe("a page", () => {
  it("is made once a second for all who ask, and given to so many at once", async () => {
    const clock = new FakeClock();
    let made = 0;
    const route = page({ contentType: "text/plain", body: () => piecesOf(`text ${++made}`), clock });
    const answers = Array.from({ length: 25 }, () => answerOf(route).answer);
    await settle();
    expect(answers.filter(({ body }) => body === "text 1")).toHaveLength(10);
    await clock.advance(1_000);
    expect(answers.filter(({ body }) => body === "text 2")).toHaveLength(10);
    await clock.advance(1_000);
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 25 }, () => 200));
    expect(made).toBe(3);
  });

  it("isn't made for who has hung up", async () => {
    const clock = new FakeClock();
    const route = page({ contentType: "text/plain", body: () => piecesOf("x"), clock });
    const asked = Array.from({ length: 11 }, () => answerOf(route));
    asked[10]!.response.destroy();
    await clock.advance(5_000);
    expect(asked[10]!.answer.status).toBeUndefined();
  });

  it("is made one at a time, whoever asks while it takes long", async () => {
    const clock = new FakeClock();
    const ends: (() => void)[] = [];
    const body = async function* (): AsyncIterable<string> {
      await new Promise<void>((resolve) => ends.push(resolve));
      yield `text ${ends.length}`;
    };
    const route = page({ contentType: "", body, clock });
    const first = answerOf(route);
    await clock.advance(3_000);
    const second = answerOf(route);
    const crowd = Array.from({ length: 9 }, () => answerOf(route));
    await clock.advance(3_000);
    expect(ends).toHaveLength(1);
    ends[0]!();
    await settle();
    expect([first, second].map(({ answer }) => answer.body)).toEqual(["text 1", "text 1"]);
    expect(crowd.map(({ answer }) => answer.body)).toEqual([
      ...Array.from({ length: 8 }, () => "text 1"),
      undefined,
    ]);
    // A second after it was whole the next one begins.
    await clock.advance(999);
    expect(ends).toHaveLength(1);
    await clock.advance(1);
    ends[1]!();
    await settle();
    expect(crowd[8]!.answer.body).toBe("text 2");
  });

  it("isn't kept for who reads it slowly", async () => {
    const clock = new FakeClock();
    const route = page({ contentType: "text/plain", body: () => piecesOf("x"), clock });
    const [slow, quick] = [answerOf(route), answerOf(route)];
    await settle();
    quick.response.wasRead();
    await clock.advance(9_999);
    expect(slow.response.destroyed).toBe(false);
    await clock.advance(1);
    expect([slow.response.destroyed, quick.response.destroyed]).toEqual([true, false]);
  });

  it("that can't be made is a server error", async () => {
    const route = page({
      contentType: "",
      body: () => piecesOf("a part", new Error("no")),
      clock: new FakeClock(),
    });
    const { answer } = answerOf(route);
    await settle();
    expect(answer.status).toBe(500);
  });
});

describe("a guard", () => {
  it.each([
    ["pass", 200],
    [401, 401],
    [403, 403],
    [429, 429],
  ] as const)("that says %s makes it %s", async (verdict, status) => {
    const { answer } = answerOf(
      guarded(
        probe(() => undefined),
        () => Promise.resolve(verdict),
      ),
    );
    await settle();
    expect(answer.status).toBe(status);
  });

  it("that fails lets nobody in", async () => {
    const { answer } = answerOf(
      guarded(
        probe(() => undefined),
        () => Promise.reject(new Error("away")),
      ),
    );
    await settle();
    expect(answer.status).toBe(500);
  });
});

describe("the server", () => {
  it("answers what there is, and names it to who asks for something else", async () => {
    const port = await serving({ "/healthz": probe(() => undefined), "/readyz": probe(() => "not yet") });
    const get = (path: string, method = "GET") => fetch(`http://127.0.0.1:${port}${path}`, { method });
    expect([(await get("/healthz?x")).status, (await get("/readyz")).status]).toEqual([200, 503]);
    expect(await (await get("/readyz")).text()).toBe("not yet\n");
    expect((await get("/__proto__")).status).toBe(404);
    expect((await get("/healthz", "POST")).status).toBe(404);
    expect(await (await get("/")).text()).toContain("try /healthz, /readyz");
  });

  it("lets one client have so many connections, and drops the rest at once", async () => {
    const port = await serving({ "/healthz": probe(() => undefined) });
    const sockets: Socket[] = [];
    closing.push(() => sockets.forEach((socket) => socket.destroy()));
    const open = async () => {
      const socket = createConnection(port, "127.0.0.1");
      socket.on("error", () => undefined);
      sockets.push(socket);
      await once(socket, "connect");
      return socket;
    };
    for (let index = 0; index < 8; index++) await open();
    const ninth = await open();
    await once(ninth, "close");
    // One that goes makes room.
    sockets[0]!.destroy();
    await once(sockets[0]!, "close");
    await expect(fetch(`http://127.0.0.1:${port}/healthz`).then(({ status }) => status)).resolves.toBe(200);
  });

  it("lets the kubelet in while many addresses hold as many connections as they may", async () => {
    const port = await serving({ "/healthz": probe(() => undefined) });
    const held = Array.from({ length: 40 * 8 }, (_, index) => {
      const socket = createConnection({
        host: "127.0.0.1",
        port,
        localAddress: `127.0.1.${1 + (index % 40)}`,
      });
      socket.on("error", () => undefined);
      socket.write("GET /healthz HTTP/1.1\r\n");
      closing.push(() => socket.destroy());
      return socket;
    });
    await Promise.all(held.map((socket) => once(socket, "connect")));
    for (let times = 0; times < 5; times++)
      expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
  });

  it("hangs up on who asks again before the answer is read, and serves one request after the other", async () => {
    let asked = 0;
    const late: Route = {
      handle: (_request, response) => void setTimeout(() => response.end(`answer ${++asked}\n`), 20),
    };
    const port = await serving({ "/late": late });
    const open = async () => {
      const socket = createConnection(port, "127.0.0.1");
      closing.push(() => socket.destroy());
      socket.on("error", () => undefined);
      await once(socket, "connect");
      return socket;
    };
    const request = "GET /late HTTP/1.1\r\nhost: x\r\n\r\n";
    const hasty = await open();
    hasty.write(request.repeat(1_000));
    await once(hasty, "close");
    const patient = await open();
    for (let times = 0; times < 3; times++) {
      patient.write(request);
      const [bytes] = (await once(patient, "data")) as [Buffer];
      expect(String(bytes)).toContain("answer");
    }
    // Of the hasty one's at most the first was made.
    expect(asked).toBeLessThanOrEqual(4);
  });

  it("shows a page over HTTP", async () => {
    const body = () => piecesOf("a_metric 1\n", "größe 2\n");
    const port = await serving({ "/metrics": page({ contentType: "text/x", body, clock: systemClock }) });
    const answer = await fetch(`http://127.0.0.1:${port}/metrics`);
    expect(answer.headers.get("content-type")).toBe("text/x");
    expect(await answer.text()).toBe("a_metric 1\ngröße 2\n");
  });
});
