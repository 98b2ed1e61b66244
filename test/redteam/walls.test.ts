import { afterAll, afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import { readFileSync } from "node:fs";
import type { KubeObject } from "../../src/kube/kube-api.ts";
import { resources } from "../../src/kube/resources.ts";
import { run, runWith } from "../support/kubectl.ts";
import { request, signal, unique, type SyncObject } from "../support/suite.ts";
import { until } from "../support/wait.ts";
import { canary, openArena, type Arena, type PatchType } from "./arena.ts";
import { letAskForTokens, letTenantRead, serviceAccount } from "./attacks.ts";

/** What a tenant may not learn, not change and not take, and what whoever has taken the operator over may not either. */
let arena: Arena;

beforeAll(async () => {
  arena = await openArena();
}, 120_000);
afterEach(() => arena.clear(), 60_000);
afterAll(() => arena.close(), 60_000);

type Spec = Record<string, unknown>;
const sync = (name: string, spec: Spec) => arena.inEvil.sync(name, spec);
const secretIn = (namespace: string, name: string, more: Record<string, unknown> = {}) =>
  arena.api.create(resources.secret, { metadata: { name, namespace }, ...more }, signal);
const encoded = (data: Record<string, string>) =>
  Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString("base64")]),
  );

describe("S7: a find is no oracle", () => {
  it("for a namespace that no rule names: it is refused before anything is asked", async () => {
    arena.aws.put("prod/shop/stripe-live-key", canary("x"), { pin: "4711" });
    arena.aws.resetCalls();
    const providerRef = { kind: "ClusterSecretProvider", name: arena.provider };
    const questions = [
      { name: { regexp: "^prod/shop/stripe-live-key$" } },
      { name: { regexp: "^prod/shop/none$" } },
      { tags: { pin: "4711" } },
      { tags: { pin: "4712" } },
    ];
    const answers = [];
    for (const [index, find] of questions.entries()) {
      await sync(`q${index}`, { providerRef, refreshInterval: "0s", dataFrom: [{ find }] });
      answers.push((await arena.inEvil.untilReason(`q${index}`, "KeyNotAllowed")).message);
    }
    expect(new Set(answers).size).toBe(1);
    expect(arena.aws.calls.get("ListSecrets")).toBeUndefined();
  });

  it("for one that may read something: nothing there and nothing allowed are the same words", async () => {
    const providerRef = await letTenantRead(arena);
    arena.aws.put("prod/shop/stripe-live-key", canary("x"), { pin: "4711" });
    const answers = [];
    for (const [index, pin] of ["4711", "4712"].entries()) {
      await sync(`q${index}`, {
        providerRef,
        refreshInterval: "0s",
        dataFrom: [{ find: { tags: { pin } } }],
      });
      answers.push((await arena.inEvil.untilReason(`q${index}`, "SecretNotFound")).message);
    }
    expect(answers[0]?.replace("4711", "PIN")).toBe(answers[1]?.replace("4712", "PIN"));
  });

  it("also not by what stays when something of one's own goes", async () => {
    const providerRef = await letTenantRead(arena);
    const outcomes = [];
    for (const [index, theirs] of [`prod/shop/is-there-${unique("x")}`, "prod/shop/is-not"].entries()) {
      if (index === 0) arena.aws.put(theirs, canary("theirs"));
      const mine = `prod/${arena.evil}/mine-${index}`;
      arena.aws.put(mine, "v");
      const name = `q${index}`;
      const rewrite = [{ regexp: { source: "^.*$", target: "x" } }];
      const find = { name: { regexp: `^(${mine}|${theirs})$` } };
      const target = { deletionPolicy: "Delete" };
      await sync(name, { providerRef, refreshInterval: "1s", dataFrom: [{ find, rewrite }], target });
      await arena.inEvil.untilReason(name, "Synced");
      arena.aws.remove(mine);
      outcomes.push((await arena.inEvil.untilReason(name, "Deleted")).message);
    }
    expect(outcomes[0]).toBe(outcomes[1]);
  });
});

it("S8: a tag on somebody else's secret doesn't hold back a victim's rotation", async () => {
  const { victim, aws, shop } = arena;
  const tags = { app: unique("app") };
  const [password, token] = [`prod/${shop}/tagged-password`, `prod/${shop}/tagged-token`];
  aws.put(password, canary("one"), tags);
  aws.put(token, canary("token"), tags);
  const rewrite = [{ regexp: { source: "^.*/", target: "" } }];
  const dataFrom = [{ find: { tags }, rewrite }];
  await victim.sync("tagged", { providerRef: victim.providerRef, refreshInterval: "1s", dataFrom });
  await victim.untilReason("tagged", "Synced");
  aws.put(`dev/enemy/${unique("anything")}`, "x", tags);
  aws.remove(token);
  aws.put(password, canary("two"));
  await until("only what is there is left, and rotated", async () => {
    const values = (await victim.values("tagged")) ?? {};
    return Object.keys(values).join() === "tagged-password" && values["tagged-password"] === canary("two");
  });
  await victim.untilReason("tagged", "Synced");
});

