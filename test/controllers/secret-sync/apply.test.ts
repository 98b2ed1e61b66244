import { beforeEach, describe, expect, it } from "@jest/globals";
import { newViews, type Views } from "../../../src/cluster/views.ts";
import type { Restarter, Restarts, Written } from "../../../src/controllers/secret-sync/restart.ts";
import type { ContentRecord } from "../../../src/plan/digest.ts";
import { newApplier, TargetExistsError, type Apply } from "../../../src/controllers/secret-sync/apply.ts";
import { ApiError, type KubeApi, type KubeObject } from "../../../src/kube/kube-api.ts";
import { projectSecret } from "../../../src/plan/live-target.ts";
import type { ApplySecret, Consumers, Step } from "../../../src/plan/step.ts";
import { SecretValue } from "../../../src/providers/secret-value.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { appliedObject } from "../../support/gen.ts";

/** What a plan's steps ask of the apiserver, and what is made of its answers. */

let views: Views;
let apply: Apply;
/** What was asked, in order. */
let asked: string[];
let writes: string[];
let fail: (request: string) => ApiError | undefined;
/** What the apiserver says that it has written; undefined: what was sent. */
let answer: KubeObject | undefined;
let live: (KubeObject & { data?: Record<string, string> }) | undefined;
let sent: (KubeObject & { data?: Record<string, string> })[];
let turns: number;
let clock: FakeClock;

const task = {
  limit: { signal: new AbortController().signal, pause: () => undefined, resume: () => undefined },
  free: () => undefined,
};
/** What was known of the write when consumers were restarted. */
let justWritten: Written | undefined;
const restarter: Restarter = {
  note({ touch }) {
    asked.push(`note consumers${touch ? " under another key" : ""}`);
    return Promise.resolve(new Set(["Deployment/noted"]));
  },
  restart({ told }, _task, known) {
    asked.push(`restart consumers ${[...told].join()}`);
    justWritten = known;
    return Promise.resolve({ ...noRestarts, restarted: ["Deployment/web"] });
  },
};
const noRestarts: Restarts = { restarted: [], problem: undefined, waiting: undefined, retryInMs: 0 };
const api = {
  apply(
    _type: unknown,
    object: KubeObject,
    { force, metadataOnly }: { force: boolean; metadataOnly?: boolean },
  ) {
    const { resourceVersion, uid } = object.metadata;
    const request = `apply${force ? " by force" : ""}${resourceVersion ? ` at ${resourceVersion}` : ""}${uid ? ` on ${uid}` : ""}`;
    asked.push(request);
    sent.push(object);
    expect(metadataOnly).toBe(true);
    const error = fail(request);
    if (error) return Promise.reject(error);
    return Promise.resolve(answer ?? written("8"));
  },
  get() {
    asked.push("get");
    return Promise.resolve(live);
  },
  delete(_type: unknown, name: string, _namespace: string, preconditions: object) {
    asked.push(`delete ${name} ${JSON.stringify(preconditions)}`);
    const error = fail("delete");
    return error ? Promise.reject(error) : Promise.resolve();
  },
} as unknown as KubeApi;

const step = (more: Partial<ApplySecret> = {}): ApplySecret => ({
  kind: "applySecret",
  fieldManager: "secretsync",
  name: "orders",
  namespace: "shop",
  labels: { "secretsync.dev/managed": "true" },
  annotations: {},
  ownerReferences: [],
  data: new Map([["password", SecretValue.fromText("x")]]),
  ...more,
});
const written = (resourceVersion: string): KubeObject => {
  const object = appliedObject(step());
  return { ...object, metadata: { ...object.metadata, resourceVersion } };
};

beforeEach(() => {
  clock = new FakeClock();
  const { after } = clock;
  turns = 0;
  clock.after = (milliseconds, callback) => {
    turns++;
    queueMicrotask(callback);
    return after.call(clock, milliseconds, () => undefined);
  };
  views = newViews({ mostBytes: 1e9, onError: () => undefined, onLeftAlone: () => undefined });
  asked = [];
  writes = [];
  sent = [];
  fail = () => undefined;
  answer = live = undefined;
  apply = newApplier({ api, views, clock, restarter, onWrite: (kind) => writes.push(kind) });
});
const there = (resourceVersion = "7") => views.secrets.set(projectSecret(written(resourceVersion)));
const conflict = (...fields: string[]) =>
  new ApiError(
    409,
    "Conflict",
    "conflict",
    undefined,
    fields.map((field) => ({ field, manager: "helm" })),
  );

