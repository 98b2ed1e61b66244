import { describe, expect, it } from "@jest/globals";
import { newScrapeGuard } from "../../src/controllers/scrape-guard.ts";
import type { KubeApi } from "../../src/kube/kube-api.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";

/** An apiserver that knows one token, and lets one user scrape. */
function newWorld(allowed: readonly string[] = ["prometheus"]) {
  const asked: string[] = [];
  let hold: Promise<void> = Promise.resolve();
  const api = {
    async create({ kind }: { kind: string }, { spec }: { spec: Record<string, unknown> }) {
      asked.push(kind);
      await hold;
      if (kind === "TokenReview") {
        const name = /^token-of-(.*)$/.exec(String(spec["token"]))?.[1];
        const user = { username: name, uid: "u", groups: ["g"] };
        return { status: name === undefined ? { authenticated: false } : { authenticated: true, user } };
      }
      expect(spec["nonResourceAttributes"]).toEqual({ path: "/metrics", verb: "get" });
      return { status: { allowed: allowed.includes(String(spec["user"])) } };
    },
  } as unknown as KubeApi;
  const clock = new FakeClock();
  const guard = newScrapeGuard(api, clock);
  const ask = (authorization?: string, remoteAddress = "10.0.0.1") =>
    guard({ headers: { authorization }, socket: { remoteAddress } });
  return { ask, asked, clock, holdUntil: (promise: Promise<void>) => (hold = promise) };
}

describe("who scrapes", () => {
  it.each([
    ["nothing", undefined, 401],
    ["something else than a token", "Basic dGVzdA==", 401],
    ["a token with odd signs", "Bearer a b", 401],
    ["a token that nobody knows", "Bearer made-up", 401],
    ["a token of somebody who may not", "Bearer token-of-tenant", 403],
    ["a token of somebody who may", "Bearer token-of-prometheus", "pass"],
  ] as const)("with %s is answered %s → %s", async (_case, authorization, expected) => {
    await expect(newWorld().ask(authorization)).resolves.toBe(expected);
  });

  it("is looked up once a minute, and let in meanwhile", async () => {
    const { ask, asked, clock, holdUntil } = newWorld();
    for (let turn = 0; turn < 5; turn++) await ask("Bearer token-of-prometheus");
    expect(asked).toEqual(["TokenReview", "SubjectAccessReview"]);
    await clock.advance(60_000);
    const { promise, resolve } = Promise.withResolvers<void>();
    void holdUntil(promise);
    await expect(ask("Bearer token-of-prometheus")).resolves.toBe("pass");
    resolve();
    await settle();
    expect(asked).toHaveLength(4);
  });

  it("is let in no longer once it may not any more", async () => {
    const allowed = ["prometheus"];
    const { ask, clock } = newWorld(allowed);
    await ask("Bearer token-of-prometheus");
    allowed.length = 0;
    await clock.advance(60_000);
    await expect(ask("Bearer token-of-prometheus")).resolves.toBe("pass");
    await settle();
    await expect(ask("Bearer token-of-prometheus")).resolves.toBe(403);
  });

  it("can't make the operator flood the apiserver with made-up tokens, nor keep out who may", async () => {
    const { ask, asked, clock } = newWorld();
    await ask("Bearer token-of-prometheus", "10.0.0.2");
    asked.length = 0;
    const answers = [];
    for (let index = 0; index < 1_000; index++) {
      answers.push(await ask(`Bearer made-up-${index}`));
      await clock.advance(10);
    }
    // Five at once, and then one each half second.
    expect(asked.length).toBeLessThanOrEqual(26);
    expect(answers.filter((answer) => answer === 429).length).toBeGreaterThan(965);
    await expect(ask("Bearer token-of-prometheus", "10.0.0.2")).resolves.toBe("pass");
    await clock.advance(60_000);
    const flood = Array.from({ length: 300 }, (_, index) => ask(`Bearer other-${index}`, `10.1.0.${index}`));
    await expect(ask("Bearer token-of-prometheus", "10.0.0.2")).resolves.toBe("pass");
    await Promise.all(flood);
  });
});
