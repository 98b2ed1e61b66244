import { describe, expect, it } from "@jest/globals";
import * as fc from "fast-check";
import { inspect } from "node:util";
import {
  isUnchanged,
  needs,
  plan,
  planFailure,
  planUnchanged,
  refreshMs,
  type Plan,
} from "../../src/plan/plan.ts";
import { buildContent } from "../../src/plan/content.ts";
import type { Observed } from "../../src/plan/observed.ts";
import { withheldKeys } from "../../src/plan/withheld.ts";
import { runToEnd, Work } from "../../src/plan/work.ts";
import type { Step } from "../../src/plan/step.ts";
import { versionsOf, type FetchedValues } from "../../src/plan/sources.ts";
import {
  afterApply,
  CANARY,
  failing,
  fetched,
  found,
  missing,
  observed,
  otherDigestKey,
  secretSteps,
  specOf,
  value,
} from "../support/gen.ts";

const applied = (made: Plan): Step & { kind: "applySecret" } => {
  const step = secretSteps(made)[0];
  if (step?.kind !== "applySecret") throw new Error(`no Secret is applied: ${made.verdict.message}`);
  return step;
};

/** An object whose Secret was written from what was fetched. */
function synced(before: Observed, text = "one", versionId = "v1"): Observed {
  const made = plan(before, fetched(before, found(text, versionId)));
  return {
    ...before,
    target: afterApply(applied(made), before.target),
    status: { observedGeneration: 1, secretRef: { name: "orders" }, lastChangeTime: before.now },
  };
}

describe("a first sync", () => {
  it("writes the whole Secret under our field manager, owned by the SecretSync", () => {
    const before = observed({}, { target: { template: { metadata: { labels: { team: "shop" } } } } });

    const made = plan(before, fetched(before, found("one")));

    const step = applied(made);
    expect(step).toMatchObject({
      name: "orders",
      namespace: "shop",
      fieldManager: "secretsync",
      type: "Opaque",
      labels: { team: "shop", "secretsync.dev/managed": "true" },
    });
    expect(step.ownerReferences).toMatchObject([
      { kind: "SecretSync", name: "orders", uid: "uid-1", controller: true },
    ]);
    expect(step).not.toHaveProperty("immutable");
    expect(step).not.toHaveProperty("createOnly");
    expect(step.data.get("password")?.reveal().toString()).toBe("one");
    expect(made.verdict).toMatchObject({ reason: "Synced" });
    const change = {
      kind: "created",
      at: before.now,
      trigger: "Created",
      keys: ["password"],
      doubt: { absent: true },
    };
    expect(made.change).toEqual(change);
    expect(made.record?.change).toEqual(change);
  });

  it("of a Secret that the watch may not have shown yet may only create it", () => {
    const before = observed({ targetUnseen: true });
    expect(applied(plan(before, fetched(before, found("one")))).createOnly).toBe(true);
  });

  it("asks for values at once", () => {
    expect(needs(observed())).toEqual({ kind: "values" });
  });

  it("with creationPolicy Orphan leaves the owner out", () => {
    const before = observed({}, { target: { creationPolicy: "Orphan" } });
    expect(applied(plan(before, fetched(before, found("one")))).ownerReferences).toEqual([]);
  });

  it("holds no value in anything that can be printed", () => {
    const before = observed();
    const made = plan(before, fetched(before, found(CANARY)));
    expect(JSON.stringify(made)).not.toContain(CANARY);
    expect(inspect(made, { depth: 20 })).not.toContain(CANARY);
    expect(JSON.stringify(made)).not.toContain(Buffer.from(CANARY).toString("base64"));
  });
});

describe("a refresh", () => {
  it("needs versions only, and none when they are the same", () => {
    const now = synced(observed());
    expect(needs(now)).toEqual({ kind: "versions" });
    const versions = versionsOf(fetched(now, found("one", "v1")));
    expect(isUnchanged(now, versions!)).toBe(true);
    expect(secretSteps(planUnchanged(now))).toEqual([]);
  });

  it("writes when the version changed, and names the keys that did", () => {
    const now = synced(observed());
    const made = plan(now, fetched(now, found("two", "v2")));
    expect(applied(made).uid).toBe("secret-uid");
    expect(made.change).toMatchObject({ kind: "updated", trigger: "Refresh", keys: ["password"] });
  });

  it("reports no change when a new version holds the same value", () => {
    const now = synced(observed());
    const made = plan(now, fetched(now, found("one", "v2")));
    expect(made.change).toBeUndefined();
    expect(secretSteps(made)).toHaveLength(1);
  });

  it("plans nothing for what it wrote itself, whatever the content", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.string(), { minKeys: 1, maxKeys: 8 }),
        (content) => {
          const before = observed({}, { data: undefined, dataFrom: [{ extract: { key: "prod/db" } }] });
          const payload = JSON.stringify(content);
          const now = synced(before, payload);
          const again = plan(now, fetched(now, found(payload)));
          expect(secretSteps(again)).toEqual([]);
          expect(again.change).toBeUndefined();
        },
      ),
    );
  });

  it("doesn't depend on the order of the entries", () => {
    const entries = [
      { secretKey: "a", remoteRef: { key: "k1" } },
      { secretKey: "b", remoteRef: { key: "k1" } },
    ];
    const digests = [entries, entries.toReversed()].map((data) => {
      const before = observed({}, { data });
      return plan(before, fetched(before, found("x"))).record?.digests;
    });
    expect(digests[0]).toEqual(digests[1]);
  });
});

