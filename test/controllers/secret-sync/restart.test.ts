import { beforeEach, describe, expect, it } from "@jest/globals";
import { newPodLooks } from "../../../src/controllers/secret-sync/pod-looks.ts";
import { newRestarter } from "../../../src/controllers/secret-sync/restart.ts";
import { newViews, type Views } from "../../../src/cluster/views.ts";
import {
  AnswerTooLargeError,
  ApiError,
  NoAnswerError,
  type KubeApi,
  type KubeObject,
} from "../../../src/kube/kube-api.ts";
import { digestContent, type ContentRecord } from "../../../src/plan/digest.ts";
import { projectWorkload, type Workload, type WorkloadObject } from "../../../src/rollout/workload.ts";
import type { Consumers, Part } from "../../../src/plan/step.ts";
import { FakeClock, settle } from "../../support/fake-clock.ts";
import { digestKey, specOf, value } from "../../support/gen.ts";

/** The shell around the decision: what it asks of the apiserver, and how often. */

let clock: FakeClock;
let views: Views;
let restarter: ReturnType<typeof newRestarter>;
/** What was asked for: pods by the size of the page, and writes. */
let asked: string[];
/** Pods of more than so many in a page can't be held. */
let heldPods: number;
let live: WorkloadObject;
let api: KubeApi;
/** All pods that there are. */
let pods: KubeObject[];
/** Token of a next page of pods. */
let more: string | undefined;

const container = {
  name: "c",
  env: ["a", "b"].map((key) => ({ name: key, valueFrom: { secretKeyRef: { name: "db", key } } })),
};
const pod = {
  metadata: { name: "p" },
  spec: { containers: [container] },
  status: { containerStatuses: [{ name: "c", state: { running: { startedAt: "2026-05-01T00:00:00Z" } } }] },
} as KubeObject;

beforeEach(() => {
  clock = new FakeClock();
  asked = [];
  told = new Set();
  heldPods = 50;
  views = newViews({ mostBytes: 1e9, onError: () => undefined, onLeftAlone: () => undefined });
  live = {
    metadata: { name: "orders", namespace: "shop", uid: "w", resourceVersion: "1" },
    spec: {
      selector: { matchLabels: { app: "orders" } },
      template: { spec: { containers: [container] } },
    },
  } as WorkloadObject;
  see();
  more = undefined;
  pods = [pod];
  api = {
    list: (_type: unknown, { limit }: { limit: number }) => {
      asked.push(`list ${limit}`);
      if (limit > heldPods) return Promise.reject(new AnswerTooLargeError("4 MiB"));
      const metadata = { resourceVersion: "1", ...(more ? { continue: more } : {}) };
      return Promise.resolve({ metadata, items: pods });
    },
    apply(_type: unknown, object: WorkloadObject) {
      const { annotations } = object.spec?.template?.metadata ?? {};
      const what = annotations ? "restart" : "note";
      const refusal = refusals.shift();
      asked.push(refusal ? `${what} refused` : what);
      if (refusal) return Promise.reject(refusal);
      live = {
        metadata: {
          ...live.metadata,
          resourceVersion: nextVersion(),
          annotations: { ...object.metadata.annotations },
        },
        spec: { ...live.spec, template: { ...live.spec?.template, metadata: { annotations } } },
      } as WorkloadObject;
      return Promise.resolve(live);
    },
  } as unknown as KubeApi;
  refusals = [];
  restartsTold = [];
  const onRestart = (kind: string, result: string, changedAt: number | undefined) =>
    restartsTold.push(
      `${kind} ${result} ${changedAt === undefined ? "" : new Date(changedAt).toISOString()}`,
    );
  restarter = newRestarter({ api, views, clock, onRestart, onWrite: () => undefined });
});

/** What the next writes are refused with, in order. */
let refusals: ApiError[];
/** Told of restarts. */
let restartsTold: string[];

/** The watch brings it, as another version. */
const see = () => {
  live = { ...live, metadata: { ...live.metadata, resourceVersion: nextVersion() } };
  views.workloads.Deployment.set(projectWorkload("Deployment", live));
};
let version = 1;
const nextVersion = () => String(++version);