describe("S9: whoever has taken the operator over", () => {
  const foreign = async () => {
    const name = unique("theirs");
    await secretIn(arena.shop, name, { data: encoded({ password: "x", other: "y" }), type: "Opaque" });
    return name;
  };
  const managed = { "secretsync.dev/managed": "true" };
  const write = (name: string, more: Record<string, unknown>, meta: Record<string, unknown> = {}) =>
    arena.asOperator.apply(
      resources.secret,
      { metadata: { name, namespace: arena.shop, labels: managed, ...meta }, ...more },
      { fieldManager: "taken-over", force: true },
      signal,
    );
  const denied = (attempt: Promise<unknown>) => expect(attempt).rejects.toThrow("denies it");
  const isUntouched = async (name: string) =>
    expect(await arena.victim.values(name)).toEqual({ password: "x", other: "y" });

  beforeAll(async () => {
    // A policy takes a moment to be enforced.
    await until("the fence is up", () =>
      write("steady", {}, { finalizers: ["secretsync.dev/x"] }).then(
        () => false,
        (error: Error) => error.message.includes("denies it"),
      ),
    );
  });

  it.each([
    ["says that it is its own", { annotations: { "secretsync.dev/owner": "x" } }],
    [
      "notes a key that it never added",
      { annotations: { "secretsync.dev/digests-1": '{"digests":{"password":"x"}}' } },
    ],
    [
      "gives it an owner that doesn't exist",
      {
        ownerReferences: [
          { apiVersion: "secretsync.dev/v1alpha1", kind: "SecretSync", name: "x", uid: "none" },
        ],
      },
    ],
    [
      "gives it any owner",
      { ownerReferences: [{ apiVersion: "v1", kind: "ConfigMap", name: "x", uid: "none" }] },
    ],
    ["holds it by a finalizer", { finalizers: ["secretsync.dev/x"] }],
    ["labels it", { labels: { ...managed, team: "evil" } }],
    ["says who may have it", { annotations: { "secretsync.dev/shared-with": "*" } }],
    ["annotates it", { annotations: { "replicator.example.com/to": "evil" } }],
  ])("%s: refused", async (_case, meta) => {
    const name = await foreign();
    await denied(write(name, {}, meta));
    await isUntouched(name);
  });

  it("writes no SecretSync that no ClusterSecretSync has made: neither a new one, nor one that is there", async () => {
    const name = unique("theirs");
    const spec = {
      providerRef: { kind: "ClusterSecretProvider", name: arena.provider },
      suspend: true,
      data: [{ secretKey: "a", remoteRef: { key: "k" } }],
    };
    const apply = (meta: Record<string, unknown>, suspend = true) =>
      arena.asOperator.apply(
        resources.secretSync,
        { metadata: { name, namespace: arena.shop, ...meta }, spec: { ...spec, suspend } } as KubeObject,
        { fieldManager: "taken-over", force: true },
        signal,
      );
    const owner = {
      apiVersion: "secretsync.dev/v1alpha1",
      kind: "ClusterSecretSync",
      name: "x",
      uid: "none",
    };
    await denied(apply({}));
    await denied(apply({ ownerReferences: [{ ...owner, kind: "SecretSync" }] }));
    const there = await arena.victim.sync(name, spec);
    await denied(apply({}, false));
    await denied(apply({ ownerReferences: [owner] }));
    const { uid = "" } = there.metadata;
    await denied(arena.asOperator.delete(resources.secretSync, name, arena.shop, { uid }, signal));
    expect((await arena.victim.getSync(name))?.spec?.["suspend"]).toBe(true);
  });

  it("takes over no SecretSync but one that a ClusterSecretSync has left", async () => {
    const [theirs, left] = [unique("theirs"), unique("left")];
    const spec = {
      providerRef: { kind: "ClusterSecretProvider", name: arena.provider },
      suspend: true,
      data: [{ secretKey: "a", remoteRef: { key: "k" } }],
    };
    await arena.victim.sync(theirs, spec);
    await arena.api.create(
      resources.secretSync,
      {
        metadata: {
          name: left,
          namespace: arena.shop,
          annotations: { "secretsync.dev/template": "0123456789abcdef" },
        },
        spec,
      } as KubeObject,
      signal,
    );
    const take = (name: string, kind = "ClusterSecretSync", more: object = {}) =>
      arena.asOperator.apply(
        resources.secretSync,
        {
          metadata: {
            name,
            namespace: arena.shop,
            ownerReferences: [
              { apiVersion: "secretsync.dev/v1alpha1", kind, name: "x", uid: "x", controller: true },
            ],
            ...more,
          },
          spec,
        } as KubeObject,
        { fieldManager: "secretsync-fan-out", force: true },
        signal,
      );
    await denied(take(theirs));
    await denied(take(theirs, "ClusterSecretSync", { annotations: { "secretsync.dev/template": "x" } }));
    await denied(take(left, "SecretSync"));
    expect((await take(left)).metadata.ownerReferences).toHaveLength(1);
  });

  it("gets no token that lives for longer than the operator's own", async () => {
    const name = unique("account");
    await arena.tenant.create(serviceAccount, { metadata: { name, namespace: arena.evil } }, signal);
    await letAskForTokens(arena);
    const ask = (seconds: number) =>
      arena.asOperator.requestToken({ namespace: arena.evil, name }, { audiences: [], seconds }, signal);
    await denied(ask(601));
    await denied(ask(365 * 86_400));
    expect((await ask(600))?.lifeMs).toBe(600_000);
  });

  it("marks it with the label, and can then neither delete nor change it", async () => {
    const name = await foreign();
    const { metadata } = await write(name, {});
    await denied(
      arena.asOperator.delete(resources.secret, name, arena.shop, { uid: metadata.uid ?? "" }, signal),
    );
    await denied(write(name, { data: encoded({ password: "hacked" }) }));
    await write(name, {}, { annotations: { "secretsync.dev/digests-1": "{}" } });
    await denied(
      write(name, {}, { annotations: { "secretsync.dev/digests-1": '{"digests":{"other":"x"}}' } }),
    );
    await isUntouched(name);
  });

  it("adds a key, may change that one, and none whose name only shows in its notes", async () => {
    const name = await foreign();
    const note = (digests: string) => ({
      annotations: {
        "secretsync.dev/digests-1": `{"key":"password","digests":{${digests}},"change":{"keys":["other"]}}`,
      },
    });
    await write(name, { data: encoded({ mine: "1" }) }, note('"mine":"x"'));
    await write(name, { data: encoded({ mine: "2" }) }, note('"mine":"y"'));
    for (const key of ["password", "other"])
      await denied(write(name, { data: encoded({ mine: "2", [key]: "hacked" }) }, note('"mine":"y"')));
    expect(await arena.victim.values(name)).toEqual({ password: "x", other: "y", mine: "2" });
  });

  it("owns no key together with its owner, who could then no longer change it", async () => {
    const name = await foreign();
    const theirs = {
      metadata: { name, namespace: arena.shop },
      data: encoded({ password: "x", other: "y" }),
    };
    const apply = (data: Record<string, string>) =>
      arena.api.apply(
        resources.secret,
        { ...theirs, data } as KubeObject,
        { fieldManager: "gitops", force: true },
        signal,
      );
    await apply(theirs.data);
    for (const more of [{}, { annotations: { "secretsync.dev/digests-1": '{"digests":{"password":"x"}}' } }])
      await denied(write(name, { data: encoded({ password: "x" }) }, more));
    await apply(encoded({ password: "z" }));
    expect(await arena.victim.values(name)).toMatchObject({ password: "z" });
  });

  it("claims no key before it is there, and makes nothing immutable", async () => {
    const name = await foreign();
    await write(name, {});
    await denied(
      write(name, {}, { annotations: { "secretsync.dev/digests-1": '{"digests":{"token":"x"}}' } }),
    );
    await denied(write(name, { immutable: true }));
    await isUntouched(name);
  });

  it("moves no key that one note names to another", async () => {
    const name = await foreign();
    const note = (id: string, key: string) => ({
      annotations: { [`secretsync.dev/digests-${id}`]: `{"digests":{"${key}":"x"}}` },
    });
    await write(name, { data: encoded({ mine: "1" }) }, note("1", "mine"));
    await denied(write(name, { data: encoded({ mine: "1", password: "x" }) }, note("1", "password")));
    await denied(write(name, { data: encoded({ password: "hacked" }) }, note("2", "mine")));
    expect(await arena.victim.values(name)).toEqual({ password: "x", other: "y", mine: "1" });
  });

  it("changes nothing of a workload but its own annotations", async () => {
    const name = unique("web");
    const template = {
      metadata: { labels: { app: name } },
      spec: { containers: [{ name: "c", image: "i" }] },
    };
    await arena.api.create(
      resources.Deployment,
      {
        metadata: { name, namespace: arena.shop },
        spec: { replicas: 0, selector: { matchLabels: { app: name } }, template },
      } as KubeObject,
      signal,
    );
    const patch = (spec: Spec, fieldManager = "secretsync-restart") =>
      arena.asOperator.apply(
        resources.Deployment,
        { metadata: { name, namespace: arena.shop }, spec } as KubeObject,
        { fieldManager, force: true },
        signal,
      );
    const mark = { annotations: { "secretsync.dev/restarted-for": "x" } };
    await patch({ template: { metadata: mark } });
    await denied(patch({ template: { metadata: mark } }, "taken-over"));
    for (const spec of [
      { replicas: 3 },
      { paused: true },
      { template: { metadata: mark, spec: { containers: [{ name: "c", image: "evil" }] } } },
      { template: { metadata: mark, spec: { serviceAccountName: "admin" } } },
    ])
      await denied(patch(spec));
    for (const meta of [
      { finalizers: ["example.com/x"] },
      { ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: "x", uid: "x" }] },
      { labels: { app: name, more: "x" } },
      { annotations: { "sidecar.istio.io/inject": "true" } },
    ])
      await denied(patch({ template: { metadata: meta } }));
  });

  describe("of a workload", () => {
    const created = async (): Promise<string> => {
      const name = unique("web");
      const containers = [
        { name: "c", image: "i", args: ["--secure"], securityContext: { readOnlyRootFilesystem: true } },
        { name: "guard", image: "g" },
      ];
      const metadata = {
        name,
        namespace: arena.shop,
        labels: { team: "shop" },
        finalizers: ["example.com/keep"],
      };
      const template = {
        metadata: { labels: { app: name } },
        spec: { nodeSelector: { pool: "safe" }, containers },
      };
      const spec = { replicas: 0, selector: { matchLabels: { app: name } }, template };
      await arena.api.create(resources.Deployment, { metadata, spec } as KubeObject, signal);
      return name;
    };
    const noted = (name: string, text = "{}") =>
      arena.asOperator.apply(
        resources.Deployment,
        { metadata: { name, namespace: arena.shop, annotations: { "secretsync.dev/consumed": text } } },
        { fieldManager: "secretsync-restart", force: true },
        signal,
      );
    const specOf = async (name: string) =>
      (await arena.api.get<KubeObject & { spec?: unknown }>(resources.Deployment, name, arena.shop, signal))
        ?.spec;
    const patch = (name: string, type: PatchType, body: unknown) =>
      arena.patchAsOperator(
        `/apis/apps/v1/namespaces/${arena.shop}/deployments/${name}?fieldManager=secretsync-restart`,
        type,
        body,
      );
    const SPEC = "/spec/template/spec";

    it.each<[string, PatchType, unknown]>([
      ["a container", "json", [{ op: "remove", path: `${SPEC}/containers/1` }]],
      [
        "a container, by its name",
        "strategic",
        { spec: { template: { spec: { containers: [{ $patch: "delete", name: "guard" }] } } } },
      ],
      ["what secures a container", "json", [{ op: "remove", path: `${SPEC}/containers/0/securityContext` }]],
      ["arguments", "json", [{ op: "remove", path: `${SPEC}/containers/0/args` }]],
      ["where it may run", "merge", { spec: { template: { spec: { nodeSelector: null } } } }],
      ["a finalizer", "json", [{ op: "remove", path: "/metadata/finalizers" }]],
      ["labels", "merge", { metadata: { labels: null } }],
    ])("it can't remove %s", async (_what, type, body) => {
      const name = await created();
      await noted(name);
      const before = await specOf(name);
      await expect(patch(name, type, body)).resolves.toMatchObject({
        ok: false,
        output: expect.stringContaining("the operator may remove nothing of a workload that others have set"),
      });
      expect(await specOf(name)).toEqual(before);
    });

    it("it notes one whose managedFields somebody has cleared", async () => {
      const name = await created();
      const cleared = '[{"op":"replace","path":"/metadata/managedFields","value":[{}]}]';
      await run("patch", "deployment", name, "-n", arena.shop, "--type=json", "-p", cleared);
      await noted(name, '{"a":"b"}');
      await noted(name);
    });

    it("it can't change the order of containers, nor of their variables", async () => {
      const name = await created();
      const env = [
        { name: "A", value: "1" },
        { name: "B", value: "$(A)" },
      ];
      const initContainers = ["migrate", "check"].map((each) => ({ name: each, image: "i" }));
      const more = { template: { spec: { initContainers, containers: [{ name: "c", env }] } } };
      const object = { metadata: { name, namespace: arena.shop }, spec: more } as KubeObject;
      await arena.api.apply(resources.Deployment, object, { fieldManager: "theirs", force: true }, signal);
      await noted(name);
      const before = await specOf(name);
      for (const path of ["initContainers", "containers", "containers/0/env"]) {
        const move = [{ op: "move", from: `${SPEC}/${path}/1`, path: `${SPEC}/${path}/0` }];
        expect(await patch(name, "json", move)).toMatchObject({
          ok: false,
          output: expect.stringContaining("the order of containers"),
        });
      }
      expect(await specOf(name)).toEqual(before);
    });

    it("it can't hide a change among managers that it invents", async () => {
      const name = await created();
      const { metadata } = await noted(name);
      const own = metadata.managedFields?.find(({ manager }) => manager === "secretsync-restart");
      const invented = Array.from({ length: 10 }, (_, index) => ({
        manager: `m${index}`,
        operation: "Update",
        apiVersion: "apps/v1",
        time: `2099-01-01T00:00:0${index}Z`,
        fieldsType: "FieldsV1",
        fieldsV1: { "f:spec": { "f:revisionHistoryLimit": {} } },
      }));
      const before = await specOf(name);
      for (const managers of [[own, ...invented], [own], [{}]]) {
        const { ok } = await patch(name, "json", [
          { op: "replace", path: "/metadata/managedFields", value: managers },
          { op: "replace", path: `${SPEC}/containers/0/image`, value: "evil" },
          { op: "add", path: `${SPEC}/hostPID`, value: true },
        ]);
        expect(ok).toBe(false);
      }
      expect(await specOf(name)).toEqual(before);
    });

    it("it takes its annotations over from who set them, and nothing with them", async () => {
      const name = await created();
      const theirs = {
        metadata: {
          name,
          namespace: arena.shop,
          annotations: { "secretsync.dev/consumed": "theirs", other: "x" },
        },
        spec: {
          paused: true,
          template: {
            metadata: { annotations: { "secretsync.dev/restarted-for": "theirs", more: "x" } },
            spec: { priorityClassName: "high" },
          },
        },
      } as KubeObject;
      const theirWay = { fieldManager: "argocd", force: true };
      await arena.api.apply(resources.Deployment, theirs, theirWay, signal);
      await noted(name);
      // Their template annotation is still theirs, so their entry is one that may change.
      await arena.api.apply(resources.Deployment, theirs, theirWay, signal);
      for (const body of [
        [{ op: "remove", path: "/spec/paused" }],
        [{ op: "remove", path: `${SPEC}/priorityClassName` }],
        [{ op: "remove", path: "/metadata/annotations/other" }],
        [{ op: "remove", path: "/spec/template/metadata/annotations/more" }],
      ])
        expect(await patch(name, "json", body)).toMatchObject({ ok: false });
      const mark = { template: { metadata: { annotations: { "secretsync.dev/restarted-for": "ours" } } } };
      const annotations = { "secretsync.dev/consumed": "{}" };
      const ours = { metadata: { name, namespace: arena.shop, annotations }, spec: mark } as KubeObject;
      await arena.asOperator.apply(
        resources.Deployment,
        ours,
        { fieldManager: "secretsync-restart", force: true },
        signal,
      );
      expect(await specOf(name)).toMatchObject(mark);
    });
  });

  it("finds policies without type errors", async () => {
    const { items } = JSON.parse(await run("get", "validatingadmissionpolicies", "-o", "json")) as {
      items: { metadata: { name: string }; status?: { typeChecking?: { expressionWarnings?: unknown[] } } }[];
    };
    const warnings = items.map(({ metadata, status }) => [
      metadata.name,
      status?.typeChecking?.expressionWarnings ?? [],
    ]);
    expect(warnings.length).toBeGreaterThan(1);
    for (const [, found] of warnings) expect(found).toEqual([]);
  });
});