describe("drift", () => {
  const base = () => synced(observed());

  it("is repaired when somebody took a key from our field manager", () => {
    const now = base();
    const target = { ...now.target!, owned: { secretsync: "other" } };
    expect(needs({ ...now, target })).toEqual({ kind: "values" });
    const made = plan({ ...now, target }, fetched(now, found("one")));
    expect(applied(made).data.get("password")?.reveal().toString()).toBe("one");
    expect(made.change?.kind).toBe("repaired");
  });

  it("is repaired when the Secret was deleted", () => {
    const now = { ...base(), target: undefined };
    expect(needs(now)).toEqual({ kind: "values" });
    expect(plan(now, fetched(now, found("one"))).change?.kind).toBe("repaired");
  });

  it("is repaired when the managed label or the owner reference is gone", () => {
    const now = base();
    expect(needs({ ...now, target: { ...now.target!, managed: false } }).kind).toBe("values");
    expect(needs({ ...now, target: { ...now.target!, ownerUids: [] } }).kind).toBe("values");
  });

  it("by a new digest key is no change of the content", () => {
    const now = { ...base(), digestKey: otherDigestKey };
    expect(needs(now).kind).toBe("values");
    const made = plan(now, fetched(now, found("one")));
    expect(secretSteps(made)).toHaveLength(1);
    expect(made.change).toBeUndefined();
    expect(made.record?.change).toEqual(now.target?.records["secretsync.dev/digests"]?.change);
  });
});

describe("a failure", () => {
  it.each(["AccessDenied", "ProviderUnreachable", "RateLimited"] as const)(
    "%s writes and deletes nothing",
    (reason) => {
      const now = synced(observed({}, { target: { deletionPolicy: "Delete" } }));
      const made = plan(now, fetched(now, failing(reason)));
      expect(secretSteps(made)).toEqual([]);
      expect(made.verdict.reason).toBe(reason);
      expect(made.verdict.message).toBe(
        "spec.data[0] (prod/db from SecretProvider/aws): the provider says no",
      );
    },
  );

  it("of one key keeps the whole old Secret", () => {
    const now = synced(
      observed(
        {},
        {
          data: [
            { secretKey: "a", remoteRef: { key: "k1" } },
            { secretKey: "b", remoteRef: { key: "k2" } },
          ],
        },
      ),
    );
    const made = plan(now, fetched(now, found("new", "v2"), failing()));
    expect(secretSteps(made)).toEqual([]);
    expect(made.verdict.message).toContain("spec.data[1] (k2 from SecretProvider/aws)");
  });

  it("keeps the record, so that restarts that are due still happen", () => {
    const now = synced(observed());
    expect(plan(now, fetched(now, failing())).record).toEqual(Object.values(now.target!.records)[0]);
  });
});