const recordOf = (data: Record<string, string>, minute: number): ContentRecord => ({
  key: digestKey.id,
  version: "v",
  owned: "o",
  digests: digestContent(digestKey, new Map(Object.entries(data).map(([name, text]) => [name, value(text)]))),
  found: [],
  change: { kind: "updated", at: `2026-05-01T00:0${minute}:00.000Z`, trigger: "Refresh", keys: ["a"] },
});

const task = {
  limit: { signal: new AbortController().signal, pause: () => undefined, resume: () => undefined },
  free: () => undefined,
};
const whole: Part = { secretName: "db" };
const consumers = (more: Partial<Consumers> = {}): Consumers => ({
  namespace: "shop",
  part: whole,
  policy: specOf({}).restart,
  ...more,
});
const note = (record: ContentRecord) =>
  restarter.note({ kind: "noteConsumers", consumers: consumers(), record, touch: false }, task);
const restart = (record: ContentRecord, part = whole) =>
  restarter.restart({ kind: "restartConsumers", consumers: consumers({ part }), record, told }, task);
let told: ReadonlySet<string>;

/** Somebody puts the template back as it was before the operator's mark. */
const putBack = () => {
  live = {
    ...live,
    spec: { ...live.spec, template: { spec: { containers: [container] } } },
  };
  see();
};