describe("S10: Merge", () => {
  const merging = (more: Spec, target: string) => ({
    ...more,
    target: { name: target, creationPolicy: "Merge" },
  });

  it("rotates as many keys, with names as long, as it may have", async () => {
    const { victim, aws, shop } = arena;
    const name = unique("many");
    const theirs = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`theirs-${index}`, "x"]));
    await secretIn(shop, name, { data: encoded(theirs), type: "Opaque" });
    const key = `prod/${shop}/${name}`;
    const names = Array.from({ length: 256 }, (_, index) => String(index).padStart(200, "k"));
    const put = (value: string) =>
      aws.put(key, JSON.stringify(Object.fromEntries(names.map((each) => [each, value]))));
    put("one");
    const { providerRef } = victim;
    const spec = { providerRef, refreshInterval: "1s", dataFrom: [{ extract: { key } }] };
    await victim.sync(name, merging(spec, name));
    await victim.untilReason(name, "Synced");
    put("two");
    await until("all keys are rotated", async () => {
      const values = (await victim.values(name)) ?? {};
      return names.every((each) => values[each] === "two") && values["theirs-299"] === "x";
    });
    await victim.untilReason(name, "Synced");
    // Restored as well when somebody writes it under the operator's name, although that changes no note.
    const { metadata } = (await victim.getSync(name))!;
    const live = await arena.api.get(resources.secret, name, shop, signal);
    const isOurs = ([each]: readonly [string, unknown]) => each.startsWith("secretsync.dev/");
    const spoiled = {
      metadata: {
        name,
        namespace: shop,
        labels: { "secretsync.dev/managed": "true" },
        annotations: Object.fromEntries(Object.entries(live?.metadata.annotations ?? {}).filter(isOurs)),
      },
      data: encoded({ ...Object.fromEntries(names.map((each) => [each, "two"])), [names[0]!]: "spoiled" }),
    } as KubeObject;
    const fieldManager = `secretsync-merge-${metadata.uid}`;
    await arena.api.apply(resources.secret, spoiled, { fieldManager, force: true }, signal);
    await victim.sync(name, merging(spec, name), request());
    await until("it is restored", async () => (await victim.values(name))?.[names[0]!] === "two");
  });

  it.each(["password", "key", "at", "version", "tls.crt"])(
    "takes no key %j that is somebody else's, and says whose it is",
    async (key) => {
      const { victim, aws, shop } = arena;
      const name = unique("theirs");
      await secretIn(shop, name, { data: encoded({ [key]: "theirs" }) });
      aws.put(`prod/${shop}/${name}`, canary("ours"));
      const harmless = { secretKey: "harmless", remoteRef: { key: `prod/${shop}/${name}` } };
      const spec = { providerRef: victim.providerRef, refreshInterval: "1h" };
      await victim.sync(name, merging({ ...spec, data: [harmless] }, name));
      await victim.untilReason(name, "Synced");
      const taking = { secretKey: key, remoteRef: { key: `prod/${shop}/${name}` } };
      await victim.sync(name, merging({ ...spec, data: [harmless, taking] }, name));
      expect((await victim.untilReason(name, "TargetConflict")).message).toMatch(
        new RegExp(`key "${key.replace(".", "\\.")}" of Secret ${name} belongs to "[^"]+"`),
      );
      await victim.sync(name, merging({ ...spec, data: [harmless] }, name));
      await victim.untilReason(name, "Synced");
      expect((await victim.values(name))?.[key]).toBe("theirs");
    },
  );

  it("takes back a key that it added and somebody changed", async () => {
    const { victim, aws, shop, api } = arena;
    const name = unique("shared");
    await secretIn(shop, name, { data: encoded({ theirs: "x" }) });
    aws.put(`prod/${shop}/${name}`, canary("ours"));
    const data = [{ secretKey: "ours", remoteRef: { key: `prod/${shop}/${name}` } }];
    await victim.sync(name, merging({ providerRef: victim.providerRef, refreshInterval: "1h", data }, name));
    await victim.untilReason(name, "Synced");
    const edit = { metadata: { name, namespace: shop }, data: encoded({ ours: "edited" }) } as KubeObject;
    await api.apply(resources.secret, edit, { fieldManager: "somebody", force: true }, signal);
    await until("it is back", async () => (await victim.values(name))?.["ours"] === canary("ours"));
  });

  it("of very many keys is refused", async () => {
    const { victim, aws, shop } = arena;
    const name = unique("many");
    await secretIn(shop, name, { data: encoded({ password: "theirs" }) });
    aws.put(
      `prod/${shop}/${name}`,
      JSON.stringify(Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`k${index}`, "x"]))),
    );
    const dataFrom = [{ extract: { key: `prod/${shop}/${name}` } }];
    await victim.sync(name, merging({ providerRef: victim.providerRef, dataFrom }, name));
    expect((await victim.untilReason(name, "TooLarge")).message).toContain("adds 300 keys");
  });

  it("never goes into a Secret of a type that gives power, whoever labelled it", async () => {
    const { victim, aws, shop } = arena;
    const name = unique("token");
    await run("create", "serviceaccount", name, "-n", shop);
    await secretIn(shop, name, {
      metadata: {
        name,
        namespace: shop,
        labels: { "secretsync.dev/managed": "true" },
        annotations: { "kubernetes.io/service-account.name": name },
      },
      type: "kubernetes.io/service-account-token",
    });
    aws.put(`prod/${shop}/${name}`, canary("x"));
    const data = [{ secretKey: "mine", remoteRef: { key: `prod/${shop}/${name}` } }];
    await victim.sync(name, merging({ providerRef: victim.providerRef, data }, name));
    expect((await victim.untilReason(name, "TargetConflict")).message).toContain("a type that gives power");
  });
});

