import { describe, expect, it } from "@jest/globals";
import type {
  Failed,
  ListedSecret,
  ReadResult,
  RemoteRef,
  SecretStore,
} from "../../src/providers/contract.ts";
import type { SecretValue } from "../../src/providers/secret-value.ts";
import { until } from "../support/wait.ts";

/** What every secret store must do, whatever is behind it. */
export interface ContractSubject {
  readonly name: string;
  readonly open: () => SecretStore;
  /** What the store can't do; all else is asked of it. */
  readonly lacks?: readonly Capability[];
  readonly seed: {
    create(name: string, value: string | Uint8Array, tags?: Record<string, string>): Promise<unknown>;
    rotate(name: string, value: string): Promise<unknown>;
    remove(name: string): Promise<unknown>;
    /** Deletes so that it could still be restored. */
    schedule(name: string): Promise<unknown>;
  };
  readonly unique: (prefix: string) => string;
  /** Between the parts of a name; a slash where nothing else is said. */
  readonly separator?: string;
  /** What was seeded, of what is read: a store may have it as a member of a set. */
  readonly bytesOf?: (value: SecretValue) => Buffer;
}

/** Beside `read`. tags: listings show and filter by them. olderVersions: versions and stages before the current one. recovery: a deletion can be undone. */
type Capability = "batch" | "versions" | "listing" | "tags" | "feed" | "olderVersions" | "recovery";

const signal = new AbortController().signal;

const there = <T>(capability: T | undefined): T => {
  if (capability === undefined) throw new Error("the store lacks what the suite was told it can do");
  return capability;
};
const pageOf = (store: SecretStore) => there(store.listing).page.bind(store.listing);
const versionOf = (store: SecretStore) => there(store.versions).read.bind(store.versions);
const batchOf =
  (store: SecretStore) =>
  async (keys: readonly string[], until: AbortSignal): Promise<ReadonlyMap<string, ReadResult>> => {
    const answer = await there(store.batch).read(keys, until);
    if (!(answer instanceof Map)) throw new Error((answer as Failed).failure.message);
    return answer as ReadonlyMap<string, ReadResult>;
  };

/** What begins so; a store may list more than was asked for. */
async function listAll(store: SecretStore, namePrefix: string) {
  const secrets: ListedSecret[] = [];
  let pages = 0;
  let next: string | undefined;
  do {
    const page = await pageOf(store)({ namePrefix }, next, signal);
    if (page.kind !== "page") throw new Error(page.failure.message);
    secrets.push(...page.secrets.filter(({ name }) => name.startsWith(namePrefix)));
    next = page.next;
    pages++;
  } while (next !== undefined);
  return { secrets, pages };
}