describe("a restart", () => {
  it("isn't made of the first note of another SecretSync that merges into the same Secret", async () => {
    await restart(recordOf({ a: "1" }, 1), { secretName: "db", mergedBy: "one" });
    await restart(recordOf({ b: "1" }, 2), { secretName: "db", mergedBy: "two" });
    expect(asked).toEqual(["note", "note"]);
  });

  it("that was taken back is done again once, and then pods are not even looked at before its time", async () => {
    await restart(recordOf({ a: "1", b: "1" }, 1));
    await restart(recordOf({ a: "2", b: "1" }, 2));
    expect(asked).toEqual(["note", "restart"]);
    putBack();
    await restart(recordOf({ a: "2", b: "1" }, 2));
    expect(asked.slice(2)).toEqual(["list 50", "restart"]);
    for (let times = 0; times < 10; times++) {
      putBack();
      const { problem, retryInMs } = await restart(recordOf({ a: "2", b: "1" }, 2));
      expect(problem).toContain("Deployment/orders: somebody takes back what the operator writes");
      expect(retryInMs).toBe(5_000);
    }
    expect(asked).toHaveLength(4);
    await clock.advance(5_000);
    await restart(recordOf({ a: "2", b: "1" }, 2));
    expect(asked.slice(4)).toEqual(["list 50", "restart"]);
  });

  it("reads fewer pods at once when they are large, and doesn't wait for one that can't be held", async () => {
    for (const [held, lists] of [
      [13, ["list 50", "list 13"]],
      [0, ["list 50", "list 13", "list 4", "list 1"]],
    ] as const) {
      heldPods = held;
      live = { ...live, metadata: { ...live.metadata, uid: `w-${held}`, annotations: {} } };
      await clock.advance(1_000);
      putBack();
      await restart(recordOf({ a: "1", b: "1" }, 1));
      await restart(recordOf({ a: "2", b: "1" }, 2));
      putBack();
      asked = [];
      await restart(recordOf({ a: "2", b: "1" }, 2));
      expect(asked).toEqual([...lists, "restart"]);
    }
  });

  it("of a workload that status tells of, and whose note is gone, is decided by its pods", async () => {
    await restart(recordOf({ a: "1", b: "1" }, 1));
    await restart(recordOf({ a: "2", b: "1" }, 2));
    expect(asked).toEqual(["note", "restart"]);
    // All at once, while no operator is there: the next one remembers nothing.
    const next = newRestarter({ api, views, clock, onRestart: () => undefined, onWrite: () => undefined });
    live = { ...live, metadata: { ...live.metadata, annotations: {} } };
    putBack();
    told = new Set(["Deployment/orders"]);
    asked = [];
    const record = recordOf({ a: "2", b: "1" }, 2);
    await next.restart({ kind: "restartConsumers", consumers: consumers(), record, told }, task);
    expect(asked).toEqual(["list 50", "restart"]);
  });

  it("waits for pods that a node starts while the Secret comes: they may run without it before anybody is told", async () => {
    const optional = { name: "c", envFrom: [{ secretRef: { name: "db", optional: true } }] };
    live = { ...live, spec: { ...live.spec, template: { spec: { containers: [optional] } } } };
    see();
    const at = new Date(clock.now()).toISOString();
    const came: ContentRecord = {
      ...recordOf({ a: "1" }, 1),
      change: { kind: "created", at, trigger: "Refresh", keys: ["a"], doubt: { absent: true } },
    };
    const spec = { nodeName: "n", containers: [optional] };
    const waiting = { reason: "ContainerCreating" };
    const starting = (state: unknown, phase = "Pending") =>
      ({ ...pod, spec, status: { phase, containerStatuses: [{ name: "c", state }] } }) as KubeObject;
    pods = [starting({ waiting })];
    await clock.advance(2_000);
    expect((await restart(came)).retryInMs).toBe(3_000);
    expect(asked).toEqual(["list 50"]);
    await clock.advance(3_000);
    pods = [starting({ running: { startedAt: at } }, "Running")];
    expect((await restart(came)).restarted).toEqual(["Deployment/orders"]);
    expect(asked).toEqual(["list 50", "list 50", "restart"]);
  });

  it("doesn't wait for pods that nobody starts, or that have been starting for long", async () => {
    const optional = { name: "c", envFrom: [{ secretRef: { name: "db", optional: true } }] };
    const pending = (reason: string, nodeName?: string) =>
      ({
        ...pod,
        spec: { containers: [optional], ...(nodeName ? { nodeName } : {}) },
        status: {
          phase: "Pending",
          containerStatuses: [{ name: "c", state: { waiting: { reason } } }],
        },
      }) as KubeObject;
    for (const [uid, found, waitMs] of [
      ["u1", pending("ContainerCreating"), 0],
      ["u2", pending("CreateContainerConfigError", "n"), 0],
      ["u3", pending("ContainerCreating", "n"), 5_000],
    ] as const) {
      live = {
        metadata: { ...live.metadata, uid, annotations: {} },
        spec: { ...live.spec, template: { spec: { containers: [optional] } } },
      };
      see();
      asked = [];
      pods = [found];
      const came: ContentRecord = {
        ...recordOf({ a: "1" }, 1),
        change: {
          kind: "created",
          at: new Date(clock.now()).toISOString(),
          trigger: "Refresh",
          keys: ["a"],
          doubt: { absent: true },
        },
      };
      expect((await restart(came)).retryInMs).toBe(waitMs);
      expect(asked).toEqual(waitMs === 0 ? ["list 50", "note"] : ["list 50"]);
      await clock.advance(5_000);
      await restart(came);
      expect(asked.slice(-1)).toEqual(["note"]);
    }
  });

  it("that is for a listed workload which isn't there says so", async () => {
    const { restart: policy } = specOf({
      restart: { policy: "Listed", targets: [{ kind: "Deployment", name: "nosuch" }] },
    });
    const record = recordOf({ a: "1" }, 1);
    const { waiting, problem } = await restarter.restart(
      { kind: "restartConsumers", consumers: consumers({ policy }), record, told },
      task,
    );
    expect(waiting).toBe("Deployment/nosuch isn't there: create it, or correct spec.restart.targets");
    expect(problem).toBeUndefined();
  });
});