describe("deletionPolicy", () => {
  const two = {
    data: [
      { secretKey: "a", remoteRef: { key: "k1" } },
      { secretKey: "b", remoteRef: { key: "k2" } },
    ],
  };
  const withPolicy = (deletionPolicy: string) => synced(observed({}, { ...two, target: { deletionPolicy } }));

  it("Retain keeps everything when a secret is gone", () => {
    const now = withPolicy("Retain");
    const made = plan(now, fetched(now, missing));
    expect(secretSteps(made)).toEqual([]);
    expect(made.verdict.reason).toBe("SecretNotFound");
  });

  it("Delete deletes that very Secret when all secrets are gone", () => {
    const now = withPolicy("Delete");
    const made = plan(now, fetched(now, missing));
    expect(secretSteps(made)).toEqual([
      { kind: "deleteSecret", name: "orders", namespace: "shop", uid: "secret-uid", resourceVersion: "1" },
    ]);
    expect(made.verdict.reason).toBe("Deleted");
  });

  it("Delete keeps everything while one secret is left", () => {
    const now = withPolicy("Delete");
    expect(secretSteps(plan(now, fetched(now, missing, found("one"))))).toEqual([]);
    expect(secretSteps(plan(now, fetched(now, missing, failing())))).toEqual([]);
  });

  it.each([false, true])(
    "Delete keeps everything while one is left that lacks its property (reversed: %s)",
    (reverse) => {
      const data = [
        { secretKey: "a", remoteRef: { key: "k1" } },
        { secretKey: "b", remoteRef: { key: "k2", property: "p" } },
      ];
      const spec = { data: reverse ? data.toReversed() : data, target: { deletionPolicy: "Delete" } };
      const now = synced(observed({}, spec), '{"p":"x"}');
      const results = [missing, found('{"q":"x"}', "v2")];
      const made = plan(now, fetched(now, ...(reverse ? results.toReversed() : results)));
      expect(secretSteps(made)).toEqual([]);
      expect(made.verdict.reason).not.toBe("Deleted");
    },
  );

  it("Delete takes a key that was never right for a mistake, and one that was deleted for deleted", () => {
    const mistyped = observed({}, { ...two, target: { deletionPolicy: "Delete" } });
    const written = withPolicy("Delete");
    const gone = { ...written, target: undefined };
    const reasonOf = (now: Observed) => plan(now, fetched(now, missing)).verdict.reason;
    const told = (reason: string): Observed["status"] => ({
      conditions: [{ type: "Ready", status: "True", reason, message: "m", lastTransitionTime: "t" }],
    });
    expect(reasonOf(mistyped)).toBe("SecretNotFound");
    expect(reasonOf({ ...mistyped, status: told("SecretNotFound") })).toBe("SecretNotFound");
    expect(reasonOf(gone)).toBe("Deleted");
    expect(reasonOf({ ...gone, status: told("Deleted") })).toBe("Deleted");
    // Written before a crash, and status never told.
    expect(reasonOf({ ...written, status: {} })).toBe("Deleted");
  });

  it("Merge doesn't make an empty Secret of a first sync that finds nothing", () => {
    const now = observed({}, { ...two, target: { deletionPolicy: "Merge" } });
    const made = plan(now, fetched(now, missing));
    expect(secretSteps(made)).toEqual([]);
    expect(made.verdict.reason).toBe("SecretNotFound");
  });

  it.each(["Retain", "Merge", "Delete"])(
    "%s takes no empty object for keys that are gone",
    (deletionPolicy) => {
      const spec = { data: undefined, dataFrom: [{ extract: { key: "k" } }], target: { deletionPolicy } };
      const now = synced(observed({}, spec), '{"a":"x"}');
      const made = plan(now, fetched(now, found("{}", "v2")));
      expect(secretSteps(made)).toEqual([]);
      expect(made.verdict.reason).toBe("PropertyNotFound");
    },
  );

  it("Delete never deletes a Secret that isn't ours", () => {
    const now = withPolicy("Delete");
    const made = plan({ ...now, target: { ...now.target!, owner: "other" } }, fetched(now, missing));
    expect(secretSteps(made)).toEqual([]);
  });

  it("Delete doesn't take a missing property for a missing secret", () => {
    const now = synced(
      observed(
        {},
        {
          data: [{ secretKey: "a", remoteRef: { key: "k", property: "p" } }],
          target: { deletionPolicy: "Delete" },
        },
      ),
      '{"p":"x"}',
    );
    const made = plan(now, fetched(now, found('{"q":"x"}', "v2")));
    expect(secretSteps(made)).toEqual([]);
    expect(made.verdict.reason).toBe("PropertyNotFound");
  });

  it("Merge removes also the last key, once every secret is gone", () => {
    for (const creationPolicy of ["Owner", "Orphan"]) {
      const spec = { ...two, target: { deletionPolicy: "Merge", creationPolicy } };
      const now = synced(observed({}, spec));
      const made = plan(now, fetched(now, missing, missing));
      expect([...applied(made).data.keys()]).toEqual([]);
      expect(made.verdict.reason).toBe("Synced");
      expect(made.change).toMatchObject({ kind: "updated", keys: ["a", "b"] });
    }
  });

  it("Merge keeps the last key while its secret is there and only gives nothing", () => {
    const data = ["a", "b"].map((key) => ({ secretKey: key, remoteRef: { key: "k", property: key } }));
    const now = synced(observed({}, { data, target: { deletionPolicy: "Merge" } }), '{"a":"x","b":"y"}');
    const made = plan(now, fetched(now, found("{}", "v2")));
    expect(secretSteps(made)).toEqual([]);
    expect(made.verdict.reason).toBe("PropertyNotFound");
  });

  describe.each(["Merge", "Delete"])(
    "%s takes what was never read from there for a mistake",
    (deletionPolicy) => {
      const inIreland = { place: "AWS Secrets Manager in eu-west-1" };
      const json = '{"a":"x","b":"y"}';
      const read = (key: string, property?: string) => ({
        remoteRef: { key, ...(property ? { property } : {}) },
      });
      const withSpec = (spec: Record<string, unknown>) =>
        observed({}, { data: undefined, ...spec, target: { deletionPolicy } });
      const was = (spec: Record<string, unknown>, text = "one") => {
        const before = withSpec(spec);
        const made = plan(before, fetched(before, { ...found(text), ...inIreland }));
        return {
          target: afterApply(applied(made), before.target),
          status: { observedGeneration: 1, secretRef: { name: "orders" }, lastChangeTime: before.now },
        };
      };
      const both = {
        data: [
          { secretKey: "a", ...read("k1") },
          { secretKey: "b", ...read("k2") },
        ],
      };
      const nowhere = { ...missing, ...inIreland };

      it.each([
        [
          "a key",
          both,
          "one",
          {
            data: [
              { secretKey: "a", ...read("typo") },
              { secretKey: "b", ...read("typo2") },
            ],
          },
          nowhere,
          "SecretNotFound",
        ],
        [
          "a region",
          both,
          "one",
          both,
          { ...missing, place: "AWS Secrets Manager in eu-west-2" },
          "SecretNotFound",
        ],
        ["a provider", both, "one", { ...both, providerRef: { name: "typo" } }, nowhere, "SecretNotFound"],
        [
          "a version",
          both,
          "one",
          { data: [{ secretKey: "a", remoteRef: { key: "k1", versionStage: "TYPO" } }] },
          nowhere,
          "SecretNotFound",
        ],
        [
          "the key of an extract",
          { dataFrom: [{ extract: { key: "k" } }] },
          json,
          { dataFrom: [{ extract: { key: "typo" } }] },
          nowhere,
          "SecretNotFound",
        ],
        [
          "a property",
          {
            data: [
              { secretKey: "a", ...read("k", "a") },
              { secretKey: "b", ...read("k", "b") },
            ],
          },
          json,
          {
            data: [
              { secretKey: "a", ...read("k", "typo") },
              { secretKey: "b", ...read("k", "b") },
            ],
          },
          { ...found(json), ...inIreland },
          "PropertyNotFound",
        ],
      ] as const)("%s", (_what, before, text, after, result, reason) => {
        const now = { ...withSpec(after), ...was(before, text) };
        const made = plan(now, fetched(now, result));
        expect(secretSteps(made)).toEqual([]);
        // Delete never takes a property for a secret.
        const isSecret = deletionPolicy === "Merge" || reason === "SecretNotFound";
        const message = expect.stringContaining(isSecret ? "stays as it is" : "correct the property");
        expect(made.verdict).toMatchObject({ reason, message });
      });

      it("but what was read from there once is gone, also after the others changed", () => {
        const before = { ...withSpec(both), ...was(both) };
        const changed = plan(before, fetched(before, { ...found("two", "v2"), ...inIreland }));
        const now = { ...before, target: afterApply(applied(changed), before.target) };
        expect(plan(now, fetched(now, nowhere)).verdict.reason).toBe(
          deletionPolicy === "Delete" ? "Deleted" : "Synced",
        );
      });

      it("and a record of an earlier version, which doesn't tell, lets the policy rule", () => {
        const before = was(both);
        const records = Object.fromEntries(
          Object.entries(before.target.records).flatMap(([name, record]) =>
            record ? [[name, { ...record, seen: undefined }] as const] : [],
          ),
        );
        const now = { ...withSpec(both), ...before, target: { ...before.target, records } };
        expect(plan(now, fetched(now, nowhere)).verdict.reason).toBe(
          deletionPolicy === "Delete" ? "Deleted" : "Synced",
        );
      });
    },
  );

  it("Merge goes on without what is gone, whatever else of the spec changes, and leaves out what isn't there yet", () => {
    const entry = (key: string) => ({ secretKey: key, remoteRef: { key } });
    const target = { deletionPolicy: "Merge" };
    const first = synced(observed({}, { data: [entry("a"), entry("b")], target }));
    const without = plan(first, fetched(first, missing, found("one")));
    expect([...applied(without).data.keys()]).toEqual(["b"]);
    const then = {
      ...observed({}, { data: [entry("a"), entry("b"), entry("c"), entry("new")], target }),
      target: afterApply(applied(without), first.target),
    };
    const more = plan(then, fetched(then, missing, found("one"), found("three"), missing));
    expect([...applied(more).data.keys()].sort()).toEqual(["b", "c"]);
    // Gone again after it came back: it was read from there.
    const back = { ...then, target: afterApply(applied(more), then.target) };
    const again = plan(back, fetched(back, found("one"), found("one"), found("three"), missing));
    const last = { ...back, target: afterApply(applied(again), back.target) };
    expect([
      ...applied(plan(last, fetched(last, missing, found("one"), missing, missing))).data.keys(),
    ]).toEqual(["b"]);
  });

  it("Merge doesn't take a default for something that was read", () => {
    const target = { deletionPolicy: "Merge" };
    const withDefault = { secretKey: "a", remoteRef: { key: "k1" }, default: "d" };
    const first = synced(
      observed({}, { data: [withDefault, { secretKey: "b", remoteRef: { key: "k2" } }], target }),
    );
    const once = plan(first, fetched(first, missing, found("one")));
    const { default: _, ...bare } = withDefault;
    const now = {
      ...observed(
        {},
        {
          data: [
            { ...bare, remoteRef: { key: "k3" } },
            { secretKey: "b", remoteRef: { key: "k2" } },
          ],
          target,
        },
      ),
      target: afterApply(applied(once), first.target),
    };
    expect(plan(now, fetched(now, missing, found("one"))).verdict.reason).toBe("SecretNotFound");
  });

  it("Merge removes the keys that are gone", () => {
    const now = withPolicy("Merge");
    const made = plan(now, fetched(now, missing, found("one")));
    expect([...applied(made).data.keys()]).toEqual(["b"]);
    expect(made.change).toMatchObject({ kind: "updated", keys: ["a"] });
  });
});