it("S11: what somebody wrote under the operator's name is undone when a refresh is asked for", async () => {
  const { victim, api, shop } = arena;
  const before = await api.get(resources.secret, "steady", shop, signal);
  const { labels = {}, annotations = {}, ownerReferences = [] } = before?.metadata ?? {};
  const forged = {
    metadata: { name: "steady", namespace: shop, labels, annotations, ownerReferences },
    data: encoded({ password: "EVIL" }),
    type: "Opaque",
  } as KubeObject;
  const right = (await victim.values("steady"))?.["password"];
  await api.apply(resources.secret, forged, { fieldManager: "secretsync", force: true }, signal);
  expect((await victim.values("steady"))?.["password"]).toBe("EVIL");
  const { spec } = (await victim.getSync("steady"))!;
  await victim.sync("steady", spec ?? {}, request());
  await until("it is restored", async () => (await victim.values("steady"))?.["password"] === right);
  expect(await arena.operator.metric("secretsync_drift_repairs_total")).toBeGreaterThan(0);
});

it("S18: a SecretSync of the same name deletes nothing that it didn't write", async () => {
  const providerRef = await letTenantRead(arena);
  const key = `prod/${arena.evil}/kept`;
  arena.aws.put(key, "kept");
  const data = (of: string) => [{ secretKey: "a", remoteRef: { key: of } }];
  await sync("kept", { providerRef, data: data(key), target: { creationPolicy: "Orphan" } });
  await arena.inEvil.untilReason("kept", "Synced");
  const { uid = "" } = (await arena.inEvil.getSync("kept"))!.metadata;
  await arena.api.delete(resources.secretSync, "kept", arena.evil, { uid }, signal);
  await sync("kept", { providerRef, data: data(`${key}-typo`), target: { deletionPolicy: "Delete" } });
  await arena.inEvil.untilReason("kept", "SecretNotFound");
  expect(await arena.inEvil.values("kept")).toEqual({ a: "kept" });
});