describe("a restart that the apiserver refuses", () => {
  const conflict = () => new ApiError(409, "Conflict", "the object has been modified");
  const first = recordOf({ a: "1", b: "1" }, 1);
  const second = recordOf({ a: "2", b: "1" }, 2);

  it("since the workload changed is made on what the watch brings", async () => {
    await restart(first);
    refusals = [conflict(), conflict()];
    const restarting = restart(second);
    await settle();
    see();
    await clock.advance(100);
    see();
    await clock.advance(200);
    expect((await restarting).restarted).toEqual(["Deployment/orders"]);
    expect(asked).toEqual(["note", "restart refused", "restart refused", "restart"]);
    expect(restartsTold).toEqual(["Deployment success 2026-05-01T00:02:00.000Z"]);
  });

  it("again and again is told after five tries", async () => {
    await restart(first);
    refusals = Array.from({ length: 9 }, conflict);
    const restarting = restart(second);
    await clock.advance(10_000);
    expect((await restarting).problem).toBe("Deployment/orders: it changes all the time; trying again");
    expect(asked.slice(1)).toEqual(Array.from({ length: 5 }, () => "restart refused"));
    expect(restartsTold).toEqual(["Deployment failure 2026-05-01T00:02:00.000Z"]);
  });

  it("is nobody's once the workload is gone or is another one", async () => {
    await restart(first);
    refusals = [conflict()];
    const restarting = restart(second);
    await settle();
    views.workloads.Deployment.delete("shop/orders", "w");
    await clock.advance(100);
    expect(await restarting).toMatchObject({ restarted: [], problem: undefined });
    expect(asked).toEqual(["note", "restart refused"]);
  });

  it("for want of a right, or for a reason of its own, is told as such", async () => {
    await restart(first);
    refusals = [new ApiError(403, "Forbidden", "no"), new ApiError(422, "Invalid", "a webhook says no")];
    expect((await restart(second)).problem).toBe(
      "Deployment/orders: the operator may not patch it; check its Role",
    );
    expect((await restart(second)).problem).toBe("Deployment/orders: a webhook says no");
    expect((await restart(second)).restarted).toEqual(["Deployment/orders"]);
  });

  it("by anything but an answer is a bug", async () => {
    refusals = [new TypeError("no function") as never];
    await expect(note(first)).rejects.toThrow("no function");
    await restart(first);
    refusals = [new TypeError("no function") as never];
    await expect(restart(second)).rejects.toThrow("no function");
  });

  it("for very many workloads is told of ten", async () => {
    const { restart: policy } = specOf({
      restart: {
        policy: "Listed",
        targets: Array.from({ length: 12 }, (_, index) => ({ kind: "Deployment", name: `no-${index}` })),
      },
    });
    const { waiting } = await restarter.restart(
      { kind: "restartConsumers", consumers: consumers({ policy }), record: first, told },
      task,
    );
    expect(waiting?.split("; ")).toHaveLength(11);
    expect(waiting).toMatch(/; and others$/);
  });
});

describe("before content changes", () => {
  it("whoever consumes it is on record with what there is, and nobody is restarted", async () => {
    await note(recordOf({ a: "1", b: "1" }, 1));
    expect(asked).toEqual(["note"]);
    await note(recordOf({ a: "2", b: "1" }, 2));
    expect(asked).toEqual(["note"]);
  });

  it("one that can't be written is passed over, and isn't among those on record", async () => {
    refusals = [new ApiError(403, "Forbidden", "no")];
    expect([...(await note(recordOf({ a: "1", b: "1" }, 1)))]).toEqual([]);
    expect(asked).toEqual(["note refused"]);
    expect(restartsTold).toEqual([]);
  });
});

