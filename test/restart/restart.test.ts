import { describe, expect, it } from "@jest/globals";
import * as fc from "fast-check";
import { digestContent, type ContentRecord } from "../../src/plan/digest.ts";
import { consumptionOf, projectWorkload, type Workload } from "../../src/restart/consumption.ts";
import { isAdopted, planRestart, recordedSecrets, wasRestartedFor } from "../../src/restart/plan-restart.ts";
import { digestKey, otherDigestKey, specOf, value } from "../support/gen.ts";

describe("what a pod consumes", () => {
  const env = (name: string, key: string) => ({ env: [{ valueFrom: { secretKeyRef: { name, key } } }] });
  it.each<[string, unknown, Record<string, unknown>]>([
    ["env: one key", { containers: [env("s", "a")] }, { s: ["a"] }],
    ["env of an init container", { initContainers: [env("s", "a")] }, { s: ["a"] }],
    ["two keys, each once", { containers: [env("s", "b"), env("s", "a"), env("s", "b")] }, { s: ["a", "b"] }],
    ["envFrom: all", { containers: [{ envFrom: [{ secretRef: { name: "s" } }] }] }, { s: "all" }],
    [
      "envFrom beats env",
      { containers: [env("s", "a"), { envFrom: [{ secretRef: { name: "s" } }] }, env("s", "b")] },
      { s: "all" },
    ],
    ["a volume: all", { volumes: [{ secret: { secretName: "s" } }] }, { s: "all" }],
    [
      "a volume with items",
      { volumes: [{ secret: { secretName: "s", items: [{ key: "a" }] } }] },
      { s: ["a"] },
    ],
    [
      "a projected volume",
      {
        volumes: [
          {
            projected: {
              sources: [{ secret: { name: "s" } }, { secret: { name: "t", items: [{ key: "k" }] } }],
            },
          },
        ],
      },
      { s: "all", t: ["k"] },
    ],
    [
      "ConfigMaps and plain values: nothing",
      { containers: [{ env: [{}], envFrom: [{}] }], volumes: [{}] },
      {},
    ],
    [
      "a Secret named __proto__",
      { containers: [{ envFrom: [{ secretRef: { name: "__proto__" } }] }] },
      JSON.parse('{"__proto__":"all"}') as Record<string, unknown>,
    ],
  ])("%s", (_case, pod, expected) => {
    expect(Object.entries(consumptionOf(pod).consumes)).toEqual(Object.entries(expected));
  });
});

const workload = (more: Partial<Workload> = {}): Workload => ({
  key: "shop/orders",
  kind: "Deployment",
  name: "orders",
  namespace: "shop",
  uid: "w",
  resourceVersion: "1",
  deleting: false,
  consumes: { db: ["password"] },
  isCut: false,
  consumed: undefined,
  restartedFor: undefined,
  isOutline: false,
  weight: 0,
  ...more,
});

const change = {
  kind: "updated",
  at: "2026-05-01T00:00:00.000Z",
  trigger: "Refresh",
  keys: ["password"],
} as const;

const record = (data: Record<string, string>, key = digestKey): ContentRecord => ({
  key: key.id,
  version: "v",
  owned: "o",
  digests: digestContent(key, new Map(Object.entries(data).map(([name, text]) => [name, value(text)]))),
  found: [],
  change,
});

const policy = (restart: Record<string, unknown> = { policy: "Auto" }) => specOf({ restart }).restart;

/** The workload after the write that a plan asks for. */
const after = (before: Workload, data: Record<string, string>, rule = policy()): Workload => {
  const write = planRestart(before, { secretName: "db" }, rule, record(data), digestKey);
  return write ? { ...before, consumed: write.consumed, restartedFor: write.restartedFor } : before;
};