describe("S19, S20: what is refused when it is applied", () => {
  it.each(["prod/evil/ключ", "prod/evil/a b", "prod/evil/\u001b[31mred", "a\nb", "prod/evil/\u202Egnp"])(
    "the key %j",
    async (key) => {
      const manifest = {
        apiVersion: "secretsync.dev/v1alpha1",
        kind: "SecretSync",
        metadata: { name: "odd", namespace: arena.evil },
        spec: { providerRef: { name: "aws" }, data: [{ secretKey: "a", remoteRef: { key } }] },
      };
      const { ok, output } = await runWith(JSON.stringify(manifest), "apply", "--server-side", "-f", "-");
      expect(ok).toBe(false);
      expect(output).toContain("a key consists of letters, digits");
    },
  );

  it("and a key that only AWS refuses holds up no batch", async () => {
    const providerRef = await letTenantRead(arena);
    const keys = Array.from({ length: 18 }, (_, index) => `prod/${arena.evil}/fine-${index}`);
    for (const key of keys) arena.aws.put(key, "v");
    const bad = `prod/${arena.evil}/!bad`;
    arena.aws.fault = (operation, input) => {
      const ids = (input["SecretIdList"] ?? [input["SecretId"]]) as string[];
      return ids.includes(bad) && operation !== "ListSecrets"
        ? { kind: "error", status: 400, type: "ValidationException" }
        : undefined;
    };
    try {
      arena.aws.resetCalls();
      const data = [...keys, bad].map((key, index) => ({
        secretKey: `k${index}`,
        remoteRef: { key },
        optional: true,
      }));
      await sync("batch", { providerRef, refreshInterval: "0s", data });
      await arena.inEvil.untilReason("batch", "ProviderRefused");
      // Halves of nineteen: not nineteen single reads.
      expect(arena.aws.calls.get("GetSecretValue") ?? 0).toBeLessThanOrEqual(3);
    } finally {
      arena.aws.fault = () => undefined;
    }
  });
});

