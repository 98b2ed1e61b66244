import { describe, expect, it } from "@jest/globals";
import type { ValuesRequest } from "../../../src/fetch/finder.ts";
import type { ProviderClient } from "../../../src/fetch/provider-client.ts";
import { newFetcher, type Fetch, type Fetcher } from "../../../src/controllers/secret-sync/fetch.ts";
import type { ProviderAccess } from "../../../src/controllers/secret-sync/provider-access.ts";
import type { ReadResult } from "../../../src/providers/contract.ts";
import { SecretValue } from "../../../src/providers/secret-value.ts";
import {
  MISSING_VERSION,
  type FetchedValues,
  type FindResult,
  type Source,
} from "../../../src/plan/sources.ts";
import { settle } from "../../support/fake-clock.ts";

const { signal } = new AbortController();
const provider = { kind: "SecretProvider", name: "aws" } as const;
const read = (key: string): Source => ({
  id: key,
  provider,
  field: "spec.data[0]",
  kind: "read",
  ref: { key },
});
const find = (id: string): Source => ({
  id,
  provider,
  field: "spec.dataFrom[0]",
  kind: "find",
  criteria: { tags: {} },
});
const valueOf = (bytes: number): ReadResult => ({
  kind: "found",
  value: SecretValue.fromText("x".repeat(bytes)),
  versionId: "v",
  versionStages: [],
});

/** Every find gives `found`; reads give what `answer` says. */
function newOne(
  answer: (key: string) => Promise<ReadResult>,
  found: ReadonlyMap<string, string> = new Map(),
  findValues?: (request: ValuesRequest) => Promise<FindResult | undefined>,
) {
  const secrets = new Map(
    [...found].map(([name]) => [name, { value: SecretValue.fromText("x"), versionId: "v" }]),
  );
  const matches = { kind: "matches", secrets, forbidden: [] } as unknown as FindResult;
  const client = {
    value: ({ key }: { key: string }) => answer(key),
    version: () => undefined,
    nextRotation: () => undefined,
    finder: {
      find: findValues ?? (() => Promise.resolve(matches)),
      findVersions: () => Promise.resolve(found),
    },
  } as unknown as ProviderClient;
  const access = { client, mayRead: () => true, mayReadAny: true };
  return newFetcher(() => Promise.resolve({ ok: true, access }));
}

const reasonOf = (fetched: Fetch<unknown>) => (fetched.ok ? "ok" : fetched.failure.reason);

/** As newOne, of a client of the test's own, and of access to it. */
function newFrom(
  client: Partial<Record<keyof ProviderClient, unknown>>,
  access: Partial<ProviderAccess> = {},
) {
  const whole = {
    place: "eu-west-1",
    nextRotation: () => undefined,
    version: () => undefined,
    ...client,
  } as unknown as ProviderClient;
  return newFetcher((ref) =>
    Promise.resolve(
      ref.name === "gone"
        ? { ok: false, failure: { reason: "ProviderNotFound", message: "it isn't there" } }
        : { ok: true, access: { client: whole, mayRead: () => true, mayReadAny: true, ...access } },
    ),
  );
}
const at = (field: string, source: Source): Source => ({ ...source, field });
const gone = { kind: "SecretProvider", name: "gone" } as const;
const valuesOf = (fetcher: Fetcher, sources: readonly Source[]) =>
  fetcher.values(sources, "shop", 0, signal, (fetched) => Promise.resolve(fetched));

describe("a source that can't be asked for", () => {
  const nobody = { value: () => Promise.reject(new Error("it is asked")), version: () => undefined };

  it("is told with its field, before anything is asked, whether versions or values are wanted", async () => {
    const fetcher = newFrom(nobody);
    const sources = [
      at("spec.data[0]", read("a")),
      { ...at("spec.data[1]", read("b")), provider: gone },
      { ...at("spec.data[2]", read("c")), provider: gone },
    ];
    const failure = { reason: "ProviderNotFound", message: "spec.data[1]: it isn't there" };
    expect(await fetcher.versions(sources, "shop", 0, signal)).toEqual({ ok: false, failure });
    expect(await valuesOf(fetcher, sources)).toEqual({ ok: false, failure });
  });

  it("since no access rule names it says what the namespace may not read", async () => {
    const fetcher = newFrom(nobody, { mayRead: (key) => key === "mine", mayReadAny: false });
    const refusal = async (source: Source) => {
      const fetched = await fetcher.versions([read("mine"), source], "shop", 0, signal);
      return fetched.ok ? "" : `${fetched.failure.reason} ${fetched.failure.message}`;
    };
    expect(await refusal(at("spec.data[1]", read("theirs")))).toBe(
      "KeyNotAllowed spec.data[1]: SecretProvider/aws doesn't let namespace shop read theirs; correct the key, or have it added to the provider's spec.access",
    );
    expect(await refusal(find("f"))).toContain("doesn't let namespace shop read anything;");
  });
});

