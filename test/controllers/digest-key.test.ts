import { beforeEach, describe, expect, it } from "@jest/globals";
import { loadDigestKey } from "../../src/controllers/digest-key.ts";
import { ApiError, type KubeApi, type KubeObject } from "../../src/kube/kube-api.ts";

/** The random key of the installation: made once, by whoever is first. */

type KeySecret = KubeObject & { readonly data?: Record<string, string>; readonly immutable?: boolean };
let stored: KeySecret | undefined;
/** Another replica makes it between our look and our write. */
let rival: KeySecret | undefined;
let created: KeySecret[];

const api = {
  get: () => Promise.resolve(stored),
  create: (_type: unknown, object: KeySecret) => {
    if (rival) {
      stored = rival;
      return Promise.reject(new ApiError(409, "AlreadyExists", "there"));
    }
    created.push(object);
    stored = object;
    return Promise.resolve(object);
  },
} as unknown as KubeApi;
const load = () =>
  loadDigestKey(api, "system", (count) => Buffer.alloc(count, 7), new AbortController().signal);
const secretOf = (byte: number, length = 32): KeySecret => ({
  metadata: { name: "secretsync-digest-key" },
  data: { key: Buffer.alloc(length, byte).toString("base64") },
});

beforeEach(() => {
  stored = rival = undefined;
  created = [];
});

describe("the digest key", () => {
  it("is made once, immutable, and the same at the next start", async () => {
    const first = await load();
    expect(created).toMatchObject([
      { metadata: { name: "secretsync-digest-key", namespace: "system" }, immutable: true },
    ]);
    expect((await load()).id).toBe(first.id);
    expect(created).toHaveLength(1);
  });

  it("is another replica's when that was faster", async () => {
    rival = secretOf(9);
    const { id } = await load();
    stored = secretOf(9);
    rival = undefined;
    expect((await load()).id).toBe(id);
    expect(created).toEqual([]);
  });

  it("that somebody has spoiled is told, with what to do, and not replaced", async () => {
    for (const spoiled of [secretOf(9, 31), { metadata: { name: "secretsync-digest-key" } }]) {
      stored = spoiled;
      await expect(load()).rejects.toThrow("delete it, and the operator makes a new one");
    }
    expect(created).toEqual([]);
  });

  it("whose apiserver fails is tried again by who asked", async () => {
    const failing = { ...api, create: () => Promise.reject(new ApiError(403, "Forbidden", "no")) };
    await expect(
      loadDigestKey(failing, "system", (count) => Buffer.alloc(count), new AbortController().signal),
    ).rejects.toThrow("no");
  });
});