it("S20: text that others put into records and payloads shows nowhere as it is", async () => {
  const providerRef = await letTenantRead(arena);
  const key = `prod/${arena.evil}/odd-names`;
  arena.aws.put(key, JSON.stringify({ "CaNaRy\u001b[31m/..": "x" }));
  await sync("odd", { providerRef, dataFrom: [{ extract: { key } }] });
  expect((await arena.inEvil.untilReason("odd", "InvalidValue")).message).not.toContain("CaNaRy");
  arena.aws.put(`prod/${arena.evil}/plain`, "v");
  await sync("plain", {
    providerRef,
    refreshInterval: "1h",
    data: [{ secretKey: "a", remoteRef: { key: `prod/${arena.evil}/plain` } }],
  });
  await arena.inEvil.untilReason("plain", "Synced");
  const secret = await arena.inEvil.getSecret("plain");
  const record = JSON.parse(secret?.metadata.annotations?.["secretsync.dev/digests"] ?? "{}") as Record<
    string,
    unknown
  >;
  const change = {
    kind: "updated",
    at: "2030-01-01T00:00:00.000Z",
    trigger: "Refresh",
    keys: ["\u001b[31mINJECTED\nline"],
  };
  const annotations = { "secretsync.dev/digests": JSON.stringify({ ...record, change }) };
  await arena.tenant.apply(
    resources.secret,
    { metadata: { name: "plain", namespace: arena.evil, annotations } },
    { fieldManager: "evil", force: true },
    signal,
  );
  await until("it is mended", async () => {
    const now = await arena.inEvil.getSecret("plain");
    return !now?.metadata.annotations?.["secretsync.dev/digests"]?.includes("INJECTED");
  });
  const { history } = await arena.inEvil.untilReason("plain", "Synced");
  expect(JSON.stringify(history)).not.toContain("INJECTED");
});