export function describeProviderContract({
  name,
  open,
  lacks = [],
  seed,
  unique,
  separator = "/",
  bytesOf = (value) => value.reveal(),
}: ContractSubject): void {
  const can = (...capabilities: readonly Capability[]) => capabilities.every((each) => !lacks.includes(each));
  const ifCan = (...capabilities: readonly Capability[]) => (can(...capabilities) ? it : () => undefined);

  describe(`${name}: the contract of a provider`, () => {
    const text = (result: Awaited<ReturnType<SecretStore["read"]>>) =>
      result.kind === "found" ? bytesOf(result.value).toString() : result.kind;

    it("reads text and bytes, byte for byte", async () => {
      const key = unique("c");
      const value = "Größe 🔑 日本";
      await seed.create(key, value);
      await seed.create(`${key}-bytes`, Buffer.from([0, 255, 7]));
      const store = open();
      expect(text(await store.read({ key }, signal))).toBe(value);
      if (can("batch")) expect(text((await batchOf(store)([key], signal)).get(key)!)).toBe(value);
      const bytes = await store.read({ key: `${key}-bytes` }, signal);
      expect(bytes.kind === "found" && [...bytesOf(bytes.value)]).toEqual([0, 255, 7]);
      store.close();
    });

    it("has what it is said to have", () => {
      const store = open();
      const { batch, versions, listing, feed } = store;
      expect([batch, versions, listing, feed].map((each) => each !== undefined)).toEqual([
        can("batch"),
        can("versions"),
        can("listing"),
        can("feed"),
      ]);
      expect(store.place).not.toBe("");
      store.close();
    });

    it("follows a rotation by another version", async () => {
      const key = unique("c");
      await seed.create(key, "one");
      const store = open();
      const versions: string[] = [];
      for (const value of ["one", "two"]) {
        if (value === "two") await seed.rotate(key, value);
        const result = await store.read({ key }, signal);
        expect(text(result)).toBe(value);
        if (result.kind !== "found") throw new Error("not found");
        versions.push(result.versionId);
        const told = can("versions") ? await versionOf(store)({ key }, signal) : result;
        expect(told).toMatchObject({ versionId: result.versionId });
      }
      expect(new Set(versions).size).toBe(2);
      store.close();
    });

    ifCan("versions", "olderVersions")(
      "tells versions by id and stage, and older ones stay readable",
      async () => {
        const key = unique("c");
        await seed.create(key, "one");
        const store = open();
        const before = await store.read({ key }, signal);
        await seed.rotate(key, "two");
        const after = await store.read({ key }, signal);
        if (before.kind !== "found" || after.kind !== "found") throw new Error("not found");
        expect(after.versionId).not.toBe(before.versionId);
        expect(after.versionStages).toContain(store.currentStage);
        const ask = async (ref: Omit<RemoteRef, "key">) => {
          const result = await versionOf(store)({ key, ...ref }, signal);
          return result.kind === "found" ? result.versionId : result.kind;
        };
        expect(await ask({})).toBe(after.versionId);
        expect(await ask({ versionStage: "AWSPREVIOUS" })).toBe(before.versionId);
        expect(await ask({ version: before.versionId })).toBe(before.versionId);
        expect(await ask({ versionStage: "NOSUCHSTAGE" })).toBe("missing");
        expect(text(await store.read({ key, version: before.versionId }, signal))).toBe("one");
        expect(text(await store.read({ key, versionStage: "AWSPREVIOUS" }, signal))).toBe("one");
        store.close();
      },
    );

    it("says missing for what isn't there, and for what was deleted", async () => {
      const key = unique("c");
      const store = open();
      expect(await store.read({ key }, signal)).toEqual({ kind: "missing" });
      if (can("versions")) expect(await versionOf(store)({ key }, signal)).toEqual({ kind: "missing" });
      await seed.create(key, "value");
      await seed.remove(key);
      expect(await store.read({ key }, signal)).toEqual({ kind: "missing" });
      if (!can("olderVersions")) return;
      await seed.create(`${key}-there`, "value");
      expect(await store.read({ key: `${key}-there`, versionStage: "NOSUCHSTAGE" }, signal)).toEqual({
        kind: "missing",
      });
      store.close();
    });

    ifCan("recovery")("counts what could still be restored as missing", async () => {
      const [key, there] = [unique("c"), unique("c")];
      for (const name of [key, there]) await seed.create(name, "value");
      await seed.schedule(key);
      const store = open();
      expect(await store.read({ key }, signal)).toEqual({ kind: "missing" });
      expect(await versionOf(store)({ key }, signal)).toEqual({ kind: "missing" });
      const batch = await batchOf(store)([key, there], signal);
      expect([text(batch.get(key)!), text(batch.get(there)!)]).toEqual(["missing", "value"]);
      const page = await pageOf(store)({ namePrefix: key }, undefined, signal);
      expect(page).toMatchObject({ kind: "page", secrets: [] });
      store.close();
    });

    ifCan("listing")(
      "lists more than a page holds, each secret once",
      async () => {
        const path = unique("c");
        const names = Array.from({ length: 101 }, (_, index) => `${path}${separator}${index}`);
        for (const name of names) await seed.create(name, "value");
        const store = open();
        const { secrets, pages } = await listAll(store, `${path}${separator}`);
        const listed = secrets.map((secret) => secret.name);
        expect(pages).toBeGreaterThan(1);
        expect(listed.toSorted()).toEqual(names.toSorted());
        store.close();
      },
      30_000,
    );

    ifCan("batch")("reads a batch, each key with its own result", async () => {
      const keys = Array.from({ length: 5 }, () => unique("c"));
      for (const key of keys.slice(1)) await seed.create(key, `value of ${key}`);
      const store = open();
      const results = await batchOf(store)(keys, signal);
      expect(keys.map((key) => text(results.get(key)!))).toEqual([
        "missing",
        ...keys.slice(1).map((key) => `value of ${key}`),
      ]);
      store.close();
    });

    ifCan("listing", "versions")("lists names, tags and versions by path", async () => {
      const path = unique("c");
      await seed.create(`${path}${separator}a`, "1", { team: "shop" });
      await seed.create(`${path}${separator}b`, "2");
      const store = open();
      const { secrets: ours } = await listAll(store, `${path}${separator}`);
      expect(ours.map((secret) => secret.name).sort()).toEqual([
        `${path}${separator}a`,
        `${path}${separator}b`,
      ]);
      expect(ours.find((secret) => secret.name.endsWith(`${separator}a`))?.tags).toEqual(
        can("tags") ? { team: "shop" } : {},
      );
      const described = await versionOf(store)({ key: `${path}${separator}a` }, signal);
      expect(ours.find((secret) => secret.name.endsWith(`${separator}a`))?.versions[store.currentStage]).toBe(
        described.kind === "found" && described.versionId,
      );
      store.close();
    });

    ifCan("feed")("tells of what is made, changed and removed, as soon as it is known", async () => {
      const key = unique("c");
      const store = open();
      const told: (string | undefined)[] = [];
      const stop = new AbortController();
      const running = there(store.feed)
        .run((news) => told.push(news), stop.signal)
        .catch((error: unknown) => {
          if (!stop.signal.aborted) throw error;
        });
      // What was before that it can't know.
      await until("the feed has begun", () => told.includes(undefined));
      for (const change of [
        () => seed.create(key, "one"),
        () => seed.rotate(key, "two"),
        () => seed.remove(key),
      ]) {
        told.length = 0;
        await change();
        await until("it is told", () => told.includes(key));
      }
      stop.abort();
      await running;
      store.close();
    });
  });
}