describe("a Secret that is written", () => {
  it("can only be made when nobody has seen it, and only be the one that was seen", async () => {
    await apply([step({ createOnly: true })], task);
    await apply([step({ uid: "u" })], task);
    expect(asked).toEqual(["apply by force at 1", "apply by force on u"]);
  });

  it("carries its values as Base64, type and immutability where they are said, and nothing else", async () => {
    await apply([step({ type: "kubernetes.io/tls", immutable: true })], task);
    await apply([step()], task);
    expect(sent[0]).toMatchObject({ type: "kubernetes.io/tls", immutable: true, data: { password: "eA==" } });
    expect(Object.keys(sent[1]!).sort()).toEqual(["data", "metadata"]);
  });

  it("is known at once, and counted; an apply that changes nothing is no write", async () => {
    there("7");
    answer = written("7");
    expect(await apply([step()], task)).toEqual({
      problem: undefined,
      written: undefined,
      restarts: noRestarts,
    });
    expect(writes).toEqual([]);
    answer = written("8");
    const { written: target } = await apply([step()], task);
    expect(target?.resourceVersion).toBe("8");
    expect(views.secrets.get("shop/orders")?.resourceVersion).toBe("8");
    expect(writes).toEqual(["Secret"]);
  });

  it("of very many keys leaves others a turn", async () => {
    const value = SecretValue.fromText("x");
    await apply([step()], task);
    expect(turns).toBe(0);
    await apply(
      [step({ data: new Map(Array.from({ length: 1_001 }, (_, index) => [`k${index}`, value])) })],
      task,
    );
    expect(turns).toBe(1);
  });

  it("that came meanwhile is told to be looked at", async () => {
    fail = () => new ApiError(409, "AlreadyExists", "there");
    await expect(apply([step({ createOnly: true })], task)).rejects.toThrow(TargetExistsError);
  });
});

describe("keys that are added to a Secret of somebody else", () => {
  const merge = (ownKeys: readonly string[]) => step({ uid: "u", ownKeys });

  it("are looked for first, and added to the version that was looked at, without force", async () => {
    live = { metadata: { name: "orders", uid: "u", resourceVersion: "5" }, data: { other: "eA==" } };
    await apply([merge([])], task);
    expect(asked).toEqual(["get", "apply at 5 on u"]);
    asked = [];
    await apply([merge(["password"])], task);
    expect(asked).toEqual(["apply on u"]);
  });

  it("that are there already are a conflict, which names the key and who has it", async () => {
    live = {
      metadata: {
        name: "orders",
        uid: "u",
        resourceVersion: "5",
        managedFields: [
          { manager: "helm", operation: "Update", fieldsV1: { "f:data": { "f:password": {} } } },
        ],
      },
      data: { password: "eA==" },
    };
    const { problem } = await apply([merge([])], task);
    expect(problem?.failure.reason).toBe("TargetConflict");
    expect(problem?.failure.message).toContain('"password"');
    expect(problem?.failure.message).toContain("helm");
    expect(asked).toEqual(["get"]);
  });

  it("go to nobody when the Secret is another one by now", async () => {
    live = { metadata: { name: "orders", uid: "other", resourceVersion: "5" }, data: { password: "eA==" } };
    fail = () => new ApiError(409, "Conflict", "uid");
    await expect(apply([merge([])], task)).rejects.toThrow("uid");
  });

  it("that somebody changed are taken back, since they were added by us", async () => {
    fail = (request) => (request.includes("force") ? undefined : conflict(".data.password"));
    const { problem } = await apply([merge(["password"])], task);
    expect(problem).toBeUndefined();
    expect(asked).toEqual(["apply on u", "apply by force on u"]);
  });

  it("beside fields of others aren't", async () => {
    fail = () => conflict(".data.password", ".data.foreign");
    const { problem } = await apply([merge(["password"])], task);
    expect(problem?.failure.reason).toBe("TargetConflict");
    expect(asked).toEqual(["apply on u"]);
  });
});