it("S21: asking again and again for a refresh reads the store no more often than it may be read", async () => {
  const providerRef = await letTenantRead(arena);
  const key = `prod/${arena.evil}/asked`;
  arena.aws.put(key, "v");
  const spec = { providerRef, refreshInterval: "1h", data: [{ secretKey: "a", remoteRef: { key } }] };
  await sync("asked", spec);
  await arena.inEvil.untilReason("asked", "Synced");
  const before = arena.aws.asked.get(key) ?? 0;
  for (let turn = 0; turn < 40; turn++) await arena.inEvil.sync("asked", spec, request());
  await arena.victim.probe();
  expect((arena.aws.asked.get(key) ?? 0) - before).toBeLessThanOrEqual(6);
});

it("S30: a namespace's provider is nobody else's, whatever the namespace is called", async () => {
  const [name, source] = [unique("wide"), unique("source")];
  const put = (value: string) =>
    arena.api.apply(
      resources.secret,
      {
        metadata: { name: "db", namespace: source, annotations: { "secretsync.dev/shared-with": "*" } },
        data: encoded({ a: value }),
      } as KubeObject,
      { fieldManager: "admin", force: true },
      signal,
    );
  for (const each of [source, "cluster"])
    await arena.api.create(resources.namespace, { metadata: { name: each } }, signal);
  await put("one");
  const access = [{ namespaces: { names: [arena.shop] }, keys: ["**"] }];
  await arena.api.create(
    resources.clusterSecretProvider,
    { metadata: { name }, spec: { kubernetes: { namespace: source }, access } } as KubeObject,
    signal,
  );
  const spec = {
    providerRef: { kind: "ClusterSecretProvider", name },
    refreshInterval: "1h",
    dataFrom: [{ extract: { key: "db" } }],
  };
  await arena.victim.sync(name, spec);
  const isThere = (value: string) =>
    until(`${value} is there`, async () => (await arena.victim.values(name))?.["a"] === value);
  await isThere("one");
  // A provider of that name whose credentials can't be read: its users keep no connection.
  const auth = { secretRef: { name: "none" } };
  const theirs = { name, namespace: "cluster" };
  await arena.api.create(
    resources.secretProvider,
    { metadata: theirs, spec: { aws: { regions: ["eu-west-1"], auth } } } as KubeObject,
    signal,
  );
  const data = [{ secretKey: "a", remoteRef: { key: "k" } }];
  const object = { metadata: theirs, spec: { providerRef: { name }, data } } as KubeObject;
  await arena.api.create(resources.secretSync, object, signal);
  await until("it was looked at", async () => {
    const seen = await arena.api.get<SyncObject>(resources.secretSync, name, "cluster", signal);
    return seen?.status?.conditions?.some(({ reason }) => reason === "CredentialsNotFound");
  });
  // What its store tells still comes, though nobody asks for an hour.
  await put("two");
  await isThere("two");
});

