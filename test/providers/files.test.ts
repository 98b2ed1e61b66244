import {
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  watch,
  writeFileSync,
} from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { execFileSync } from "node:child_process";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { markOf } from "../../src/plan/digest.ts";
import { openFiles, type FilesOptions } from "../../src/providers/file/files.ts";
import { MOST_FILES, namesWithin } from "../../src/providers/file/folder.ts";
import { systemClock, type Clock } from "../../src/runtime/clock.ts";
import { newFile } from "../../src/providers/file/module.ts";
import { describeProviderContract } from "../contract/provider-contract.ts";
import { FakeClock } from "../support/fake-clock.ts";
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

/** An hour after everything was written, so that nothing looks half written; waits are short. */
const clock: Clock = { ...systemClock, now: () => Date.now() + 3_600_000 };
const files = (more: Partial<FilesOptions> = {}) =>
  openFiles({ folder, roots: [path.dirname(folder)], clock, mark, ...more });
const write = (name: string, content: string | Uint8Array) => {
  mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
  writeFileSync(path.join(folder, name), content);
};
const read = (key: string) => files().read({ key }, signal);
const reasonOf = async (key: string) => {
  const result = await read(key);
  return result.kind === "failed" ? result.failure.reason : result.kind;
};
const listed = async (namePrefix?: string) => {
  const page = await files().listing!.page({ namePrefix }, undefined, signal);
  return page.kind === "page" ? page.secrets.map(({ name }) => name) : page.failure.reason;
};

let count = 0;
describeProviderContract({
  name: "files",
  open: () => files(),
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
    // That they are there is told, or a find would take what one was before for deleted; and nothing of where they lead.
    expect(await listed()).toEqual(["dir", "file", "loop", "root", "there"]);
    const page = await files().listing!.page({}, undefined, signal);
    const versions =
      page.kind === "page" ? page.secrets.map((each) => [each.name, each.versions["current"]]) : [];
    expect(Object.fromEntries(versions)).toMatchObject({
      dir: "unreadable",
      file: "unreadable",
      loop: "unreadable",
    });
    // A folder whose name begins like this one's isn't within it.
    mkdirSync(`${folder}-twin`);
    writeFileSync(path.join(`${folder}-twin`, "x"), "x");
    symlinkSync(`${folder}-twin/x`, path.join(folder, "twin"));
    expect(await reasonOf("twin")).toBe("AccessDenied");
    rmSync(`${folder}-twin`, { recursive: true });
  });
});

describe("a folder that is a link", () => {
  it("is read if it leads to a place that is allowed, looked at each time", async () => {
    const [inside, root] = [path.join(folder, "real"), folder];
    mkdirSync(inside);
    writeFileSync(path.join(inside, "a"), "inside");
    writeFileSync(path.join(outside, "a"), "outside");
    const link = path.join(folder, "link");
    symlinkSync(inside, link);
    const store = files({ folder: link, roots: [root] });
    expect(await store.read({ key: "a" }, signal)).toMatchObject({ kind: "found" });
    rmSync(link);
    symlinkSync(outside, link);
    expect(await store.read({ key: "a" }, signal)).toMatchObject({
      failure: { reason: "AccessDenied", scope: "provider" },
    });
    expect(await store.listing!.page({}, undefined, signal)).toMatchObject({
      failure: { reason: "AccessDenied" },
    });
    expect(await files({ folder: outside, roots: ["/none"] }).read({ key: "a" }, signal)).toMatchObject({
      failure: { reason: "AccessDenied" },
    });
  });
});

