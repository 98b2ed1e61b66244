import { describe, expect, it } from "@jest/globals";
import * as fc from "fast-check";
import type { KubeObject } from "../../src/kube/kube-api.ts";
import { digestContent, type Change, type ContentRecord } from "../../src/plan/digest.ts";
import type { WorkloadKind } from "../../src/api/secret-sync.ts";
import { consumptionOf, type ConsumedKeys } from "../../src/rollout/consumption.ts";
import { projectWorkload, type Workload } from "../../src/rollout/workload.ts";
import {
  planRestart as decide,
  recordedSecrets,
  wasRestartedFor,
  type Look,
} from "../../src/rollout/plan-restart.ts";
import type { Part } from "../../src/plan/step.ts";
import { readersIn } from "../../src/rollout/pods.ts";
import { digestKey, otherDigestKey, specOf, value } from "../support/gen.ts";

describe("what a pod consumes", () => {
  const env = (name: string, key: string) => ({ env: [{ valueFrom: { secretKeyRef: { name, key } } }] });
  it.each<[string, unknown, Record<string, unknown>]>([
    ["env: one key", { containers: [env("s", "a")] }, { s: ["a"] }],
    [
      "env that may lack: the key",
      { containers: [{ env: [{ valueFrom: { secretKeyRef: { name: "s", key: "a", optional: true } } }] }] },
      { s: ["a"] },
    ],
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
  requires: {},
  optional: [],
  selector: "app=orders",
  hasPods: true,
  waitsFor: undefined,
  isRolling: false,
  changedBy: undefined,
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

/** The write that is decided on; undefined for none. */
function planRestart(
  before: Workload,
  part: Part,
  rule: ReturnType<typeof policy>,
  content: ContentRecord,
  look: Look = {},
) {
  const decision = decide(before, part, rule, content, look);
  return decision.kind === "write" ? decision.write : undefined;
}

/** The workload after the write that a plan asks for. */
const after = (before: Workload, data: Record<string, string>, rule = policy()): Workload => {
  const write = planRestart(before, { secretName: "db" }, rule, record(data));
  return write ? { ...before, consumed: write.consumed, restartedFor: write.restartedFor } : before;
};

describe("a workload", () => {
  it("that is new is recorded without a restart", () => {
    const write = planRestart(workload(), { secretName: "db" }, policy(), record({ password: "one" }));
    expect(write).toMatchObject({ restart: false, restartedFor: undefined });
  });

  it("whose content stays needs nothing", () => {
    const adopted = after(workload(), { password: "one" });
    expect(planRestart(adopted, { secretName: "db" }, policy(), record({ password: "one" }))).toBeUndefined();
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
    expect(planRestart(restarted, part, policy(), record({ password: "two" }))).toBeUndefined();
  });

  it("whose content changed restarts, and records that in the same write", () => {
    const adopted = after(workload(), { password: "one" });
    const write = planRestart(adopted, { secretName: "db" }, policy(), record({ password: "two" }))!;
    expect(write.restart).toBe(true);
    expect(write.restartedFor).toMatch(/^[0-9a-f]{16}$/);
    const restarted = { ...adopted, consumed: write.consumed, restartedFor: write.restartedFor };
    expect(
      planRestart(restarted, { secretName: "db" }, policy(), record({ password: "two" })),
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
              const write = planRestart(now, { secretName: "db" }, policy(), record({ password }));
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
      planRestart(adopted, { secretName: "db" }, policy(), record({ password: "one", other: "2" })),
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
    );
    expect(write?.restart).toBe(false);
  });

  const at = (time: string, data: Record<string, string>, more: Partial<Change> = {}, key = digestKey) => ({
    ...record(data, key),
    change: { ...change, at: `2026-05-01T00:${time}.000Z`, ...more },
  });
  const part = { secretName: "db" };
  const written = (before: Workload, content: ContentRecord, look: Look = {}): Workload => {
    const write = planRestart(before, part, policy(), content, look);
    return write ? { ...before, consumed: write.consumed, restartedFor: write.restartedFor } : before;
  };
  const decided = (before: Workload, content: ContentRecord, look: Look = {}) => {
    const decision = decide(before, part, policy(), content, look);
    if (decision.kind !== "write") return decision.kind;
    return decision.write.restart ? "restarts" : "is noted";
  };
  const reader = (time: string, keys: ConsumedKeys = "all") => ({
    startedAt: Date.parse(`2026-05-01T00:${time}Z`),
    keys,
    optional: false,
  });
  const startedAt = (...times: readonly string[]) => ({ readers: times.map((time) => reader(time)) });

  describe("whose digests come under another key", () => {
    it("isn't restarted while the content is that of the same change", () => {
      const adopted = written(workload(), at("01:00", { password: "one" }));
      expect(decided(adopted, at("01:00", { password: "one" }, {}, otherDigestKey))).toBe("is noted");
    });

    it("is restarted when the content changed since, if its pods are older", () => {
      const adopted = written(workload(), at("01:00", { password: "one" }));
      const now = at("02:00", { password: "two" }, {}, otherDigestKey);
      expect(decided(adopted, now)).toBe("look");
      expect(decided(adopted, now, startedAt("01:30"))).toBe("restarts");
      expect(decided(adopted, now, startedAt("02:30"))).toBe("is noted");
      expect(decided(adopted, now, { readers: "unknown" })).toBe("restarts");
    });

    it("is noted before as of the last change, where that was one of other keys", () => {
      const adopted = written(workload(), at("01:00", { password: "one", other: "1" }));
      const later = at("02:00", { password: "one", other: "2" });
      expect(decided(adopted, later)).toBe("nothing");
      const touched = written(adopted, later, { touch: true });
      expect(touched.restartedFor).toBeUndefined();
      expect(decided(touched, at("02:00", { password: "one", other: "2" }, {}, otherDigestKey))).toBe(
        "is noted",
      );
    });
  });

  it("that consumes another key than when it was noted is restarted if the content changed and its pods are older", () => {
    const adopted = written(workload(), at("01:00", { password: "one", user: "u" }));
    const changed = { ...adopted, consumes: { db: ["password", "user"] } };
    expect(decided(changed, at("01:00", { password: "one", user: "u" }))).toBe("is noted");
    const now = at("02:00", { password: "two", user: "u" });
    expect(decided(changed, now, startedAt("03:00", "01:30"))).toBe("restarts");
    expect(decided(changed, now, startedAt("03:00"))).toBe("is noted");
  });

  describe("whose template somebody put back", () => {
    const adopted = written(workload(), at("01:00", { password: "one" }));
    const now = at("02:00", { password: "two" });
    const restarted = written(adopted, now);
    const back = { ...restarted, restartedFor: undefined };

    it("is restarted once more while pods of before the change run, and isn't told as restarted", () => {
      expect(decided(restarted, now)).toBe("nothing");
      expect(wasRestartedFor(back, part, now.change)).toBe(false);
      expect(decided(back, now)).toBe("look");
      expect(decided(back, now, startedAt("01:30"))).toBe("restarts");
      const again = written(back, now, startedAt("01:30"));
      expect(again.restartedFor).toBeDefined();
      expect(wasRestartedFor(again, part, now.change)).toBe(true);
    });

    it("isn't, when all pods were started after the change, as after a rollback", () => {
      expect(decided(back, now, startedAt("02:30"))).toBe("is noted");
      const noted = written(back, now, startedAt("02:30"));
      expect(noted.restartedFor).toBeUndefined();
      expect(decided(noted, now)).toBe("nothing");
      expect(decided(noted, at("03:00", { password: "three" }))).toBe("restarts");
    });

    it("is looked at for each of its Secrets", () => {
      const both = workload({ consumes: { db: ["password"], tls: "all" } });
      const tls = { secretName: "tls" };
      const first = planRestart(both, tls, policy(), at("01:00", { crt: "1" }));
      const noted = written({ ...both, consumed: first?.consumed }, at("01:00", { password: "one" }));
      const putBack = { ...written(noted, now), restartedFor: undefined };
      const seen = written(putBack, now, startedAt("02:30"));
      expect(decide(seen, tls, policy(), at("01:00", { crt: "1" })).kind).toBe("look");
    });
  });

  it("whose note somebody removed is looked at, as far as the operator can know that there was one", () => {
    const now = at("02:00", { password: "two" });
    const marked = workload({ restartedFor: "abc" });
    for (const [before, look] of [
      [marked, {}],
      [workload(), { wasNoted: true }],
    ] as const) {
      expect(decided(before, now, look)).toBe("look");
      expect(decided(before, now, { ...look, ...startedAt("01:00") })).toBe("restarts");
      expect(decided(before, now, { ...look, ...startedAt("03:00") })).toBe("is noted");
    }
    expect(decided(workload(), now)).toBe("is noted");
  });

  describe("whose Secret wasn't there", () => {
    const came = at("02:00", { password: "one" }, { kind: "created", doubt: { absent: true } });
    const lacking = workload({ requires: {}, optional: ["db"] });
    const running = (time: string, optional = true) => ({
      readers: startedAt(time).readers.map((reader) => ({ ...reader, optional })),
    });

    it("is restarted when it was started without it", () => {
      expect(decided(lacking, came)).toBe("look");
      expect(decided(lacking, came, running("01:00"))).toBe("restarts");
    });

    it("isn't, when it waited for it", () => {
      expect(decided(workload(), came)).toBe("is noted");
      expect(decided(lacking, came, { readers: [] })).toBe("is noted");
      expect(decided(lacking, came, running("01:00", false))).toBe("is noted");
      expect(decided(lacking, came, running("02:30"))).toBe("is noted");
    });

    it("but for keys that were merged into it: is restarted also when it takes the Secret as a whole", () => {
      const merged = { secretName: "db", mergedBy: "uid" };
      const taking = workload({ consumes: { db: "all" }, requires: { db: [] } });
      const look = (known: Look) => decide(taking, merged, policy(), came, known);
      expect(look({}).kind).toBe("look");
      expect(look(running("01:00", false))).toMatchObject({ kind: "write", write: { restart: true } });
      expect(look(running("02:30", false))).toMatchObject({ kind: "write", write: { restart: false } });
      expect(look({ readers: [] })).toMatchObject({ kind: "write", write: { restart: false } });
      const other = workload({ consumes: { db: ["own"] } });
      expect(decide(other, merged, policy(), came)).toEqual({ kind: "nothing" });
    });

    it("and comes back with the same content: is restarted if it was started meanwhile", () => {
      const before = written(lacking, at("01:00", { password: "one" }));
      const back = at(
        "03:00",
        { password: "one" },
        {
          kind: "repaired",
          doubt: { absent: true, since: "2026-05-01T00:02:00.000Z" },
        },
      );
      expect(decided(before, back, running("01:30"))).toBe("is noted");
      expect(decided(before, back, running("02:30"))).toBe("restarts");
      const restarted = written(before, back, running("02:30"));
      expect(decided(restarted, back)).toBe("nothing");
    });
  });

  describe("whose Secret held something else for a while", () => {
    const before = written(workload(), at("01:00", { password: "one" }));
    const repaired = (since?: string) =>
      at(
        "03:00",
        { password: "one" },
        {
          kind: "repaired",
          doubt: { absent: false, ...(since ? { since: `2026-05-01T00:${since}.000Z` } : {}) },
        },
      );

    it("is restarted if it was started meanwhile", () => {
      expect(decided(before, repaired("02:00"))).toBe("look");
      expect(decided(before, repaired("02:00"), startedAt("02:30"))).toBe("restarts");
      expect(decided(before, repaired("02:00"), startedAt("01:30", "03:30"))).toBe("is noted");
      expect(decided(written(before, repaired("02:00"), startedAt("01:30")), repaired("02:00"))).toBe(
        "nothing",
      );
    });

    it("isn't restarted for a guess", () => {
      expect(decided(before, repaired())).toBe("is noted");
    });
  });

  describe("that can't start without a key", () => {
    const both = workload({ consumes: { db: ["a", "b"] }, requires: { db: ["a", "b"] } });

    it("isn't restarted by the key that its pods waited for", () => {
      const waiting = written(both, at("01:00", { a: "1" }));
      const came = at("02:00", { a: "1", b: "1" });
      expect(decided(waiting, came)).toBe("look");
      expect(decided(waiting, came, { readers: [] })).toBe("is noted");
      expect(decided(waiting, came, startedAt("01:30"))).toBe("restarts");
    });

    it("is restarted for another key only if some container read that, such as one that prepared the others", () => {
      const waiting = written(both, at("01:00", { a: "1" }));
      const prepared = (keys: ConsumedKeys) => ({ readers: [reader("01:10", keys)] });
      const only = at("02:00", { a: "1", b: "1" }, { keys: ["b"] });
      expect(decided(waiting, only, prepared(["a"]))).toBe("is noted");
      expect(decided(waiting, only, prepared(["b"]))).toBe("restarts");
      const rotated = at("02:00", { a: "2", b: "1" }, { keys: ["b"] });
      expect(decided(waiting, rotated, prepared(["a"]))).toBe("restarts");
      expect(decided(waiting, rotated, { readers: [reader("02:30")] })).toBe("is noted");
    });

    it("nor where it consumes all keys anyway, and is still told as restarted for the change before", () => {
      const all = workload({ consumes: { db: "all" }, requires: { db: ["a"] } });
      const rotated = written(written(all, at("00:30", { a: "0" })), at("01:00", { a: "1" }));
      const needing = { ...rotated, requires: { db: ["a", "b"] } };
      const before = at("01:00", { a: "1" });
      expect(decided(needing, before)).toBe("is noted");
      const waiting = written(needing, before);
      expect(wasRestartedFor(waiting, part, before.change)).toBe(true);
      expect(decided(waiting, before)).toBe("nothing");
      expect(decided(waiting, at("02:00", { a: "1", b: "1" }), { readers: [] })).toBe("is noted");
      // A template that no longer needs the key waits for nothing.
      expect(decided({ ...waiting, requires: { db: ["a"] } }, before)).toBe("is noted");
    });

    it("keeps its pods when the key is removed, and says which", () => {
      const adopted = written(both, at("01:00", { a: "1", b: "1" }));
      expect(decide(adopted, part, policy(), at("02:00", { a: "2" }))).toEqual({ kind: "held", keys: ["b"] });
      expect(decided(adopted, at("03:00", { a: "2", b: "1" }))).toBe("restarts");
      const optional = { ...adopted, requires: { db: ["a"] } };
      expect(decided(optional, at("02:00", { a: "2" }))).toBe("restarts");
    });
  });

  it("whose note was copied from another is new, unless its template carries a mark", () => {
    const adopted = after(workload({ uid: "11111111-a" }), { password: "one" });
    const copy = { ...adopted, uid: "22222222-b" };
    const now = at("02:00", { password: "two" });
    expect(decided(adopted, now)).toBe("restarts");
    expect(decided(copy, now)).toBe("is noted");
    expect(decided({ ...copy, restartedFor: "m" }, now)).toBe("look");
  });

  it("keeps what it knows of other Secrets", () => {
    const both = workload({ consumes: { db: ["password"], tls: "all" } });
    const first = planRestart(both, { secretName: "tls" }, policy(), record({ x: "1" }))!;
    const second = planRestart(
      { ...both, consumed: first.consumed },
      { secretName: "db" },
      policy(),
      record({ password: "one" }),
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
    );
    expect(write).toMatchObject({ restart: false, consumed: "{}" });
  });

  it("with policy None is left alone", () => {
    expect(
      planRestart(workload(), { secretName: "db" }, policy({ policy: "None" }), record({ password: "one" })),
    ).toBeUndefined();
  });

  it("with policy Listed restarts only when listed, for every key when its template shows none", () => {
    const listed = policy({ policy: "Listed", targets: [{ kind: "Deployment", name: "orders" }] });
    expect(
      planRestart(workload({ name: "x" }), { secretName: "db" }, listed, record({ password: "one" })),
    ).toBeUndefined();
    expect(
      planRestart(workload({ kind: "DaemonSet" }), { secretName: "db" }, listed, record({ password: "one" })),
    ).toBeUndefined();
    const reader = after(workload({ consumes: {} }), { any: "1" }, listed);
    expect(planRestart(reader, { secretName: "db" }, listed, record({ any: "2" }))?.restart).toBe(true);
  });

  it.each(["not json", "[]", "null", '{"db":5}'])(
    "whose annotation somebody spoiled (%s) is adopted anew",
    (consumed) => {
      const write = planRestart(
        workload({ consumed }),
        { secretName: "db" },
        policy(),
        record({ password: "one" }),
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
      ),
      "another digest key": planRestart(
        restarted,
        part,
        policy(),
        record({ password: "two" }, otherDigestKey),
      ),
      "no policy": planRestart(restarted, part, policy({ policy: "None" }), record({ password: "3" })),
      "adopted anew": planRestart(
        { ...restarted, consumed: "not json" },
        part,
        policy(),
        record({ password: "3" }),
        { readers: [] },
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
    expect(recordedSecrets(adopted)).toEqual(["db"]);
    expect(recordedSecrets(forgotten)).toEqual([]);
    expect(planRestart(forgotten, part, none, record({ password: "3" }))).toBeUndefined();
  });

  it("restarts for a change that nobody dated, and says no date", () => {
    const { change: _change, ...rest } = record({ password: "two" });
    const adopted = after(workload(), { password: "one" });
    const part = { secretName: "db" };
    const write = planRestart(adopted, part, policy(), { ...rest, change: undefined });
    expect(write?.restart).toBe(true);
    expect(write?.consumed).toMatch(/#"/);
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
        generation: 3,
        annotations: { "secretsync.dev/consumed": "{}" },
        managedFields: [
          { manager: "helm", time: "2026-05-01T00:00:00Z" },
          { manager: "kubectl-edit", time: "2026-05-02T00:00:00Z" },
          { manager: "secretsync-restart", time: "2026-05-03T00:00:00Z" },
          { manager: "kube-controller-manager", subresource: "status", time: "2026-05-04T00:00:00Z" },
        ],
      },
      spec: {
        template,
        selector: {
          matchLabels: { app: "orders" },
          matchExpressions: [
            { key: "tier", operator: "In", values: ["a", "b"] },
            { key: "old", operator: "DoesNotExist" },
          ],
        },
        updateStrategy: { type: "OnDelete" },
      },
      status: { observedGeneration: 3, replicas: 2, updatedReplicas: 1 },
    } as KubeObject;
    expect(projectWorkload("StatefulSet", object)).toEqual({
      key: "shop/orders",
      kind: "StatefulSet",
      name: "orders",
      namespace: "shop",
      uid: "w",
      resourceVersion: "7",
      deleting: true,
      hasPods: true,
      isCut: false,
      consumes: { db: "all" },
      requires: { db: [] },
      optional: [],
      selector: "app=orders,tier in (a,b),!old",
      waitsFor: "OnDelete",
      isRolling: false,
      changedBy: { manager: "kubectl-edit", at: Date.parse("2026-05-02T00:00:00Z") },
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
      planRestart(workload({ deleting: true }), { secretName: "db" }, policy(), record({ password: "one" })),
    ).toBeUndefined();
  });
});

describe("a Secret of several SecretSyncs", () => {
  const whole = { secretName: "db" };
  const merger = { secretName: "db", mergedBy: "uid-b" };

  it("restarts a workload for the keys that each of them writes, and never in turns", () => {
    const consumer = workload({ consumes: { db: ["password", "extra"] } });
    const step = (now: Workload, part: typeof merger | typeof whole, data: Record<string, string>) => {
      const write = planRestart(now, part, policy(), record(data));
      return {
        restart: write?.restart ?? false,
        now: write ? { ...now, consumed: write.consumed, restartedFor: write.restartedFor } : now,
      };
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
      const write = planRestart(now, merger, policy(), record(data));
      return {
        restart: write?.restart,
        now: write ? { ...now, consumed: write.consumed, restartedFor: write.restartedFor } : now,
      };
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
    const adopted = planRestart(consumer, part, policy(), record({ extra: "1" }));
    expect(adopted?.restart).toBe(false);
    const now = { ...consumer, consumed: adopted?.consumed };
    expect(planRestart(now, part, policy(), record({ extra: "2" }))?.restart).toBe(true);
  });

  it("restarts for a merger of so many keys that one digest stands for all", () => {
    const many = (extra: string) => ({
      ...Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`k${index}`, "v"])),
      extra,
    });
    const consumer = workload({ consumes: { db: ["extra"] } });
    const adopted = planRestart(consumer, merger, policy(), record(many("1")));
    const now = { ...consumer, consumed: adopted?.consumed };
    expect(planRestart(now, merger, policy(), record(many("2")))?.restart).toBe(true);
  });

  it("of its owner restarts a consumer of a key that comes later", () => {
    const consumer = workload({ consumes: { db: ["later"] } });
    const adopted = planRestart(consumer, whole, policy(), record({ password: "1" }));
    expect(adopted?.restart).toBe(false);
    const now = { ...consumer, consumed: adopted?.consumed };
    const write = planRestart(now, whole, policy(), record({ password: "1", later: "1" }));
    expect(write?.restart).toBe(true);
  });

  it("leaves a workload alone that consumes only keys of others", () => {
    const consumer = workload({ consumes: { db: ["password"] } });
    expect(planRestart(consumer, merger, policy(), record({ extra: "1" }))).toBeUndefined();
  });

  it("that is named like a member of every object restarts as any other", () => {
    const consumer = workload({ consumes: { constructor: "all" } as Workload["consumes"] });
    const write = planRestart(consumer, { secretName: "constructor" }, policy(), record({ a: "1" }));
    expect(write?.restart).toBe(false);
    const other = workload({ consumes: {} });
    expect(planRestart(other, { secretName: "constructor" }, policy(), record({ a: "1" }))).toBeUndefined();
  });
});

describe("a workload whose pods stay", () => {
  const waitsFor = (kind: WorkloadKind, spec: unknown, status: unknown) =>
    projectWorkload(kind, { metadata: { name: "x", generation: 2 }, spec, status } as KubeObject).waitsFor;

  it.each<[WorkloadKind, unknown, Record<string, unknown>, string]>([
    ["Deployment", { paused: true }, { replicas: 2, updatedReplicas: 1 }, "Paused"],
    [
      "StatefulSet",
      { updateStrategy: { type: "OnDelete" } },
      { replicas: 2, updatedReplicas: 1 },
      "OnDelete",
    ],
    [
      "StatefulSet",
      { updateStrategy: { type: "RollingUpdate", rollingUpdate: { partition: 1 } } },
      { replicas: 2, updatedReplicas: 1 },
      "Partition",
    ],
    [
      "DaemonSet",
      { updateStrategy: { type: "OnDelete" } },
      { desiredNumberScheduled: 2, updatedNumberScheduled: 1 },
      "OnDelete",
    ],
  ])("%s with %j waits until all are new", (kind, spec, status, cause) => {
    expect(waitsFor(kind, spec, { observedGeneration: 1, ...status })).toBe(cause);
    expect(waitsFor(kind, spec, { observedGeneration: 2, ...status })).toBe(cause);
    const done = Object.fromEntries(Object.keys(status).map((name) => [name, 2]));
    expect(waitsFor(kind, spec, { observedGeneration: 2, ...done })).toBeUndefined();
    expect(waitsFor(kind, spec, { observedGeneration: 1, ...done })).toBe(cause);
  });

  it("is a Deployment whose new pods don't become ready in time", () => {
    const stuck = {
      observedGeneration: 2,
      replicas: 2,
      updatedReplicas: 2,
      conditions: [{ type: "Progressing", status: "False", reason: "ProgressDeadlineExceeded" }],
    };
    expect(waitsFor("Deployment", {}, stuck)).toBe("Stuck");
    // That was of the template before.
    expect(waitsFor("Deployment", {}, { ...stuck, observedGeneration: 1 })).toBeUndefined();
    expect(waitsFor("Deployment", {}, { ...stuck, conditions: [] })).toBeUndefined();
  });

  it("is being rolled out as long as its controller counts fewer new pods than there shall be", () => {
    const isRolling = (kind: WorkloadKind, status: object, spec: unknown = {}) =>
      projectWorkload(kind, {
        metadata: { name: "x", generation: 2 },
        spec,
        status: { observedGeneration: 2, ...status },
      } as KubeObject).isRolling;
    expect(isRolling("StatefulSet", { replicas: 1 })).toBe(true);
    expect(isRolling("StatefulSet", { replicas: 2, updatedReplicas: 1 })).toBe(true);
    expect(isRolling("StatefulSet", { replicas: 2, updatedReplicas: 2 })).toBe(false);
    expect(isRolling("DaemonSet", { desiredNumberScheduled: 2, updatedNumberScheduled: 1 })).toBe(true);
    expect(isRolling("StatefulSet", { replicas: 2, observedGeneration: 1 })).toBe(false);
    // A Deployment tells by itself when that doesn't go on, and these wait for somebody.
    expect(isRolling("Deployment", { replicas: 2, updatedReplicas: 1 })).toBe(false);
    expect(isRolling("StatefulSet", { replicas: 2 }, { updateStrategy: { type: "OnDelete" } })).toBe(false);
  });

  it("has none as soon as its controller says so", () => {
    const hasPods = (kind: WorkloadKind, status: unknown, spec: unknown = {}) =>
      projectWorkload(kind, { metadata: { name: "x", generation: 2 }, spec, status } as KubeObject).hasPods;
    expect(hasPods("Deployment", { observedGeneration: 2 })).toBe(false);
    expect(hasPods("Deployment", { observedGeneration: 1 })).toBe(true);
    expect(hasPods("Deployment", undefined)).toBe(true);
    expect(hasPods("Deployment", { observedGeneration: 2 }, { replicas: 1 })).toBe(true);
    expect(hasPods("Deployment", { observedGeneration: 2 }, { replicas: 0 })).toBe(false);
    expect(hasPods("DaemonSet", { observedGeneration: 2, desiredNumberScheduled: 1 })).toBe(true);
    expect(hasPods("StatefulSet", { observedGeneration: 2, replicas: 1 })).toBe(true);
    expect(hasPods("DaemonSet", { observedGeneration: 2, currentNumberScheduled: 0 })).toBe(false);
    expect(hasPods("DaemonSet", { observedGeneration: 2, numberMisscheduled: 1 })).toBe(true);
  });

  it("isn't one that its controller replaces by itself", () => {
    const status = { observedGeneration: 1, replicas: 2, updatedReplicas: 0 };
    expect(waitsFor("Deployment", {}, status)).toBeUndefined();
    expect(waitsFor("StatefulSet", { updateStrategy: { type: "RollingUpdate" } }, status)).toBeUndefined();
    expect(waitsFor("DaemonSet", { updateStrategy: { type: "RollingUpdate" } }, status)).toBeUndefined();
  });
});

describe("who reads a Secret", () => {
  const consumer = workload({ consumes: { db: "all" }, requires: { db: [] }, restartedFor: "m" });
  const pod = (
    more: { annotations?: Record<string, string>; deletionTimestamp?: string; containers?: unknown[] } = {},
  ) =>
    ({
      metadata: {
        name: "p",
        annotations: more.annotations ?? { "secretsync.dev/restarted-for": "m" },
        ...(more.deletionTimestamp ? { deletionTimestamp: more.deletionTimestamp } : {}),
      },
      spec: {
        containers: more.containers ?? [
          { name: "app", envFrom: [{ secretRef: { name: "db" } }] },
          { name: "files", volumeMounts: [{ name: "v" }] },
          { name: "proxy" },
        ],
        volumes: [{ name: "v", secret: { secretName: "db", optional: true } }],
      },
      status: {
        containerStatuses: [
          { name: "app", state: { running: { startedAt: "2026-05-01T00:00:00Z" } } },
          { name: "files", state: { running: { startedAt: "2026-05-01T00:00:01Z" } } },
          { name: "proxy", state: { running: { startedAt: "2026-05-01T00:00:02Z" } } },
        ],
      },
    }) as KubeObject;
  const started = Date.parse("2026-05-01T00:00:00Z");

  it("is each container that takes its environment or a volume from it, and runs", () => {
    expect(readersIn(pod(), consumer, "db")).toEqual([
      { startedAt: started, keys: "all", optional: false },
      { startedAt: started + 1_000, keys: "all", optional: true },
    ]);
    const other = { ...consumer, consumes: { ...consumer.consumes, other: "all" as const } };
    expect(readersIn(pod(), other, "other")).toEqual([]);
  });

  it("is nobody in a pod that ends, waits, or is of another template", () => {
    expect(readersIn(pod({ deletionTimestamp: "2026-05-01T00:00:00Z" }), consumer, "db")).toEqual([]);
    expect(readersIn(pod({ annotations: {} }), consumer, "db")).toEqual([]);
    expect(
      readersIn(
        pod({ containers: [{ name: "app", env: [] }] }),
        workload({ consumes: { db: ["k"] }, restartedFor: "m" }),
        "db",
      ),
    ).toEqual([]);
    const needing = { ...consumer, requires: { db: ["k"] } };
    expect(readersIn(pod(), needing, "db")).toEqual([]);
    // A pod that a webhook gave one more container is of the template all the same.
    const fewer = { ...consumer, consumes: { db: ["k"] } };
    expect(readersIn(pod(), fewer, "db")).toHaveLength(2);
    const status = {
      containerStatuses: [{ name: "app", state: { waiting: { reason: "CreateContainerConfigError" } } }],
    };
    expect(readersIn({ ...pod(), status } as KubeObject, consumer, "db")).toEqual([]);
  });

  it("is an init container that is done, and no other", () => {
    const preparing = {
      metadata: { name: "p" },
      spec: {
        initContainers: [
          {
            name: "prepare",
            env: [{ valueFrom: { secretKeyRef: { name: "db", key: "k", optional: true } } }],
          },
        ],
        containers: [{ name: "app", envFrom: [{ secretRef: { name: "db" } }] }],
      },
      status: {
        initContainerStatuses: [
          { name: "prepare", state: { terminated: { startedAt: "2026-05-01T00:00:00Z" } } },
        ],
        containerStatuses: [{ name: "app", state: { terminated: { startedAt: "2026-05-01T00:00:05Z" } } }],
      },
    } as KubeObject;
    const prepared = workload({ consumes: { db: "all" }, requires: { db: [] } });
    expect(readersIn(preparing, prepared, "db")).toEqual([
      { startedAt: started, keys: ["k"], optional: true },
    ]);
  });

  it("may be any container where the template shows none", () => {
    const listed = workload({ consumes: {}, restartedFor: "m" });
    expect(
      readersIn(pod({ containers: [{ name: "proxy" }] }), { ...listed, consumes: { v: "all" } }, "api"),
    ).toHaveLength(3);
  });
});