it("S22: a glob of paths matches no ARN", async () => {
  const name = unique("wide");
  await arena.api.create(
    resources.clusterSecretProvider,
    {
      metadata: { name },
      spec: {
        aws: { regions: ["eu-west-1"] },
        access: [{ namespaces: { names: [arena.evil] }, keys: ["*/{{namespace}}/*", "**"] }],
      },
    } as KubeObject,
    signal,
  );
  const key = `arn:aws:secretsmanager:eu-west-1:999999999999:secret:any/${arena.evil}/thing-AbCdEf`;
  await sync("arn", {
    providerRef: { kind: "ClusterSecretProvider", name },
    data: [{ secretKey: "a", remoteRef: { key } }],
  });
  await arena.inEvil.untilReason("arn", "KeyNotAllowed");
  expect(arena.aws.asked.get(key)).toBeUndefined();
});

it("S23: a signal opens no debugger", async () => {
  const { child, probesUrl } = arena.operator;
  child.process.kill("SIGUSR1");
  await arena.victim.probe();
  expect((await fetch(`${probesUrl}/healthz`)).ok).toBe(true);
  expect(readFileSync(child.logFile, "utf8")).not.toContain("Debugger listening");
});

describe("S24: who writes a provider", () => {
  it("doesn't learn from its messages what there is", async () => {
    await secretIn(arena.evil, "there", { data: encoded({ some: "x" }) });
    const messages = [];
    for (const name of ["there", "gone"]) {
      await arena.tenant.apply(
        resources.secretProvider,
        {
          metadata: { name, namespace: arena.evil },
          spec: { aws: { regions: ["eu-west-1"], auth: { secretRef: { name } } } },
        } as KubeObject,
        { fieldManager: "evil", force: true },
        signal,
      );
      await sync(name, { providerRef: { name }, data: [{ secretKey: "a", remoteRef: { key: "k" } }] });
      messages.push(
        (await arena.inEvil.untilReason(name, "CredentialsNotFound")).message.replaceAll(name, "NAME"),
      );
    }
    expect(messages[0]).toBe(messages[1]);
  });

  it("nor, of the admin's, where the credentials are", async () => {
    const name = unique("admins");
    const secretRef = { name: "hidden-place", namespace: "kube-system" };
    await arena.api.create(
      resources.clusterSecretProvider,
      {
        metadata: { name },
        spec: {
          aws: { regions: ["eu-west-1"], auth: { secretRef } },
          access: [{ namespaces: { names: [arena.evil] }, keys: ["**"] }],
        },
      } as KubeObject,
      signal,
    );
    await sync("admins", {
      providerRef: { kind: "ClusterSecretProvider", name },
      data: [{ secretKey: "a", remoteRef: { key: "k" } }],
    });
    const { message } = await arena.inEvil.untilReason("admins", "CredentialsNotFound");
    expect(message).not.toMatch(/hidden-place|kube-system/);
    await until("the log tells the admin", () =>
      arena.operator
        .logs()
        .some((line) => JSON.stringify(line).includes("kube-system/hidden-place doesn't exist")),
    );
  });
});
