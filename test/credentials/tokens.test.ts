import { beforeEach, describe, expect, it } from "@jest/globals";
import { newCredentialReader, type CredentialReader } from "../../src/credentials/credentials.ts";
import { ApiError, type KubeApi, type ServiceAccountToken } from "../../src/kube/kube-api.ts";
import { FakeClock } from "../support/fake-clock.ts";

/** Tokens of ServiceAccounts that a provider names. */

const { signal } = new AbortController();
let clock: FakeClock;
let reader: CredentialReader;
/** What the apiserver was asked for. */
let asked: string[];
let answer: (count: number) => ServiceAccountToken | undefined | Error;

const tokenOf = (claims: unknown, id = ""): string =>
  `${id}.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.x`;
const claims = (uid: string) => ({ "kubernetes.io": { serviceaccount: { uid } } });

beforeEach(() => {
  clock = new FakeClock();
  asked = [];
  answer = (count) => ({ token: tokenOf(claims("u1"), String(count)), lifeMs: 600_000 });
  const api = {
    requestToken: (
      { namespace, name }: { namespace: string; name: string },
      { audiences, seconds }: { audiences: readonly string[]; seconds: number },
    ) => {
      asked.push(`${namespace}/${name} for [${audiences.join()}] of ${seconds} s`);
      const made = answer(asked.length);
      return made instanceof Error ? Promise.reject(made) : Promise.resolve(made);
    },
  } as unknown as KubeApi;
  reader = newCredentialReader({ api, clock });
});

const refOf = (more: { namespace?: string; audiences?: readonly string[] } = {}) =>
  ({
    kind: "serviceAccountToken",
    field: "spec.x.serviceAccountRef",
    name: "reader",
    audiences: [],
    ...more,
  }) as const;
async function found(ref = refOf(), own = "shop") {
  const result = await reader.accountToken(ref, own, signal);
  if (result.kind !== "found") throw new Error(result.detail);
  return { identity: result.identity, token: await result.source.token(signal) };
}

describe("a token of a ServiceAccount", () => {
  it("is asked for once by all who name it alike, for ten minutes, and anew after eight", async () => {
    const [first, second] = await Promise.all([found(), found()]);
    expect(asked).toEqual(["shop/reader for [] of 600 s"]);
    expect(second.token).toBe(first.token);
    await clock.advance(479_999);
    expect((await found()).token).toBe(first.token);
    await clock.advance(1);
    const later = await found();
    expect(asked).toHaveLength(2);
    expect(later.token).not.toBe(first.token);
    expect(later.identity).toEqual(first.identity);
  });

  it("is renewed by the life that the apiserver gives, not by the one that was asked for", async () => {
    answer = () => ({ token: tokenOf(claims("u1")), lifeMs: 100_000 });
    await found();
    await clock.advance(80_000);
    await found();
    expect(asked).toHaveLength(2);
  });

  it("is another one's by namespace and audience, and by the account itself", async () => {
    const identities = [
      (await found()).identity,
      (await found(refOf(), "other")).identity,
      (await found(refOf({ audiences: ["sts.amazonaws.com"] }))).identity,
    ];
    answer = () => ({ token: tokenOf(claims("u2")), lifeMs: 600_000 });
    await clock.advance(480_000);
    identities.push((await found()).identity);
    expect(new Set(identities.map((identity) => JSON.stringify(identity))).size).toBe(4);
    expect((await found(refOf({ namespace: "vault" }))).identity).toContain("vault");
  });

  it("of which the account isn't told is taken all the same", async () => {
    for (const token of ["opaque", tokenOf("odd"), tokenOf({ "kubernetes.io": null })]) {
      answer = () => ({ token, lifeMs: 600_000 });
      await clock.advance(480_000);
      expect((await found()).token).toBe(token);
    }
  });

  it("that isn't to be had says what is missing, and is asked for again the next time", async () => {
    const detail = async () => {
      const result = await reader.accountToken(refOf(), "shop", signal);
      return result.kind === "missing" ? result.detail : "found";
    };
    answer = () => undefined;
    expect(await detail()).toBe("ServiceAccount shop/reader doesn't exist; create it");
    answer = () => new ApiError(403, "Forbidden", "no");
    expect(await detail()).toMatch(/^ServiceAccount shop\/reader gives the operator no token; let it create/);
    answer = () => new ApiError(503, "Unavailable", "later");
    await expect(detail()).rejects.toThrow("later");
    answer = () => new TypeError("a bug");
    await expect(detail()).rejects.toThrow("a bug");
    answer = () => ({ token: tokenOf(claims("u1")), lifeMs: 600_000 });
    expect(await detail()).toBe("found");
  });

  it("of an account that went away is an error for who signs in with it", async () => {
    const result = await reader.accountToken(refOf(), "shop", signal);
    answer = () => undefined;
    await clock.advance(480_000);
    if (result.kind !== "found") throw new Error("it was there");
    await expect(result.source.token(signal)).rejects.toThrow("ServiceAccount shop/reader is gone");
  });

  it("that is refused is asked for anew, though not again and again, and may be of another account", async () => {
    const result = await reader.accountToken(refOf(), "shop", signal);
    if (result.kind !== "found") throw new Error("it was there");
    result.source.refused();
    await found();
    expect(asked).toHaveLength(1);
    await clock.advance(5_000);
    answer = () => ({ token: tokenOf(claims("u2")), lifeMs: 600_000 });
    result.source.refused();
    const anew = await found();
    expect(asked).toHaveLength(2);
    expect(anew.identity).not.toEqual(result.identity);
  });

  it("of an account that the apiserver can't decrypt is missing, to its owner alone", async () => {
    answer = () =>
      new ApiError(500, "InternalError", 'unable to transform key "/registry/x/shop/reader": no');
    expect(await reader.accountToken(refOf(), "shop", signal)).toEqual({
      kind: "missing",
      detail: "ServiceAccount shop/reader can't be decrypted by the apiserver",
    });
  });
});
