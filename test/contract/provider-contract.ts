import { describe, expect, it } from "@jest/globals";
import type { RemoteRef, SecretReader } from "../../src/providers/provider.ts";

/** What every secret store must do, whatever is behind it. */
export interface ContractSubject {
  readonly name: string;
  readonly open: () => SecretReader;
  readonly seed: {
    create(name: string, value: string | Uint8Array, tags?: Record<string, string>): Promise<unknown>;
    rotate(name: string, value: string): Promise<unknown>;
    remove(name: string): Promise<unknown>;
    /** Deletes so that it could still be restored. */
    schedule(name: string): Promise<unknown>;
  };
  readonly unique: (prefix: string) => string;
}

const signal = new AbortController().signal;

export function describeProviderContract({ name, open, seed, unique }: ContractSubject): void {
  describe(`${name}: the contract of a provider`, () => {
    const text = (result: Awaited<ReturnType<SecretReader["read"]>>) =>
      result.kind === "found" ? result.value.reveal().toString() : result.kind;

    it("reads text and bytes, byte for byte", async () => {
      const key = unique("c");
      const value = "Größe 🔑 日本";
      await seed.create(key, value);
      await seed.create(`${key}-bytes`, Buffer.from([0, 255, 7]));
      const reader = open();
      expect(text(await reader.read({ key }, signal))).toBe(value);
      expect(text((await reader.readBatch([key], signal)).get(key)!)).toBe(value);
      const bytes = await reader.read({ key: `${key}-bytes` }, signal);
      expect(bytes.kind === "found" && [...bytes.value.reveal()]).toEqual([0, 255, 7]);
      reader.close();
    });

    it("tells the current version and follows a rotation; older versions stay readable", async () => {
      const key = unique("c");
      await seed.create(key, "one");
      const reader = open();
      const before = await reader.read({ key }, signal);
      await seed.rotate(key, "two");
      const after = await reader.read({ key }, signal);
      if (before.kind !== "found" || after.kind !== "found") throw new Error("not found");
      expect(after.versionId).not.toBe(before.versionId);
      expect(after.versionStages).toContain(reader.currentStage);
      const ask = async (ref: Omit<RemoteRef, "key">) => {
        const result = await reader.describe({ key, ...ref }, signal);
        return result.kind === "found" ? result.versionId : result.kind;
      };
      expect(await ask({})).toBe(after.versionId);
      expect(await ask({ versionStage: "AWSPREVIOUS" })).toBe(before.versionId);
      expect(await ask({ version: before.versionId })).toBe(before.versionId);
      expect(await ask({ versionStage: "NOSUCHSTAGE" })).toBe("missing");
      expect(text(await reader.read({ key, version: before.versionId }, signal))).toBe("one");
      expect(text(await reader.read({ key, versionStage: "AWSPREVIOUS" }, signal))).toBe("one");
      reader.close();
    });

    it("says missing for what isn't there, and for what was deleted", async () => {
      const key = unique("c");
      const reader = open();
      expect(await reader.read({ key }, signal)).toEqual({ kind: "missing" });
      expect(await reader.describe({ key }, signal)).toEqual({ kind: "missing" });
      await seed.create(key, "value");
      await seed.remove(key);
      expect(await reader.read({ key }, signal)).toEqual({ kind: "missing" });
      await seed.create(`${key}-there`, "value");
      expect(await reader.read({ key: `${key}-there`, versionStage: "NOSUCHSTAGE" }, signal)).toEqual({
        kind: "missing",
      });
      reader.close();
    });

    it("counts what could still be restored as missing", async () => {
      const [key, there] = [unique("c"), unique("c")];
      for (const name of [key, there]) await seed.create(name, "value");
      await seed.schedule(key);
      const reader = open();
      expect(await reader.read({ key }, signal)).toEqual({ kind: "missing" });
      expect(await reader.describe({ key }, signal)).toEqual({ kind: "missing" });
      const batch = await reader.readBatch([key, there], signal);
      expect([text(batch.get(key)!), text(batch.get(there)!)]).toEqual(["missing", "value"]);
      const page = await reader.list({ namePrefix: key }, undefined, signal);
      expect(page).toMatchObject({ kind: "page", secrets: [] });
      reader.close();
    });

    it("lists more than a page holds, each secret once", async () => {
      const path = unique("c");
      const names = Array.from({ length: 101 }, (_, index) => `${path}/${index}`);
      for (const name of names) await seed.create(name, "value");
      const reader = open();
      const listed: string[] = [];
      let pages = 0;
      let next: string | undefined;
      do {
        const page = await reader.list({ namePrefix: `${path}/` }, next, signal);
        if (page.kind !== "page") throw new Error(page.failure.message);
        listed.push(...page.secrets.map((secret) => secret.name));
        next = page.next;
        pages++;
      } while (next !== undefined);
      expect(pages).toBe(2);
      expect(listed.toSorted()).toEqual(names.toSorted());
      reader.close();
    }, 30_000);

    it("reads a batch, each key with its own result", async () => {
      const keys = Array.from({ length: 5 }, () => unique("c"));
      for (const key of keys.slice(1)) await seed.create(key, `value of ${key}`);
      const reader = open();
      const results = await reader.readBatch(keys, signal);
      expect(keys.map((key) => text(results.get(key)!))).toEqual([
        "missing",
        ...keys.slice(1).map((key) => `value of ${key}`),
      ]);
      reader.close();
    });

    it("lists names, tags and versions by path", async () => {
      const path = unique("c");
      await seed.create(`${path}/a`, "1", { team: "shop" });
      await seed.create(`${path}/b`, "2");
      const reader = open();
      const page = await reader.list({ namePrefix: `${path}/` }, undefined, signal);
      if (page.kind !== "page") throw new Error(page.failure.message);
      const ours = page.secrets.filter((secret) => secret.name.startsWith(`${path}/`));
      expect(ours.map((secret) => secret.name).sort()).toEqual([`${path}/a`, `${path}/b`]);
      expect(ours.find((secret) => secret.name.endsWith("/a"))?.tags).toEqual({ team: "shop" });
      const described = await reader.describe({ key: `${path}/a` }, signal);
      expect(ours.find((secret) => secret.name.endsWith("/a"))?.versions[reader.currentStage]).toBe(
        described.kind === "found" && described.versionId,
      );
      reader.close();
    });
  });
}