describe("the target", () => {
  it("of somebody else is left alone, with the way to hand it over", () => {
    const foreign = { ...synced(observed()).target!, managed: false, owner: undefined, records: {} };
    const need = needs(observed({ target: foreign }));
    expect(need.kind === "nothing" && need.plan.verdict).toMatchObject({
      reason: "TargetConflict",
      message: expect.stringContaining("kubectl annotate secret orders secretsync.dev/owner=orders"),
    });
  });

  it("that was handed over is taken", () => {
    const handedOver = { ...synced(observed()).target!, managed: false, owner: "orders", records: {} };
    expect(needs(observed({ target: handedOver }))).toEqual({ kind: "values" });
  });

  it("of a SecretSync that is gone is taken", () => {
    const orphan = { ...synced(observed()).target!, owner: "gone" };
    expect(needs(observed({ target: orphan })).kind).toBe("values");
  });

  it.each([
    ["our label without an owner", { managed: true, owner: undefined }],
    ["somebody's owner without our label", { managed: false, owner: "gone" }],
  ])("with %s is somebody else's", (_case, marks) => {
    const need = needs(observed({ target: { ...synced(observed()).target!, ...marks } }));
    expect(need.kind === "nothing" && need.plan.verdict.reason).toBe("TargetConflict");
  });

  it("is refused to who has not the best claim, and told by the name of who has", () => {
    const other = { ...synced(observed()), winner: "older" };
    const need = needs(other);
    expect(need.kind === "nothing" && need.plan.verdict).toMatchObject({
      reason: "TargetConflict",
      message: expect.stringContaining("written by SecretSync older"),
    });
  });

  it("that is immutable is written once", () => {
    const now = synced(observed({}, { target: { immutable: true } }));
    // The apiserver knows whether it is: a Secret that was written before the spec said so is not.
    expect(applied(plan(now, fetched(now, found("two", "v2")))).immutable).toBe(true);
  });

  it("that was renamed: the old one goes after the new one is written, if it is ours", () => {
    const before = synced(observed());
    const renamed = observed(
      { abandoned: before.target, status: before.status },
      { target: { name: "new" } },
    );
    const made = plan(renamed, fetched(renamed, found("one")));
    expect(secretSteps(made).map(({ kind, name }) => [kind, name])).toEqual([
      ["applySecret", "new"],
      ["deleteSecret", "orders"],
    ]);
    const foreign = { ...renamed, abandoned: { ...before.target!, ownerUids: [] } };
    expect(secretSteps(plan(foreign, fetched(renamed, found("one"))))).toHaveLength(1);
  });

  it("of type Merge must exist, is marked by uid, and keeps its own type", () => {
    const spec = { target: { creationPolicy: "Merge" } };
    const need = needs(observed({}, spec));
    expect(need.kind === "nothing" && need.plan.verdict.reason).toBe("TargetNotFound");
    const foreign = {
      ...synced(observed()).target!,
      managed: false,
      owner: undefined,
      records: {},
      owned: {},
    };
    const now = observed({ target: foreign }, spec);
    expect(needs(now).kind).toBe("values");
    const step = applied(plan(now, fetched(now, found("one"))));
    expect(step.type).toBeUndefined();
    expect(step.fieldManager).toBe("secretsync-merge-uid-1");
    expect(Object.keys(step.annotations)).toEqual(["secretsync.dev/digests-uid-1"]);
    expect(step.ownerReferences).toEqual([]);
  });

  it.each(["secretsync-merge-uid-2", "secretsync"])(
    "of type Merge doesn't take a key of another SecretSync, %s",
    (manager) => {
      const target = { ...synced(observed()).target!, owner: "other", dataKeys: { [manager]: ["password"] } };
      const now = observed({ target, otherManagers: [manager] }, { target: { creationPolicy: "Merge" } });
      const made = plan(now, fetched(now, found("one")));
      expect(made.verdict).toMatchObject({
        reason: "TargetConflict",
        message: expect.stringContaining('"password"'),
      });
    },
  );
});