describe("a workload", () => {
  it("that is new is recorded without a restart", () => {
    const write = planRestart(
      workload(),
      { secretName: "db" },
      policy(),
      record({ password: "one" }),
      digestKey,
    );
    expect(write).toMatchObject({ restart: false, restartedFor: undefined });
  });

  it("whose content stays needs nothing", () => {
    const adopted = after(workload(), { password: "one" });
    expect(
      planRestart(adopted, { secretName: "db" }, policy(), record({ password: "one" }), digestKey),
    ).toBeUndefined();
  });

  it("that restarted says for which change; one that was only adopted doesn't", () => {
    const adopted = after(workload(), { password: "one" });
    const restarted = after(adopted, { password: "two" });
    const part = { secretName: "db" };
    expect(wasRestartedFor(adopted, part, change)).toBe(false);
    expect(wasRestartedFor(restarted, part, change)).toBe(true);
    expect(wasRestartedFor(restarted, part, { ...change, at: "2026-05-02T00:00:00.000Z" })).toBe(false);
    expect(wasRestartedFor(restarted, { secretName: "other" }, change)).toBe(false);
    expect(wasRestartedFor(restarted, part, undefined)).toBe(false);
    // And it isn't due again.
    expect(planRestart(restarted, part, policy(), record({ password: "two" }), digestKey)).toBeUndefined();
  });

  it("whose content changed restarts, and records that in the same write", () => {
    const adopted = after(workload(), { password: "one" });
    const write = planRestart(
      adopted,
      { secretName: "db" },
      policy(),
      record({ password: "two" }),
      digestKey,
    )!;
    expect(write.restart).toBe(true);
    expect(write.restartedFor).toMatch(/^[0-9a-f]{16}$/);
    const restarted = { ...adopted, consumed: write.consumed, restartedFor: write.restartedFor };
    expect(
      planRestart(restarted, { secretName: "db" }, policy(), record({ password: "two" }), digestKey),
    ).toBeUndefined();
  });

  it("restarts exactly once for each change, over any history", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 20, size: "max" }),
        (values) => {
          let now = workload();
          let restarts = 0;
          const templates = new Set<string | undefined>();
          for (const password of values) {
            // Twice, as after a crash.
            for (let time = 0; time < 2; time++) {
              const write = planRestart(now, { secretName: "db" }, policy(), record({ password }), digestKey);
              if (!write) continue;
              if (write.restart) restarts++;
              expect(write.restart).toBe(write.restartedFor !== now.restartedFor);
              now = { ...now, consumed: write.consumed, restartedFor: write.restartedFor };
              templates.add(now.restartedFor);
            }
          }
          const changes = values.slice(1).filter((each, index) => each !== values[index]).length;
          expect(restarts).toBe(changes);
        },
      ),
    );
  });

  it("isn't restarted for a key that it doesn't consume", () => {
    const adopted = after(workload(), { password: "one", other: "1" });
    expect(
      planRestart(
        adopted,
        { secretName: "db" },
        policy(),
        record({ password: "one", other: "2" }),
        digestKey,
      ),
    ).toBeUndefined();
  });

  it("isn't restarted when its template consumes other keys now: its pods are new anyway", () => {
    const adopted = after(workload(), { password: "one", user: "u" });
    const changed = { ...adopted, consumes: { db: ["user"] } };
    const write = planRestart(
      changed,
      { secretName: "db" },
      policy(),
      record({ password: "two", user: "u2" }),
      digestKey,
    );
    expect(write?.restart).toBe(false);
  });

  it("isn't restarted by a new digest key", () => {
    const adopted = after(workload(), { password: "one" });
    const write = planRestart(
      adopted,
      { secretName: "db" },
      policy(),
      record({ password: "one" }, otherDigestKey),
      otherDigestKey,
    );
    expect(write?.restart).toBe(false);
    expect(
      planRestart(
        adopted,
        { secretName: "db" },
        policy(),
        record({ password: "one" }, otherDigestKey),
        digestKey,
      ),
    ).toBeUndefined();
  });

  it("keeps what it knows of other Secrets", () => {
    const both = workload({ consumes: { db: ["password"], tls: "all" } });
    const first = planRestart(both, { secretName: "tls" }, policy(), record({ x: "1" }), digestKey)!;
    const second = planRestart(
      { ...both, consumed: first.consumed },
      { secretName: "db" },
      policy(),
      record({ password: "one" }),
      digestKey,
    )!;
    expect(recordedSecrets({ ...both, consumed: second.consumed })).toEqual(["db", "tls"]);
  });

  it("forgets a Secret that it no longer consumes, without a restart", () => {
    const adopted = after(workload(), { password: "one" });
    const write = planRestart(
      { ...adopted, consumes: {} },
      { secretName: "db" },
      policy(),
      record({ password: "two" }),
      digestKey,
    );
    expect(write).toMatchObject({ restart: false, consumed: "{}" });
  });

  it("with policy None is left alone", () => {
    expect(
      planRestart(
        workload(),
        { secretName: "db" },
        policy({ policy: "None" }),
        record({ password: "one" }),
        digestKey,
      ),
    ).toBeUndefined();
  });

  it("with policy Listed restarts only when listed, for every key when its template shows none", () => {
    const listed = policy({ policy: "Listed", targets: [{ kind: "Deployment", name: "orders" }] });
    expect(
      planRestart(
        workload({ name: "x" }),
        { secretName: "db" },
        listed,
        record({ password: "one" }),
        digestKey,
      ),
    ).toBeUndefined();
    expect(
      planRestart(
        workload({ kind: "DaemonSet" }),
        { secretName: "db" },
        listed,
        record({ password: "one" }),
        digestKey,
      ),
    ).toBeUndefined();
    const reader = after(workload({ consumes: {} }), { any: "1" }, listed);
    expect(planRestart(reader, { secretName: "db" }, listed, record({ any: "2" }), digestKey)?.restart).toBe(
      true,
    );
  });

  it.each(["not json", "[]", "null", '{"db":5}'])(
    "whose annotation somebody spoiled (%s) is adopted anew",
    (consumed) => {
      const write = planRestart(
        workload({ consumed }),
        { secretName: "db" },
        policy(),
        record({ password: "one" }),
        digestKey,
      );
      expect(write?.restart).toBe(false);
    },
  );

  /** Another value of the template's annotation is a restart, whatever the plan calls it. */
  it("keeps the mark of its last restart where it isn't restarted", () => {
    const part = { secretName: "db" };
    const restarted = after(after(workload(), { password: "one" }), { password: "two" });
    expect(restarted.restartedFor).toBeDefined();
    const { restartedFor } = restarted;
    const plans = {
      "consumes other keys": planRestart(
        { ...restarted, consumes: { db: ["user"] } },
        part,
        policy(),
        record({ password: "3", user: "u" }),
        digestKey,
      ),
      "another digest key": planRestart(
        restarted,
        part,
        policy(),
        record({ password: "two" }, otherDigestKey),
        otherDigestKey,
      ),
      "no policy": planRestart(
        restarted,
        part,
        policy({ policy: "None" }),
        record({ password: "3" }),
        digestKey,
      ),
      "adopted anew": planRestart(
        { ...restarted, consumed: "not json" },
        part,
        policy(),
        record({ password: "3" }),
        digestKey,
      ),
    };
    for (const [name, write] of Object.entries(plans))
      expect([name, write?.restart, write?.restartedFor]).toEqual([name, false, restartedFor]);
  });

  it("that loses policy and record is forgotten, and left alone from then on", () => {
    const part = { secretName: "db" };
    const none = policy({ policy: "None" });
    const adopted = after(workload(), { password: "one" });
    const forgotten = after(adopted, { password: "two" }, none);
    expect(isAdopted(adopted, part)).toBe(true);
    expect(isAdopted(forgotten, part)).toBe(false);
    expect(planRestart(forgotten, part, none, record({ password: "3" }), digestKey)).toBeUndefined();
  });

  it("restarts for a change that nobody dated, and says no date", () => {
    const { change: _change, ...rest } = record({ password: "two" });
    const adopted = after(workload(), { password: "one" });
    const part = { secretName: "db" };
    const write = planRestart(adopted, part, policy(), { ...rest, change: undefined }, digestKey);
    expect(write?.restart).toBe(true);
    expect(write?.consumed).not.toContain("@");
  });

  it("is what the apiserver says", () => {
    const template = {
      metadata: { annotations: { "secretsync.dev/restarted-for": "abc" } },
      spec: { containers: [{ envFrom: [{ secretRef: { name: "db" } }] }] },
    };
    const object = {
      metadata: {
        name: "orders",
        namespace: "shop",
        uid: "w",
        resourceVersion: "7",
        deletionTimestamp: "2026-05-01T00:00:00Z",
        annotations: { "secretsync.dev/consumed": "{}" },
      },
      spec: { template },
    };
    expect(projectWorkload("StatefulSet", object)).toEqual({
      key: "shop/orders",
      kind: "StatefulSet",
      name: "orders",
      namespace: "shop",
      uid: "w",
      resourceVersion: "7",
      deleting: true,
      isCut: false,
      consumes: { db: "all" },
      consumed: "{}",
      restartedFor: "abc",
      isOutline: false,
      weight: 0,
    });
    expect(projectWorkload("DaemonSet", { metadata: { name: "x" } })).toMatchObject({
      deleting: false,
      consumes: {},
    });
  });

  it("that is being deleted is left alone", () => {
    expect(
      planRestart(
        workload({ deleting: true }),
        { secretName: "db" },
        policy(),
        record({ password: "one" }),
        digestKey,
      ),
    ).toBeUndefined();
  });
});