describe("a file that is being written", () => {
  it("is waited for, so that no part of it is taken for a value", async () => {
    const now = new FakeClock();
    let written = Math.floor(Date.now());
    const fake: Clock = {
      now: () => written + 100 + now.monotonic() - 1_000_000,
      monotonic: () => now.monotonic(),
      after: (ms, callback) => now.after(ms, callback),
    };
    write("slow", "");
    utimesSync(path.join(folder, "slow"), written / 1000, written / 1000);
    const reading = files({ clock: fake }).read({ key: "slow" }, signal);
    let isRead = false;
    void reading.then(() => (isRead = true));
    await wait(50);
    await now.advance(500);
    expect(isRead).toBe(false);
    write("slow", "whole");
    written = Date.now() - 100;
    utimesSync(path.join(folder, "slow"), written / 1000, written / 1000);
    for (let times = 0; times < 20; times++) {
      await now.advance(200);
      await wait(10);
    }
    const result = await reading;
    expect(result.kind === "found" && result.value.reveal().toString()).toBe("whole");
  });

  it("all the time is told as such", async () => {
    const now = new FakeClock();
    write("busy", "x");
    const fake: Clock = {
      now: () => statSync(path.join(folder, "busy")).mtimeMs + 1,
      monotonic: () => now.monotonic(),
      after: (ms, callback) => now.after(ms, callback),
    };
    const reading = files({ clock: fake }).read({ key: "busy" }, signal);
    for (let times = 0; times < 20; times++) {
      await wait(10);
      await now.advance(1_000);
    }
    expect(await reading).toMatchObject({ failure: { reason: "ProviderUnreachable", scope: "request" } });
  });
});

describe("what changes in a folder", () => {
  it("is told also when files and folders are replaced again and again, and odd entries end nothing", async () => {
    symlinkSync("odd", path.join(folder, "odd"));
    write("sub/a", "1");
    const told: (string | undefined)[] = [];
    const stop = new AbortController();
    const running = files().feed!.run((key) => told.push(key), stop.signal);
    await until("the feed has begun", () => told.length > 0);
    for (let times = 0; times < 3; times++) {
      told.length = 0;
      writeFileSync(path.join(folder, "next"), `${times}`);
      renameSync(path.join(folder, "next"), path.join(folder, "sub/a"));
      await until("the file is told", () => told.includes("sub/a"));
    }
    told.length = 0;
    renameSync(folder, `${folder}-away`);
    await until("it is told that it is away", () => told.includes(undefined));
    told.length = 0;
    renameSync(`${folder}-away`, folder);
    await until("it is told that it is back", () => told.includes(undefined));
    stop.abort();
    await running;
  }, 60_000);
});

describe("a folder in which something changes all the time", () => {
  it("is looked at only so often, and what changed meanwhile is told then", async () => {
    const time = new FakeClock();
    const told: (string | undefined)[] = [];
    const stop = new AbortController();
    const running = files({ clock: time }).feed!.run((key) => told.push(key), stop.signal);
    await until("the feed rests after its first look", () => time.pendingTimers > 0);
    told.length = 0;
    // Another watch of the folder tells when the system has told of all.
    const seen = new Set<string | null>();
    const watcher = watch(folder, (_event, name) => seen.add(name));
    for (let times = 0; times < 20; times++) write(`new-${times}`, "x");
    await until(
      "the system tells of all",
      () => [...seen].filter((name) => name?.startsWith("new-")).length >= 20,
    );
    watcher.close();
    expect(told).toEqual([]);
    await time.advance(200);
    await until("all is told", () => told.length >= 20);
    expect(new Set(told)).toEqual(new Set(Array.from({ length: 20 }, (_, times) => `new-${times}`)));
    stop.abort();
    await running;
  });
});

describe("a folder of more files than anybody lists", () => {
  it("is walked so far only", async () => {
    for (let number = 0; number < MOST_FILES + 50; number++)
      writeFileSync(path.join(folder, `${number}`), "");
    expect(await namesWithin(realpathSync(folder))).toHaveLength(MOST_FILES + 1);
    expect(await listed()).toBe("TooLarge");
  }, 120_000);
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
    const store = files();
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

  it("is read through its links, and its change is told of each file", async () => {
    publish("one", { password: "one" });
    symlinkSync("..data/password", path.join(folder, "password"));
    expect(await listed()).toEqual(["password", "there"]);
    expect(await listed("pass")).toEqual(["password"]);
    const told: (string | undefined)[] = [];
    const stop = new AbortController();
    const running = files()
      .feed!.run((key) => told.push(key), stop.signal)
      .catch(() => undefined);
    await until("the feed has begun", () => told.length > 0);
    told.length = 0;
    publish("two", { password: "two" });
    await until("it is told", () => told.includes("password"));
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