describe("another digest key", () => {
  const rekeyed = (versionId: string) => {
    const now = { ...synced(observed()), digestKey: otherDigestKey };
    return plan(now, fetched(now, found("one", versionId)));
  };

  it("is no change of the content as long as the versions are the same", () => {
    expect(rekeyed("v1").change).toBeUndefined();
    expect(rekeyed("v1").record?.change?.kind).toBe("created");
  });

  it("hides no change: what can't be compared isn't equal", () => {
    expect(rekeyed("v2").change).toMatchObject({ kind: "updated", keys: ["password"] });
  });
});

describe("what pods may have been started with", () => {
  const seen = "2026-04-30T00:00:05.000Z";
  const edited = "2026-04-30T00:00:03.000Z";
  const drifted = (more: Partial<Observed> = {}, editedAt?: string): Observed => {
    const now = synced(observed());
    return { ...now, target: { ...now.target!, owned: { secretsync: "other" }, editedAt }, ...more };
  };
  const doubt = (now: Observed) => {
    const { change } = plan(now, fetched(now, found("one")));
    return change?.kind === "deleted" ? undefined : change?.doubt;
  };

  it("is nothing before the first write, and since then what the Secret holds", () => {
    expect(doubt(observed())).toEqual({ absent: true });
    expect(doubt(synced(observed()))).toBeUndefined();
  });

  it("is nothing from when the Secret was seen to be gone", () => {
    expect(doubt({ ...synced(observed()), target: undefined, driftSince: seen })).toEqual({
      absent: true,
      since: seen,
    });
  });

  it("is what somebody wrote into it: from when that was seen, or earlier, as managedFields tell", () => {
    expect(doubt(drifted())).toEqual({ absent: false });
    expect(doubt(drifted({ driftSince: seen }))).toEqual({ absent: false, since: seen });
    expect(doubt(drifted({}, edited))).toEqual({ absent: false, since: edited });
    expect(doubt(drifted({ driftSince: seen }, edited))).toEqual({ absent: false, since: edited });
    expect(doubt(drifted({ driftSince: edited }, seen))).toEqual({ absent: false, since: edited });
  });

  it("is that also when a new spec is what brings the repair", () => {
    const now = drifted({ driftSince: seen });
    const resumed = { ...now, metadata: { ...now.metadata, generation: 2 } };
    expect(plan(resumed, fetched(resumed, found("one"))).change).toMatchObject({
      kind: "repaired",
      doubt: { absent: false, since: seen },
    });
  });
});

describe("a target that", () => {
  it("something else controls is refused to an owner, with the ways out, and no other", () => {
    const target = { ...synced(observed()).target!, controlledBy: "ExternalSecret/orders" };
    const need = needs(observed({ target }));
    expect(need.kind === "nothing" && need.plan.verdict).toMatchObject({
      reason: "TargetConflict",
      message: expect.stringContaining("ExternalSecret/orders"),
    });
    expect(needs(observed({ target }, { target: { creationPolicy: "Orphan" } })).kind).toBe("values");
  });

  it("64 merge into already is refused to the next, and to none of them", () => {
    const target = synced(observed()).target!;
    const record = Object.values(target.records)[0];
    const mergers = Array.from({ length: 64 }, (_, index) => `secretsync.dev/digests-uid-${index}`);
    const records = Object.fromEntries(mergers.map((name) => [name, record]));
    const merge = { target: { creationPolicy: "Merge" } };
    const full = { ...target, records };
    expect(needs(observed({ target: full }, merge)).kind).not.toBe("nothing");
    const { "secretsync.dev/digests-uid-1": _ours, ...others } = records;
    const need = needs(observed({ target: { ...target, records: { ...others, x: record } } }, merge));
    expect(need.kind === "nothing" && need.plan.verdict).toMatchObject({
      reason: "TargetConflict",
      message: expect.stringContaining("64 SecretSyncs"),
    });
  });
});