describe("a restart that is due when content changes again", () => {
  const optional = { name: "c", envFrom: [{ secretRef: { name: "db", optional: true } }] };
  /** The Secret came at the clock's time; pods may run without it. */
  const came = (): ContentRecord => {
    const at = new Date(clock.now()).toISOString();
    const change = { kind: "created", at, trigger: "Refresh", keys: ["a"], doubt: { absent: true } } as const;
    return { ...recordOf({ a: "1" }, 1), change };
  };
  /** And then it was rotated. */
  const rotated = (): ContentRecord => {
    const at = new Date(clock.now()).toISOString();
    return {
      ...recordOf({ a: "2" }, 2),
      change: { kind: "updated", at, trigger: "Refresh", keys: ["a"] },
    };
  };
  const running = (startedAt: number): KubeObject =>
    ({
      ...pod,
      spec: { containers: [optional] },
      status: {
        phase: "Running",
        containerStatuses: [
          { name: "c", state: { running: { startedAt: new Date(startedAt).toISOString() } } },
        ],
      },
    }) as KubeObject;

  beforeEach(() => {
    live = { ...live, spec: { ...live.spec, template: { spec: { containers: [optional] } } } };
    see();
  });

  it("is made then, although nothing was ever noted and the first look came to nothing", async () => {
    pods = [running(clock.now() - 60_000)];
    const first = came();
    refusals = [new ApiError(429, "TooManyRequests", "later")];
    expect((await restart(first)).problem).toContain("Deployment/orders");
    await clock.advance(1_000);
    expect([...(await note(first))]).toEqual(["Deployment/orders"]);
    await clock.advance(3_000);
    expect((await restart(rotated())).restarted).toEqual(["Deployment/orders"]);
    expect(asked).toEqual(["list 50", "restart refused", "list 50", "note", "list 50", "restart"]);
  });

  it("is made then, although its pods couldn't be looked at meanwhile", async () => {
    pods = [running(clock.now() - 60_000)];
    const first = came();
    // Another look of the namespace is under way.
    const { promise: looked, resolve: end } = Promise.withResolvers<void>();
    const { list } = api;
    api.list = async (...args: Parameters<typeof list>) => {
      await looked;
      return list(...args) as never;
    };
    const slow = restart(first);
    expect([...(await note(first))]).toEqual(["Deployment/orders"]);
    expect(asked).toEqual(["note"]);
    end();
    await slow;
    api.list = list;
    await clock.advance(5_000);
    expect((await restart(rotated())).restarted).toEqual(["Deployment/orders"]);
  });

  it("is decided by the pods of who should have been noted before, and wasn't", async () => {
    pods = [running(clock.now() - 60_000)];
    refusals = [new ApiError(503, "Unavailable", "later")];
    const noted = await note(recordOf({ a: "1" }, 1));
    expect([...noted]).toEqual([]);
    const record = rotated();
    const step = { kind: "restartConsumers", consumers: consumers(), record, told } as const;
    const { restarted } = await restarter.restart(step, task, { at: clock.now(), noted });
    expect(restarted).toEqual(["Deployment/orders"]);
  });

  it("looks at who came between the note and the write, and restarts nobody who started after it", async () => {
    pods = [running(clock.now() + 3_000)];
    const record = rotated();
    const step = { kind: "restartConsumers", consumers: consumers(), record, told } as const;
    expect((await restarter.restart(step, task, { at: clock.now(), noted: new Set() })).restarted).toEqual(
      [],
    );
    expect(asked).toEqual(["list 50", "note"]);
  });

  it("counts pods as older that started while the write was under way, also at a later look", async () => {
    const record = came();
    pods = [running(clock.now() + 2_000)];
    await clock.advance(3_000);
    api.list = () => Promise.reject(new ApiError(503, "Unavailable", "later"));
    const step = { kind: "restartConsumers", consumers: consumers(), record, told } as const;
    await restarter.restart(step, task, { at: clock.now(), noted: undefined });
    api.list = () => Promise.resolve({ metadata: { resourceVersion: "1" }, items: pods as never });
    await clock.advance(1_000);
    expect((await restart(record)).restarted).toEqual(["Deployment/orders"]);
  });
});

describe("an apiserver that doesn't answer for one workload", () => {
  it("holds up neither the others nor the Secret", async () => {
    const second = { ...live, metadata: { ...live.metadata, name: "second", uid: "w2" } };
    views.workloads.Deployment.set(projectWorkload("Deployment", second));
    refusals = [new NoAnswerError("https://127.0.0.1") as never];
    expect([...(await note(recordOf({ a: "1", b: "1" }, 1)))]).toEqual(["Deployment/second"]);
    refusals = [new NoAnswerError("https://127.0.0.1") as never];
    const { problem } = await restart(recordOf({ a: "1", b: "1" }, 1));
    expect(problem).toMatch(/^Deployment\/(orders|second): the apiserver gives no answer in time/);
  });
});

