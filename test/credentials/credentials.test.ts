import { beforeEach, describe, expect, it } from "@jest/globals";
import { newCredentialReader, type CredentialReader } from "../../src/credentials/credentials.ts";
import { ApiError, type KubeApi } from "../../src/kube/kube-api.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";

/** Keys of Secrets that a provider names. */

const { signal } = new AbortController();
let clock: FakeClock;
let reader: CredentialReader;
let stored: Map<string, Record<string, string> | Error>;
let reads: string[];

beforeEach(() => {
  clock = new FakeClock();
  stored = new Map();
  reads = [];
  const api = {
    get: (_type: unknown, name: string, namespace: string) => {
      reads.push(`${namespace}/${name}`);
      const data = stored.get(`${namespace}/${name}`);
      if (data instanceof Error) return Promise.reject(data);
      const encoded = Object.entries(data ?? {}).map(([key, value]) => [
        key,
        Buffer.from(value).toString("base64"),
      ]);
      return Promise.resolve(data && { metadata: { name }, data: Object.fromEntries(encoded) });
    },
  } as unknown as KubeApi;
  reader = newCredentialReader({ api, clock });
});

const refOf = (keys: readonly string[], namespace?: string) =>
  ({ kind: "secretKeys", field: "spec.x.auth.secretRef", name: "keys", keys, namespace }) as const;
const read = (keys: readonly string[] = ["id", "secret"], namespace?: string, own = "shop") =>
  reader.secretKeys(refOf(keys, namespace), own, signal);

describe("keys of a Secret", () => {
  it("come in the order in which they are named, without the blanks around them", async () => {
    stored.set("shop/keys", { secret: " s\n", id: "i", other: "o" });
    expect(await read(["secret", "id"])).toEqual({ kind: "found", values: ["s", "i"] });
    expect(await read(["id", "id"])).toEqual({ kind: "found", values: ["i", "i"] });
  });

  it("are read once for a while, by all who name them alike, and again after it", async () => {
    stored.set("shop/keys", { id: "1", secret: "s" });
    await Promise.all([read(), read()]);
    await clock.advance(29_999);
    await read();
    expect(reads).toHaveLength(1);
    stored.set("shop/keys", { id: "2", secret: "s" });
    await clock.advance(1);
    expect(await read()).toMatchObject({ values: ["2", "s"] });
    expect(reads).toHaveLength(2);
  });

  it("are those of the namespace that is named, else of the provider's own, and never mixed up", async () => {
    stored.set("shop/keys", { id: "shop" });
    stored.set("vault/keys", { id: "vault" });
    expect(await read(["id"])).toMatchObject({ values: ["shop"] });
    expect(await read(["id"], "vault")).toMatchObject({ values: ["vault"] });
    expect(await read(["id"], undefined, "vault")).toMatchObject({ values: ["vault"] });
    expect(reads).toEqual(["shop/keys", "vault/keys"]);
  });

  it("that are missing are told, and looked for at the next try", async () => {
    expect(await read()).toEqual({
      kind: "missing",
      detail: "Secret shop/keys doesn't exist; create it with the keys id, secret",
    });
    stored.set("shop/keys", { id: "i", secret: "" });
    expect(await read()).toMatchObject({ detail: 'Secret shop/keys has no key "secret"; add it' });
    expect(await read(["id", "__proto__"])).toMatchObject({ kind: "missing" });
    stored.set("shop/keys", { id: "i", secret: "s" });
    await settle();
    expect(await read()).toMatchObject({ kind: "found" });
  });

  it("that may not be read are told as missing; an apiserver that fails is an error, and asked again", async () => {
    stored.set("shop/keys", new ApiError(403, "Forbidden", "no"));
    expect(await read()).toMatchObject({ kind: "missing" });
    stored.set("shop/keys", new ApiError(503, "Unavailable", "away"));
    await settle();
    await expect(read()).rejects.toThrow("away");
    stored.set("shop/keys", { id: "i", secret: "s" });
    await settle();
    expect(await read()).toMatchObject({ kind: "found" });
  });

  it("that the apiserver can't decrypt are missing", async () => {
    stored.set(
      "shop/keys",
      new ApiError(500, "InternalError", 'unable to transform key "/registry/secrets/shop/keys": no'),
    );
    expect(await read()).toEqual({
      kind: "missing",
      detail: "Secret shop/keys can't be decrypted by the apiserver",
    });
  });

  it("that can't be read for another reason fail, whatever that is", async () => {
    for (const error of [new ApiError(503, "Unavailable", "later"), new TypeError("a bug")]) {
      stored.set("shop/keys", error);
      await expect(read()).rejects.toBe(error);
    }
  });
});