describe("what is left on a Secret", () => {
  const merge = { target: { creationPolicy: "Merge" } };
  const left = (made: ReturnType<typeof plan>) =>
    secretSteps(made).flatMap((step) =>
      step.kind === "releaseSecret" ? [`${step.name} ${step.fieldManager}`] : [],
    );

  it("by a SecretSync that now merges is given up, its owner reference too", () => {
    const { target } = synced(observed());
    const now = observed({ target }, merge);
    const made = plan(now, fetched(now, found("one")));
    expect(secretSteps(made)[0]).toMatchObject({
      kind: "applySecret",
      fieldManager: "secretsync-merge-uid-1",
    });
    expect(left(made)).toEqual(["orders secretsync"]);
  });

  it("by a SecretSync that merged and now writes the whole is given up", () => {
    const merged = observed({ target: synced(observed()).target }, merge);
    const step = applied(plan(merged, fetched(merged, found("one"))));
    const target = { ...afterApply(step), owner: "orders" };
    const now = observed({ target });
    expect(left(plan(now, fetched(now, found("one"))))).toEqual(["orders secretsync-merge-uid-1"]);
  });

  it("by SecretSyncs that are gone is given up, and takes no key from those that live", () => {
    const base = synced(observed()).target!;
    const dead = "secretsync-merge-dead";
    const target = { ...base, owned: { ...base.owned, [dead]: "x" }, dataKeys: { [dead]: ["password"] } };
    const now = observed({ target, otherManagers: ["secretsync-merge-alive"] });
    const made = plan(now, fetched(now, found("two", "v2")));
    expect(applied(made).data.has("password")).toBe(true);
    expect(left(made)).toEqual([`orders ${dead}`]);
    const alive = { ...now, otherManagers: [dead] };
    expect(left(plan(alive, fetched(alive, found("two", "v2"))))).toEqual([]);
  });

  it.each([[["secretsync"]], [[]]])("is nothing of another SecretSync's (%j)", (otherManagers) => {
    const { target } = synced(observed());
    const now = observed({ target: { ...target!, owner: "other" }, otherManagers }, merge);
    expect(left(planUnchanged(now))).toEqual([]);
  });

  it("is nothing of anybody else's", () => {
    const base = synced(observed()).target!;
    const now = observed({ target: { ...base, owned: { ...base.owned, "kubectl-edit": "x" } } });
    expect(left(planUnchanged(now))).toEqual([]);
  });

  it("under a name that was merged into before is given up", () => {
    const base = synced(observed()).target!;
    const abandoned = { ...base, name: "old", owner: undefined, owned: { "secretsync-merge-uid-1": "x" } };
    const now = observed({ abandoned, target: base }, merge);
    expect(left(plan(now, fetched(now, found("one"))))).toContain("old secretsync-merge-uid-1");
  });
});

describe("a Secret of another SecretSync that keys were merged into", () => {
  const foreign = { ...synced(observed()).target!, owner: "other", records: {}, owned: {} };
  const before = observed({ target: foreign }, { target: { creationPolicy: "Merge" } });
  const values = fetched(before, found("one"));
  const merged = { ...afterApply(applied(plan(before, values)), foreign), owner: "other" };

  it("is unchanged until somebody touches what was merged", () => {
    const now = { ...before, target: merged };
    expect(needs(now).kind).toBe("versions");
    expect(isUnchanged(now, versionsOf(values)!)).toBe(true);
    const touched = { ...now, target: { ...merged, owned: { "secretsync-merge-uid-1": "less" } } };
    expect(isUnchanged(touched, versionsOf(values)!)).toBe(false);
  });

  it("is read anew under a new digest key", () => {
    expect(needs({ ...before, target: merged, digestKey: otherDigestKey }).kind).toBe("values");
  });
});

describe("a Secret that gives power", () => {
  it("is never merged into", () => {
    const { target } = synced(observed());
    const need = needs(observed({ target, targetRefused: true }, { target: { creationPolicy: "Merge" } }));
    expect(need.kind === "nothing" && need.plan.verdict.reason).toBe("TargetConflict");
  });

  it.each(["Owner", "Merge"])("is never made of a Helm release's name, by policy %s", (creationPolicy) => {
    const now = observed({}, { target: { creationPolicy } });
    const named = { ...now, metadata: { ...now.metadata, name: "sh.helm.release.v1.app.v2" } };
    const need = needs(named);
    expect(need.kind === "nothing" && need.plan.verdict.message).toContain("Helm");
  });
});

describe("notes of another SecretSync on the target", () => {
  it("are none of ours: they tell no change and restart nothing", () => {
    const { target } = synced(observed());
    const now = observed({ target: { ...target!, owner: "other" } });
    expect(planFailure(now, { reason: "TargetConflict", message: "m" }).record).toBeUndefined();
  });
});