describe("a Secret of several SecretSyncs", () => {
  const whole = { secretName: "db" };
  const merger = { secretName: "db", mergedBy: "uid-b" };

  it("restarts a workload for the keys that each of them writes, and never in turns", () => {
    const consumer = workload({ consumes: { db: ["password", "extra"] } });
    const step = (now: Workload, part: typeof merger | typeof whole, data: Record<string, string>) => {
      const write = planRestart(now, part, policy(), record(data), digestKey);
      return { restart: write?.restart ?? false, now: write ? { ...now, consumed: write.consumed } : now };
    };
    let state = step(step(consumer, whole, { password: "1" }).now, merger, { extra: "1" });
    for (let round = 0; round < 3; round++) {
      state = step(state.now, whole, { password: "1" });
      expect(state.restart).toBe(false);
      state = step(state.now, merger, { extra: "1" });
      expect(state.restart).toBe(false);
    }
    state = step(state.now, merger, { extra: "2" });
    expect(state.restart).toBe(true);
    expect(step(state.now, whole, { password: "1" }).restart).toBe(false);
    expect(recordedSecrets(state.now)).toEqual(["db", "db"]);
  });

  it("restarts for a key that it newly writes, or no longer does", () => {
    const uses = workload({ consumes: { db: ["a", "b"] } });
    const step = (now: Workload, data: Record<string, string>) => {
      const write = planRestart(now, merger, policy(), record(data), digestKey);
      return { restart: write?.restart, now: write ? { ...now, consumed: write.consumed } : now };
    };
    const adopted = step(uses, { a: "1" });
    expect(adopted.restart).toBe(false);
    const gained = step(adopted.now, { a: "1", b: "1" });
    expect(gained.restart).toBe(true);
    expect(step(gained.now, { b: "1" }).restart).toBe(true);
    expect(step(gained.now, { c: "no longer any of them" }).restart).toBe(true);
    expect(step(gained.now, { a: "1", b: "1", c: "new" }).restart).toBeUndefined();
  });

  it.each([merger, whole])("restarts a workload that takes all of it, by %j", (part) => {
    const consumer = workload({ consumes: { db: "all" } });
    const adopted = planRestart(consumer, part, policy(), record({ extra: "1" }), digestKey);
    expect(adopted?.restart).toBe(false);
    const now = { ...consumer, consumed: adopted?.consumed };
    expect(planRestart(now, part, policy(), record({ extra: "2" }), digestKey)?.restart).toBe(true);
  });

  it("restarts for a merger of so many keys that one digest stands for all", () => {
    const many = (extra: string) => ({
      ...Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`k${index}`, "v"])),
      extra,
    });
    const consumer = workload({ consumes: { db: ["extra"] } });
    const adopted = planRestart(consumer, merger, policy(), record(many("1")), digestKey);
    const now = { ...consumer, consumed: adopted?.consumed };
    expect(planRestart(now, merger, policy(), record(many("2")), digestKey)?.restart).toBe(true);
  });

  it("of its owner restarts a consumer of a key that comes later", () => {
    const consumer = workload({ consumes: { db: ["later"] } });
    const adopted = planRestart(consumer, whole, policy(), record({ password: "1" }), digestKey);
    expect(adopted?.restart).toBe(false);
    const now = { ...consumer, consumed: adopted?.consumed };
    const write = planRestart(now, whole, policy(), record({ password: "1", later: "1" }), digestKey);
    expect(write?.restart).toBe(true);
  });

  it("leaves a workload alone that consumes only keys of others", () => {
    const consumer = workload({ consumes: { db: ["password"] } });
    expect(planRestart(consumer, merger, policy(), record({ extra: "1" }), digestKey)).toBeUndefined();
  });

  it("that is named like a member of every object restarts as any other", () => {
    const consumer = workload({ consumes: { constructor: "all" } as Workload["consumes"] });
    const write = planRestart(
      consumer,
      { secretName: "constructor" },
      policy(),
      record({ a: "1" }),
      digestKey,
    );
    expect(write?.restart).toBe(false);
    const other = workload({ consumes: {} });
    expect(
      planRestart(other, { secretName: "constructor" }, policy(), record({ a: "1" }), digestKey),
    ).toBeUndefined();
  });
});