describe("what the apiserver refuses", () => {
  it.each([409, 429, 503])("with %i is tried again by who asked", async (status) => {
    fail = () => new ApiError(status, "x", "later");
    await expect(apply([step()], task)).rejects.toThrow("later");
  });

  it("for good is told, and ends the steps", async () => {
    fail = (request) => (request === "delete" ? new ApiError(403, "Forbidden", "no right") : undefined);
    const steps: Step[] = [
      { kind: "deleteSecret", name: "old", namespace: "shop", uid: "o", resourceVersion: "3" },
      step(),
    ];
    const { problem } = await apply(steps, task);
    expect(problem).toMatchObject({ failure: { reason: "WriteFailed" }, step: { kind: "deleteSecret" } });
    expect(asked).toEqual(['delete old {"uid":"o","resourceVersion":"3"}']);
  });

  it("as a bug is one", async () => {
    fail = () => {
      throw new TypeError("a bug");
    };
    await expect(apply([step()], task)).rejects.toThrow("a bug");
  });
});

describe("a Secret that is given up", () => {
  it("is deleted as it was seen, and forgotten at once", async () => {
    there();
    const { uid } = views.secrets.get("shop/orders")!;
    const gone: Step = { kind: "deleteSecret", name: "orders", namespace: "shop", uid, resourceVersion: "7" };
    await apply([gone], task);
    expect(views.secrets.get("shop/orders")).toBeUndefined();
    expect(writes).toEqual(["Secret"]);
  });

  it("loses what was ours by an apply of nothing", async () => {
    there();
    const release: Step = {
      kind: "releaseSecret",
      name: "orders",
      namespace: "shop",
      uid: "u",
      fieldManager: "secretsync",
    };
    await apply([release], task);
    expect(sent).toEqual([{ metadata: { name: "orders", namespace: "shop", uid: "u" } }]);
    expect(writes).toEqual(["Secret"]);
  });
});

describe("consumers of a Secret", () => {
  const consumers: Consumers = {
    namespace: "shop",
    part: { secretName: "orders" },
    policy: { policy: "Auto" },
  };
  const record: ContentRecord = {
    key: "k",
    version: "v",
    owned: "o",
    digests: {},
    found: [],
    change: undefined,
  };
  const noted: Step = { kind: "noteConsumers", consumers, record, touch: true };
  const restarted: Step = {
    kind: "restartConsumers",
    consumers,
    record,
    told: new Set(["Deployment/web"]),
  };

  it("are noted before the write and restarted after it, as the plan says", async () => {
    const { restarts } = await apply([noted, step({ uid: "u" }), restarted], task);
    expect(asked).toEqual([
      "note consumers under another key",
      expect.stringMatching(/^apply/),
      "restart consumers Deployment/web",
    ]);
    expect(restarts.restarted).toEqual(["Deployment/web"]);
    expect(justWritten).toEqual({ at: clock.now(), noted: new Set(["Deployment/noted"]) });
    await apply([restarted], task);
    expect(justWritten).toBeUndefined();
  });

  it("aren't told of a write that changed nothing, whether that shows in the view or in what was planned for", async () => {
    answer = written("7");
    there("7");
    const first = await apply([step({ uid: "u" }), restarted], task);
    there("6");
    const second = await apply([step({ uid: "u", seen: "7" }), restarted], task);
    expect([first.written, second.written, justWritten]).toEqual([undefined, undefined, undefined]);
    expect(writes).toEqual([]);
  });

  it("aren't restarted for what could not be written, and are although something can't be cleaned up", async () => {
    fail = (request) =>
      request.startsWith("apply") ? new ApiError(403, "Forbidden", "no right") : undefined;
    expect(await apply([step(), restarted], task)).toMatchObject({ restarts: noRestarts });
    fail = (request) => (request === "delete" ? new ApiError(403, "Forbidden", "no right") : undefined);
    const gone: Step = {
      kind: "deleteSecret",
      name: "old",
      namespace: "shop",
      uid: "o",
      resourceVersion: "3",
    };
    expect(await apply([step(), restarted, gone], task)).toMatchObject({
      problem: { failure: { reason: "WriteFailed" } },
      restarts: { restarted: ["Deployment/web"] },
    });
  });
});