describe("a workload that is gone", () => {
  it("leaves nothing behind: one of its name is another one, whom nobody took anything back from", async () => {
    await restart(recordOf({ a: "1", b: "1" }, 1));
    await restart(recordOf({ a: "2", b: "1" }, 2));
    putBack();
    await restart(recordOf({ a: "2", b: "1" }, 2));
    putBack();
    expect((await restart(recordOf({ a: "2", b: "1" }, 2))).problem).toContain("takes back");
    views.workloads.Deployment.delete("shop/orders", "w");
    live = { ...live, metadata: { ...live.metadata, annotations: {} } };
    putBack();
    expect((await restart(recordOf({ a: "2", b: "1" }, 2))).problem).toBeUndefined();
  });

  it("isn't restarted when workloads of its namespace name too many Secrets", async () => {
    const outline = {
      ...projectWorkload("Deployment", live),
      isOutline: true,
      resourceVersion: nextVersion(),
    };
    views.workloads.Deployment.set(outline);
    await restart(recordOf({ a: "1", b: "1" }, 1));
    expect(asked).toEqual([]);
  });
});

describe("looks at pods", () => {
  const workload = (namespace: string, hasPods = true): Workload => ({
    ...projectWorkload("Deployment", live),
    namespace,
    hasPods,
  });

  it("are one at a time in a namespace, with a rest after each, and each who waits is given another time", async () => {
    const looks = newPodLooks(api, clock);
    const kinds = (namespaces: readonly string[]) =>
      Promise.all(namespaces.map((namespace) => looks.look(workload(namespace), "db", task.limit.signal)));
    const [first, second, third, other] = await kinds(["shop", "shop", "shop", "other"]);
    expect([first?.kind, other?.kind]).toEqual(["readers", "readers"]);
    expect(second).toEqual({ kind: "later", waitMs: 25 });
    expect(third).toEqual({ kind: "later", waitMs: 50 });
    // A look takes 5 ms at least, and the namespace rests four times as long.
    await clock.advance(19);
    expect((await kinds(["shop"]))[0]?.kind).toBe("later");
    await clock.advance(1);
    expect((await kinds(["shop"]))[0]?.kind).toBe("readers");
  });

  it("are four at a time in all", async () => {
    const looks = newPodLooks(api, clock);
    const found = await Promise.all(
      ["a", "b", "c", "d", "e"].map((namespace) => looks.look(workload(namespace), "db", task.limit.signal)),
    );
    expect(found.map(({ kind }) => kind)).toEqual(["readers", "readers", "readers", "readers", "later"]);
  });

  it("need no list where there are no pods, and end where there are too many", async () => {
    const looks = newPodLooks(api, clock);
    expect(await looks.look(workload("shop", false), "db", task.limit.signal)).toEqual({
      kind: "readers",
      readers: [],
      areStarting: false,
    });
    expect(asked).toEqual([]);
    more = "next";
    expect(await looks.look(workload("shop"), "db", task.limit.signal)).toEqual({ kind: "unknown" });
    expect(asked).toHaveLength(64);
    await clock.advance(1_000);
    pods = Array.from({ length: 50 }, () => pod);
    asked = [];
    expect(await looks.look(workload("shop"), "db", task.limit.signal)).toEqual({ kind: "unknown" });
    expect(asked).toHaveLength(40);
  });

  it("can't be had of who selects by what the operator doesn't ask with, or when the apiserver fails", async () => {
    const looks = newPodLooks(api, clock);
    const odd = { ...workload("shop"), selector: undefined };
    expect(await looks.look(odd, "db", task.limit.signal)).toEqual({ kind: "unknown" });
    expect(asked).toEqual([]);
    api.list = () => Promise.reject(new ApiError(503, "Unavailable", "no"));
    await expect(looks.look(workload("shop"), "db", task.limit.signal)).rejects.toThrow("no");
    // It rests after that, too.
    expect((await looks.look(workload("shop"), "db", task.limit.signal)).kind).toBe("later");
  });
});
