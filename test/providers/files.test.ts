import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { markOf } from "../../src/plan/digest.ts";
import { openFiles } from "../../src/providers/file/files.ts";
import { newFile } from "../../src/providers/file/module.ts";
import { describeProviderContract } from "../contract/provider-contract.ts";
import { digestKey } from "../support/gen.ts";
import { until } from "../support/wait.ts";

/** Files of a folder as a store, on a real file system. */

const { signal } = new AbortController();
const mark = (content: Uint8Array) => markOf(digestKey, content);
let folder: string;
let outside: string;

function makeFolders(): void {
  folder = mkdtempSync(path.join(tmpdir(), "secretsync-files-"));
  outside = mkdtempSync(path.join(tmpdir(), "secretsync-outside-"));
  writeFileSync(path.join(folder, "there"), "x");
}
makeFolders();
beforeEach(makeFolders);
afterEach(() => {
  for (const each of [folder, outside]) rmSync(each, { recursive: true, force: true });
});

const write = (name: string, content: string | Uint8Array) => {
  mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
  writeFileSync(path.join(folder, name), content);
};
const read = (key: string) => openFiles({ folder, mark }).read({ key }, signal);
const reasonOf = async (key: string) => {
  const result = await read(key);
  return result.kind === "failed" ? result.failure.reason : result.kind;
};
const listed = async (namePrefix?: string) => {
  const page = await openFiles({ folder, mark }).listing!.page({ namePrefix }, undefined, signal);
  return page.kind === "page" ? page.secrets.map(({ name }) => name) : page.failure.reason;
};

let count = 0;
describeProviderContract({
  name: "files",
  open: () => openFiles({ folder, mark }),
  lacks: ["batch", "tags", "olderVersions", "recovery"],
  seed: {
    create: (name, value) => Promise.resolve(write(name, value)),
    rotate: (name, value) => Promise.resolve(write(name, value)),
    remove: (name) => Promise.resolve(rmSync(path.join(folder, name))),
    schedule: () => Promise.reject(new Error("it lacks that")),
  },
  unique: (prefix) => `${prefix}-${++count}`,
});

describe("a file's version", () => {
  it("is a keyed digest of its content, so the same again is no other version", async () => {
    write("a", "password");
    const one = await read("a");
    write("a", "password");
    expect(await read("a")).toMatchObject({ versionId: one.kind === "found" && one.versionId });
    expect(JSON.stringify(one)).not.toContain("password");
  });
});

describe("what lies outside of the folder", () => {
  it.each(["../x", "a/../../x", "/etc/passwd", "a//b", "./a", "", "a\0b", "..data/x", "x".repeat(1_100)])(
    "isn't reached by the key %j",
    async (key) => expect(await reasonOf(key)).toBe("ProviderRefused"),
  );

  it("isn't reached by links, neither read nor listed", async () => {
    writeFileSync(path.join(outside, "secret"), "s");
    symlinkSync(path.join(outside, "secret"), path.join(folder, "file"));
    symlinkSync(outside, path.join(folder, "dir"));
    symlinkSync("/", path.join(folder, "root"));
    symlinkSync("loop", path.join(folder, "loop"));
    for (const key of ["file", "dir/secret", "root/etc/passwd"])
      expect(await reasonOf(key)).toBe("AccessDenied");
    expect(await reasonOf("loop")).toBe("AccessDenied");
    expect(await listed()).toEqual(["there"]);
    // A folder whose name begins like this one's isn't within it.
    mkdirSync(`${folder}-twin`);
    writeFileSync(path.join(`${folder}-twin`, "x"), "x");
    symlinkSync(`${folder}-twin/x`, path.join(folder, "twin"));
    expect(await reasonOf("twin")).toBe("AccessDenied");
    rmSync(`${folder}-twin`, { recursive: true });
  });
});

describe("what isn't a file", () => {
  it("is refused, and a pipe is waited for by nobody", async () => {
    mkdirSync(path.join(folder, "dir"));
    execFileSync("mkfifo", [path.join(folder, "pipe")]);
    for (const key of ["dir", "pipe"]) expect(await reasonOf(key)).toBe("ProviderRefused");
    expect(await reasonOf("dir/none")).toBe("missing");
    expect(await reasonOf("there/none")).toBe("missing");
  });

  it("or is larger than a Secret can hold, is told as such", async () => {
    write("large", Buffer.alloc(1024 * 1024 + 1));
    write("fits", Buffer.alloc(1024 * 1024));
    expect(await reasonOf("large")).toBe("TooLarge");
    expect(await reasonOf("fits")).toBe("found");
  });

  it("by version or stage, is told too", async () => {
    const store = openFiles({ folder, mark });
    for (const ref of [{ version: "1" }, { versionStage: "AWSPREVIOUS" }])
      expect(await store.read({ key: "there", ...ref }, signal)).toMatchObject({
        failure: { reason: "ProviderRefused" },
      });
  });
});

describe("a folder that isn't mounted", () => {
  it("is a store that doesn't answer: nothing of it counts as gone", async () => {
    rmSync(path.join(folder, "there"));
    expect(await read("there")).toMatchObject({
      failure: { reason: "ProviderUnreachable", scope: "provider" },
    });
    expect(await listed()).toBe("ProviderUnreachable");
    rmSync(folder, { recursive: true });
    expect(await reasonOf("there")).toBe("ProviderUnreachable");
  });
});

describe("a volume of Kubernetes", () => {
  const publish = (revision: string, files: Record<string, string>) => {
    const data = path.join(folder, `..${revision}`);
    mkdirSync(data);
    for (const [name, content] of Object.entries(files)) writeFileSync(path.join(data, name), content);
    symlinkSync(`..${revision}`, path.join(folder, "..next"));
    renameSync(path.join(folder, "..next"), path.join(folder, "..data"));
  };

  it("is read through its links, and its change concerns all files", async () => {
    publish("one", { password: "one" });
    symlinkSync("..data/password", path.join(folder, "password"));
    expect(await listed()).toEqual(["password", "there"]);
    expect(await listed("pass")).toEqual(["password"]);
    const told: (string | undefined)[] = [];
    const stop = new AbortController();
    const running = openFiles({ folder, mark })
      .feed!.run((key) => told.push(key), stop.signal)
      .catch(() => undefined);
    await until("the feed has begun", () => told.length > 0);
    told.length = 0;
    publish("two", { password: "two" });
    await until("it is told", () => told.includes(undefined));
    stop.abort();
    await running;
    const now = await read("password");
    expect(now.kind === "found" && now.value.reveal().toString()).toBe("two");
  });
});

describe("the provider", () => {
  const problem = (roots: string[], at: string) => newFile({ roots }).problemOf({ path: at });

  it("reads only below folders that the admin names", () => {
    expect(problem([], "/mnt/a")).toContain("--file-roots");
    for (const at of ["/mnt", "/mnt/b", "/mnt/ab", "/"]) expect(problem(["/mnt/a"], at)).toContain("/mnt/a");
    for (const at of ["/mnt/a", "/mnt/a/", "/mnt/a/b"]) {
      expect(problem(["/mnt/a"], at)).toBeUndefined();
      expect(problem(["/x", "/mnt/a/"], at)).toBeUndefined();
    }
  });
});