describe("versions", () => {
  const found = (versionId: string) => ({ kind: "found", versionId, versionStages: [] });

  it("are those of all sources, of what is missing a word of its own", async () => {
    const fetcher = newFrom({
      version: ({ key }: { key: string }) =>
        Promise.resolve(key === "none" ? { kind: "missing" } : found(`v-${key}`)),
    });
    const fetched = await fetcher.versions([read("a"), read("none")], "shop", 0, signal);
    expect(fetched.ok && [...(fetched.value ?? [])]).toEqual([
      ["a", "v-a"],
      ["none", MISSING_VERSION],
    ]);
  });

  it("can't tell when one fails, or isn't to be had", async () => {
    for (const answer of [
      () =>
        Promise.resolve({
          kind: "failed",
          failure: { reason: "AccessDenied", message: "", scope: "request" },
        }),
      () => undefined,
    ]) {
      const version = ({ key }: { key: string }) => (key === "b" ? answer() : Promise.resolve(found("v")));
      const fetched = await newFrom({ version }).versions([read("a"), read("b")], "shop", 0, signal);
      expect(fetched).toMatchObject({ ok: true, value: undefined });
    }
    const finder = { findVersions: () => Promise.resolve({ kind: "failed" }) };
    expect(await newFrom({ finder }).versions([find("f")], "shop", 0, signal)).toMatchObject({
      ok: true,
      value: undefined,
    });
  });

  it("come with the first time by when any of them is to be rotated, which a find has none of", async () => {
    const rotations: Record<string, number> = { late: 300, early: 100, later: 500 };
    const fetcher = newFrom({
      version: () => Promise.resolve(found("v")),
      nextRotation: (key: string) => rotations[key],
      finder: { findVersions: () => Promise.resolve(new Map([["x", "v"]])) },
    });
    const sources = [read("never"), read("late"), read("early"), read("later"), find("f")];
    expect(await fetcher.versions(sources, "shop", 0, signal)).toMatchObject({ nextRotation: 100 });
    expect(await fetcher.versions([find("f")], "shop", 0, signal)).toMatchObject({ nextRotation: undefined });
  });
});

describe("values", () => {
  it("that are missing tell where they were looked for, and those that fail are values too", async () => {
    const failed: ReadResult = {
      kind: "failed",
      failure: { reason: "AccessDenied", message: "no", scope: "request" },
    };
    const answers: Record<string, ReadResult> = {
      none: { kind: "missing" },
      theirs: { kind: "failed", failure: { reason: "KeyNotAllowed", message: "no", scope: "request" } },
      denied: failed,
    };
    const fetcher = newFrom({
      value: ({ key }: { key: string }) => Promise.resolve(answers[key]),
    });
    const fetched = await valuesOf(fetcher, [read("none"), read("theirs"), read("denied")]);
    expect(fetched.ok && [...fetched.value]).toEqual([
      ["none", { kind: "missing", place: "eu-west-1" }],
      // What its owner doesn't share shall look as if it weren't there.
      ["theirs", { kind: "missing", place: "eu-west-1" }],
      ["denied", failed],
    ]);
  });

  it("of finds that match too many names together are refused", async () => {
    const many = new Map(
      Array.from({ length: 6_000 }, (_, index) => [
        `n${index}`,
        { value: SecretValue.fromText(""), versionId: "v" },
      ]),
    );
    const finder = { find: () => Promise.resolve({ kind: "matches", secrets: many, forbidden: [] }) };
    const one = await valuesOf(newFrom({ finder }), [find("one")]);
    expect(one.ok).toBe(true);
    const both = await valuesOf(newFrom({ finder }), [find("one"), find("two")]);
    expect(reasonOf(both)).toBe("TooLarge");
  });
});