describe("a find that may no longer see everything", () => {
  const spec = { data: undefined, dataFrom: [{ find: { tags: { team: "a" } } }] };
  const matches = (names: readonly string[], forbidden: readonly string[] = []): FetchedValues =>
    new Map(
      observed({}, spec).sources.map(({ id }) => [
        id,
        {
          kind: "matches" as const,
          forbidden,
          secrets: new Map(
            names.map((name) => [name, { value: value(name), versionId: "v", versionStages: [] }]),
          ),
        },
      ]),
    );
  const before = observed({}, spec);
  const now = {
    ...before,
    target: afterApply(applied(plan(before, matches(["a", "b"])))),
    status: { observedGeneration: 1 },
  };
  const withheldIn = (observation: typeof now, fetched: FetchedValues, data: readonly string[]) =>
    runToEnd(withheldKeys(observation, fetched, new Map(data.map((key) => [key, undefined])), new Work()));
  const planned = (observation: typeof now, fetched: FetchedValues) => {
    const content = buildContent(observation.spec, fetched);
    const data = content.kind === "data" ? [...content.data.keys()] : [];
    const withheld = [...(withheldIn(observation, fetched, data) ?? [])];
    return plan(observation, fetched, content, new Map(withheld.map((key) => [key, value(key)])));
  };

  it("keeps what it may no longer read, and writes all else", () => {
    const made = planned(now, matches(["a", "c"], ["b"]));
    expect([...applied(made).data].map(([key, bytes]) => [key, bytes.reveal().toString()])).toEqual([
      ["a", "a"],
      ["c", "c"],
      ["b", "b"],
    ]);
    expect(made.verdict).toMatchObject({
      reason: "KeyNotAllowed",
      message: expect.stringContaining('"b"'),
      withheld: ["b"],
    });
  });

  it("looks again each time, as long as that is so", () => {
    const again = { ...now, target: afterApply(applied(planned(now, matches(["a"], ["b"]))), now.target) };
    expect(isUnchanged(again, versionsOf(matches(["a"], ["b"]))!)).toBe(false);
    expect(planned(again, matches(["a"], ["b"])).verdict.withheld).toEqual(["b"]);
    expect([...applied(planned(again, matches(["a"]))).data.keys()]).toEqual(["a"]);
  });

  it("doesn't hold back the end of secrets that are gone, whatever else matches and may not be read", () => {
    expect([...applied(planned(now, matches(["a"]))).data.keys()]).toEqual(["a"]);
    const foreign = planned(now, matches(["a"], ["dev/enemy/anything"]));
    expect([...applied(foreign).data.keys()]).toEqual(["a"]);
    expect(foreign.verdict.reason).toBe("Synced");
  });

  it("tells nobody whether a name exists: it counts only where its key came from that very name", () => {
    const renamed = { data: undefined, dataFrom: [{ ...spec.dataFrom[0], rewrite: toX }] };
    const first = observed({}, renamed);
    const owning = {
      ...first,
      target: afterApply(applied(plan(first, rename(matches(["mine"]))))),
      status: { observedGeneration: 1 },
    };
    expect([...(withheldIn(owning, rename(matches([], ["theirs"])), []) ?? [])]).toEqual([]);
    expect([...(withheldIn(owning, rename(matches([], ["mine"])), []) ?? [])]).toEqual(["x"]);
    function rename(values: FetchedValues): FetchedValues {
      return new Map(first.sources.map(({ id }) => [id, [...values.values()][0]!]));
    }
  });
  const toX = [{ regexp: { source: "^.*$", target: "x" } }];

  it("deletes nothing when all that matched may no longer be read", () => {
    const deleting = { ...observed({}, { ...spec, target: { deletionPolicy: "Delete" } }) };
    const owning = {
      ...deleting,
      target: afterApply(applied(plan(deleting, matches(["a"])))),
      status: { observedGeneration: 1 },
    };
    const made = planned(owning, matches([], ["a"]));
    expect([secretSteps(made), made.verdict.reason]).toEqual([[], "KeyNotAllowed"]);
    expect(planned(owning, matches([], ["other"])).change).toEqual({ kind: "deleted" });
  });

  it("looks at nothing where no find gave a key, or under another digest key", () => {
    const { target } = now;
    const records = (more: object) =>
      Object.fromEntries(
        Object.entries(target.records).map(([name, record]) => [name, record && { ...record, ...more }]),
      );
    for (const more of [{ found: [] }, { key: "another" }]) {
      const observation = { ...now, target: { ...target, records: records(more) } };
      expect(withheldIn(observation, matches(["a"], ["b"]), ["a"])).toEqual(new Set());
    }
  });

  it("can't tell where it takes too much work, and lets others have turns before", () => {
    const many = Array.from({ length: 30_000 }, (_, index) => String(index).padStart(60, "x"));
    const steps = withheldKeys(now, matches(["a"], [...many, "b"]), new Map([["a", undefined]]), new Work());
    let turns = 0;
    while (!steps.next().done) turns++;
    expect(turns).toBeGreaterThan(0);
    const spent = new Work(10);
    expect(
      runToEnd(withheldKeys(now, matches(["a"], many), new Map([["a", undefined]]), spent)),
    ).toBeUndefined();
  });

  it("stops looking when it has found all that is lost", () => {
    expect(withheldIn(now, matches([], ["a", "b", "c", "d"]), [])).toEqual(new Set(["a", "b"]));
  });

  it("takes as a merger no more keys than it may add", () => {
    const merge = { ...spec, target: { creationPolicy: "Merge" } };
    const observation = observed({ target: { ...now.target, records: {} } }, merge);
    const names = Array.from({ length: 257 }, (_, index) => `k${index}`);
    expect(planned(observation as typeof now, matches(names)).verdict).toMatchObject({
      reason: "TooLarge",
      message: expect.stringContaining("adds 257 keys"),
    });
  });

  it("says the same whether nothing matches or nothing that matches may be read", () => {
    const verdict = (forbidden: readonly string[]) =>
      planned(before as typeof now, matches([], forbidden)).verdict;
    expect(verdict(["prod/shop/stripe"])).toEqual(verdict([]));
    expect(verdict([]).reason).toBe("SecretNotFound");
  });
});