describe("values under way", () => {
  it("of one namespace that are huge and slow fail there, and nobody else waits or fails", async () => {
    const never = new Promise<ReadResult>(() => undefined);
    const fetcher = newOne((key) => (key.startsWith("never") ? never : Promise.resolve(valueOf(64 * 1024))));
    const outcomes = new Map<string, string>();
    const large = (name: string, namespace: string) => {
      // 15 MiB come at once, and are held while the last one is waited for.
      const sources = [
        ...Array.from({ length: 240 }, (_, index) => read(`${name}-${index}`)),
        read(`never-${name}`),
      ];
      return fetcher.values(sources, namespace, 0, signal, (fetched) => {
        outcomes.set(name, reasonOf(fetched));
        return Promise.resolve();
      });
    };
    for (const namespace of ["evil-1", "evil-2"])
      for (let index = 0; index < 4; index++) void large(`${namespace}-${index}`, namespace);
    await settle();
    const served: string[] = [];
    await fetcher.values(
      [read("mine"), find("mine too")],
      "victim",
      0,
      signal,
      (fetched: Fetch<FetchedValues>) => {
        served.push(reasonOf(fetched));
        return Promise.resolve();
      },
    );
    expect(served).toEqual(["ok"]);
    // What was held beyond 48 MiB was let go, of those who hold most.
    expect([...new Set(outcomes.values())]).toEqual(["TooLarge"]);
    expect(outcomes.size).toBeGreaterThanOrEqual(5);
    expect(outcomes.size).toBeLessThan(8);
  });
});

describe("values of a find", () => {
  it("count as they come, so that finds which are too many together are given up while they are read", async () => {
    const told: boolean[] = [];
    const fetcher = newOne(
      () => Promise.reject(new Error("nothing is read")),
      new Map(),
      ({ hold }) => {
        // 7 MiB each, of which none is ever whole.
        for (let bytes = 0; bytes < 7; bytes++) told.push(hold(1024 * 1024));
        return told.at(-1) === true ? new Promise(() => undefined) : Promise.resolve(undefined);
      },
    );
    const outcomes: string[] = [];
    for (let index = 0; index < 10; index++)
      void fetcher.values([find("f")], `ns-${index}`, 0, signal, (fetched) => {
        outcomes.push(reasonOf(fetched));
        return Promise.resolve();
      });
    await settle();
    // Of 70 MiB those beyond 48 were let go.
    expect(new Set(outcomes)).toEqual(new Set(["TooLarge"]));
    expect(outcomes.length).toBeGreaterThanOrEqual(4);
  });
});

describe("values in use", () => {
  it("stay, whatever else is read meanwhile", async () => {
    const fetcher = newOne(() => Promise.resolve(valueOf(64 * 1024)));
    const keys = (name: string) => Array.from({ length: 250 }, (_, index) => read(`${name}-${index}`));
    const { promise: done, resolve: end } = Promise.withResolvers<void>();
    const held: FetchedValues[] = [];
    const uses: Promise<void>[] = [];
    for (let index = 0; index < 5; index++) {
      uses.push(
        fetcher.values(keys(`s${index}`), `ns-${index}`, 0, signal, (fetched) => {
          if (fetched.ok) held.push(fetched.value);
          return done;
        }),
      );
      await settle();
    }
    expect(held.length).toBeGreaterThanOrEqual(3);
    for (const values of held) expect(values.size).toBe(250);
    end();
    await Promise.all(uses);
  });
});

describe("finds", () => {
  const names = (count: number, length: number) =>
    new Map(Array.from({ length: count }, (_, index) => [String(index).padStart(length, "n"), "v"]));
  const never = () => Promise.reject<ReadResult>(new Error("nothing is read"));

  it.each([
    ["10,000 names", names(1_000, 10), 10, "ok"],
    ["11,000 names", names(1_000, 10), 11, "TooLarge"],
    ["480 KB of names", names(1_000, 480), 1, "ok"],
    ["960 KB of names", names(1_000, 480), 2, "TooLarge"],
  ])("that match %s together", async (_what, found, finds, expected) => {
    const fetcher = newOne(never, found);
    const sources = Array.from({ length: finds }, (_, index) => find(`f${index}`));
    expect(reasonOf(await fetcher.versions(sources, "shop", 0, signal))).toBe(expected);
    const values = await fetcher.values(sources, "shop", 0, signal, (fetched) =>
      Promise.resolve(reasonOf(fetched)),
    );
    expect(values).toBe(expected);
  });

  it("that match nothing have one version", async () => {
    const versions = await newOne(never).versions([find("f")], "shop", 0, signal);
    expect(versions.ok && versions.value?.get("f")).toBe(MISSING_VERSION);
  });
});