describe("a new spec", () => {
  it("that changes what isn't content is no change and no repair", () => {
    const before = synced(observed());
    const now = observed(
      { target: before.target, status: before.status, metadata: { ...before.metadata, generation: 2 } },
      { target: { creationPolicy: "Orphan" } },
    );
    const made = plan(now, fetched(now, found("one")));
    expect(applied(made).ownerReferences).toEqual([]);
    expect(made.change).toBeUndefined();
  });
});

describe("the interval of refreshes", () => {
  it.each([
    ["30s", 30_000],
    ["0s", undefined],
    // As an older CRD may have let it in.
    ["1ms", 1_000],
  ])("of %s is %s ms", (refreshInterval, milliseconds) => {
    expect(refreshMs({ spec: { ...specOf(), refreshInterval }, leastRefreshMs: 0 })).toBe(milliseconds);
  });
});

describe("suspend", () => {
  it("reads and writes nothing", () => {
    const need = needs(observed({}, { suspend: true }));
    expect(need).toMatchObject({ kind: "nothing", plan: { steps: [], verdict: { reason: "Suspended" } } });
  });
});

describe("what changed", () => {
  it("of very many keys is told as many", () => {
    const before = observed({}, { data: undefined, dataFrom: [{ extract: { key: "k" } }] });
    const payload = (value: string) =>
      JSON.stringify(Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`k${index}`, value])));
    const now = synced(before, payload("a"));
    expect(plan(now, fetched(now, found(payload("b"), "v2"))).change).toMatchObject({
      kind: "updated",
      keys: ["(many)"],
    });
  });

  it("of nothing fetched is a missing secret", () => {
    const before = observed({}, { data: undefined, dataFrom: [{ extract: { key: "k", property: "p" } }] });
    expect(plan(before, new Map()).verdict.reason).toBe("SecretNotFound");
    expect(plan(before, fetched(before, found('{"q":1}'))).verdict.reason).toBe("PropertyNotFound");
    expect(plan(before, fetched(before, found('{"p":{"a":"x"}}'))).record?.digests).toHaveProperty("a");
  });

  it("of a member that doesn't decode is told by its name", () => {
    const before = observed(
      {},
      { data: undefined, dataFrom: [{ extract: { key: "k", decodingStrategy: "Base64" } }] },
    );
    expect(plan(before, fetched(before, found('{"p":"!"}'))).verdict.message).toContain(
      '"p" is not valid Base64',
    );
  });
});

describe("consumers", () => {
  const kinds = ({ steps }: Plan) => steps.map(({ kind }) => kind);
  const consumersOf = (made: Plan) =>
    made.steps.flatMap((step) => ("consumers" in step ? [step.consumers] : []));

  it("are restarted after a first write, and before it there is nothing to note", () => {
    const now = observed();
    expect(kinds(plan(now, fetched(now, found("one"))))).toEqual(["applySecret", "restartConsumers"]);
  });

  it("are noted before another content is written, with the record of what they have", () => {
    const now = synced(observed());
    const made = plan(now, fetched(now, found("two", "v2")));
    expect(kinds(made)).toEqual(["noteConsumers", "applySecret", "restartConsumers"]);
    expect(made.steps[0]).toMatchObject({
      record: now.target?.records["secretsync.dev/digests"],
      touch: false,
    });
    expect(made.steps[2]).toMatchObject({ record: made.record });
  });

  it("are noted before the same content is written under another digest key, and not before any other such write", () => {
    const now = synced(observed());
    const other = { ...now, digestKey: otherDigestKey };
    expect(plan(other, fetched(other, found("one"))).steps[0]).toMatchObject({
      kind: "noteConsumers",
      touch: true,
    });
    expect(kinds(plan(now, fetched(now, found("one", "v2"))))).toEqual(["applySecret", "restartConsumers"]);
  });

  it("are looked at whenever there is content, whatever else fails, and never while suspended", () => {
    const now = synced(observed());
    expect(kinds(planUnchanged(now))).toEqual(["restartConsumers"]);
    expect(kinds(plan(now, fetched(now, failing())))).toEqual(["restartConsumers"]);
    expect(kinds(plan(observed(), fetched(observed(), failing())))).toEqual([]);
    const suspended = { ...now, spec: specOf({ suspend: true }) };
    expect(needs(suspended)).toMatchObject({ plan: { steps: [] } });
  });

  it("are those of the Secret, or of the keys that are merged into it, with those that status tells of", () => {
    const history = [
      { time: "2026-05-01T00:00:00Z", trigger: "Refresh", keys: [], workloads: ["Deployment/a"] },
      { time: "2026-05-01T00:00:00Z", trigger: "Refresh", keys: [] },
    ];
    const restart = { policy: "None" };
    const now = { ...observed({}, { restart }), status: { history } as never };
    const made = plan(now, fetched(now, found("one")));
    expect(consumersOf(made)).toEqual([
      { namespace: "shop", part: { secretName: "orders", mergedBy: undefined }, policy: now.spec.restart },
    ]);
    expect(made.steps.at(-1)).toMatchObject({ told: new Set(["Deployment/a"]) });
    const merging = observed({ target: now.target }, { target: { creationPolicy: "Merge", name: "db" } });
    const foreign = { ...merging, target: synced(observed()).target };
    expect(consumersOf(plan(foreign, fetched(foreign, found("one"))))[0]?.part).toEqual({
      secretName: "db",
      mergedBy: "uid-1",
    });
  });

  it("are restarted before what an earlier spec left is cleaned up", () => {
    const before = synced(observed());
    const renamed = observed({ target: undefined, abandoned: before.target }, { target: { name: "new" } });
    expect(kinds(plan(renamed, fetched(renamed, found("one"))))).toEqual([
      "applySecret",
      "restartConsumers",
      "deleteSecret",
    ]);
  });
});
