import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { stringify } from "yaml";
import type { KubeApi, KubeObject } from "../../src/kube/kube-api.ts";
import { resources } from "../../src/kube/resources.ts";
import type { Transport } from "../../src/kube/transport.ts";
import type { WorkloadObject } from "../../src/rollout/workload.ts";
import { AwsStandIn } from "../support/aws-stand-in.ts";
import { run, runWith } from "../support/kubectl.ts";
import { canary } from "../support/leaks.ts";
import type { OperatorProcess } from "../support/operator.ts";
import {
  clusterProvider,
  newAdmin,
  newTenant,
  request,
  restartedFor,
  signal,
  unique,
} from "../support/suite.ts";
import { until } from "../support/wait.ts";

/** The operator on the real apiserver, against the AWS stand-in. */

const aws = new AwsStandIn();
const ownAws = new AwsStandIn();
let transport: Transport;
let api: KubeApi;
let operator: OperatorProcess;
let ns: Awaited<ReturnType<typeof newTenant>>;
let namespace: string;
let provider: string;
let providerRef: { kind: string; name: string };

beforeAll(async () => {
  ({ api, transport } = newAdmin());
  ns = await newTenant(api, "sync", await aws.start());
  ({ namespace, providerRef } = ns);
  provider = providerRef.name;
  operator = await ns.startOperator();
}, 60_000);

afterAll(async () => {
  await operator.stop();
  await aws.stop();
  transport.close();
});

const spec = (key: string, more: Record<string, unknown> = {}) =>
  ns.spec(key, { refreshInterval: "2s", ...more });

/** A SecretSync with a secret of its own, synced. */
async function synced(more: Record<string, unknown> = {}, value = "one") {
  const name = unique("s");
  aws.put(name, canary(value));
  await ns.sync(name, spec(name, more));
  await ns.untilReason(name, "Synced");
  return name;
}

const untilValue = (secret: string, key: string, value: string | undefined) =>
  ns.untilValue(secret, key, value);

describe("a SecretSync", () => {
  it("becomes a Secret that it owns, with a status that tells where it came from", async () => {
    const name = await synced();
    const secret = await ns.getSecret(name);
    expect(await ns.values(name)).toEqual({ password: canary("one") });
    expect(secret?.metadata.ownerReferences).toMatchObject([{ kind: "SecretSync", name, controller: true }]);
    const { object } = await ns.untilReason(name, "Synced");
    expect(object.status).toMatchObject({
      secretRef: { name },
      provider,
      sources: [{ provider: `ClusterSecretProvider/${provider}`, key: name, versionStages: ["AWSCURRENT"] }],
      history: [{ trigger: "Created", keys: ["password"], outcome: "Written" }],
    });
  });

  it("follows a rotation by itself, at its interval", async () => {
    const name = await synced();
    aws.put(name, canary("two"));
    await untilValue(name, "password", canary("two"));
    const { history } = await until("history shows it", async () => {
      const result = await ns.untilReason(name, "Synced");
      return result.history.length > 1 && result;
    });
    expect(history[0]).toMatchObject({ trigger: "Refresh", keys: ["password"] });
  });

  it("follows at once when it is asked to, whatever its interval", async () => {
    const name = await synced({ refreshInterval: "0s" });
    aws.put(name, canary("two"));
    const annotations = request();
    await ns.sync(name, spec(name, { refreshInterval: "0s" }), annotations);
    await untilValue(name, "password", canary("two"));
    await until(
      "the request is echoed",
      async () => (await ns.getSync(name))?.status?.lastHandledReconcileAt === Object.values(annotations)[0],
    );
  });

  it("writes nothing while nothing changes", async () => {
    const name = await synced();
    const before = [await ns.getSecret(name), await ns.getSync(name)].map(
      (object) => object?.metadata.resourceVersion,
    );
    const calls = aws.callCount;
    await until("it was refreshed at least twice", () => aws.callCount > calls + 2);
    expect(
      [await ns.getSecret(name), await ns.getSync(name)].map((object) => object?.metadata.resourceVersion),
    ).toEqual(before);
  });

  it("is looked up at each of its intervals, and visited by nobody while nothing is new", async () => {
    const alone = await newTenant(api, "alone", await ownAws.start());
    const name = unique("s");
    ownAws.put(name, canary("one"));
    await alone.sync(name, alone.spec(name, { refreshInterval: "1s" }));
    const own = await alone.startOperator();
    await alone.untilReason(name, "Synced");
    const looks = () =>
      ["DescribeSecret", "ListSecrets"].reduce((sum, call) => sum + (ownAws.calls.get(call) ?? 0), 0);
    const polled = () => own.metric("secretsync_polled_objects_total", { result: "unchanged" });
    const reconciles = () => own.metric("secretsync_reconcile_total");
    await until("it was polled", async () => (await polled()) > 0);
    const before = { looks: looks(), polled: await polled(), reconciles: await reconciles() };
    // One look may lie before the first count and its poll's end behind it.
    await until("it was polled some times", async () => (await polled()) >= before.polled + 7);
    expect(looks() - before.looks).toBeGreaterThanOrEqual(6);
    expect(await reconciles()).toBe(before.reconciles);
    ownAws.put(name, canary("two"));
    await alone.untilValue(name, "password", canary("two"));
    await own.stop();
    await ownAws.stop();
  }, 40_000);

  it("is deleted with its Secret by the owner reference; the operator needs no finalizer", async () => {
    const name = await synced();
    const sync = await ns.getSync(name);
    expect(sync?.metadata).not.toHaveProperty("finalizers");
    await api.delete(resources.secretSync, name, namespace, { uid: sync?.metadata.uid ?? "" }, signal);
    await until("the Secret is gone", async () => (await ns.getSecret(name)) === undefined);
  });
});

describe("drift", () => {
  it("is repaired when somebody edits a key", async () => {
    const name = await synced({ refreshInterval: "1h" });
    const edit = {
      metadata: { name, namespace },
      data: { password: Buffer.from("hacked").toString("base64") },
    };
    await api.apply(resources.secret, edit, { fieldManager: "kubectl-edit", force: true }, signal);
    await untilValue(name, "password", canary("one"));
    const { history } = await until("history tells", async () => {
      const result = await ns.untilReason(name, "Synced");
      return result.history[0]?.trigger === "Drift" && result;
    });
    expect(history[0]).toMatchObject({ outcome: "Repaired" });
  });

  it("is repaired when somebody deletes the Secret", async () => {
    const name = await synced({ refreshInterval: "1h" });
    const before = await ns.getSecret(name);
    await api.delete(resources.secret, name, namespace, { uid: before?.metadata.uid ?? "" }, signal);
    await until("another Secret is there", async () => {
      const uid = (await ns.getSecret(name))?.metadata.uid;
      return uid !== undefined && uid !== before?.metadata.uid;
    });
    expect(await ns.values(name)).toEqual({ password: canary("one") });
  });

  it("keeps the keys that others add", async () => {
    const name = await synced({ refreshInterval: "1h" });
    const more = { metadata: { name, namespace }, data: { theirs: Buffer.from("x").toString("base64") } };
    await api.apply(resources.secret, more, { fieldManager: "somebody", force: true }, signal);
    aws.put(name, canary("two"));
    await ns.sync(name, spec(name, { refreshInterval: "1h" }), request());
    await untilValue(name, "password", canary("two"));
    expect((await ns.values(name))?.["theirs"]).toBe("x");
  });
});

describe("a failure", () => {
  it.each([
    [
      "an outage",
      () => ({ kind: "error", status: 503, type: "ServiceUnavailable" }) as const,
      "ProviderUnreachable",
    ],
    ["a reset", () => ({ kind: "reset" }) as const, "ProviderUnreachable"],
    ["a truncated answer", () => ({ kind: "truncate" }) as const, "ProviderUnreachable"],
    [
      "an answer that is no JSON",
      () => ({ kind: "body", body: "<html>proxy</html>" }) as const,
      "ProviderUnreachable",
    ],
    ["an empty answer", () => ({ kind: "body", body: "{}" }) as const, "ProviderRefused"],
    [
      "bad credentials",
      () => ({ kind: "error", status: 400, type: "UnrecognizedClientException" }) as const,
      "AuthenticationFailed",
    ],
    [
      "a denial",
      () => ({ kind: "error", status: 400, type: "AccessDeniedException" }) as const,
      "AccessDenied",
    ],
    [
      "a broken KMS key",
      () => ({ kind: "error", status: 400, type: "DecryptionFailure" }) as const,
      "DecryptionFailed",
    ],
  ])(
    "of %s keeps the Secret, says why, and is over by itself",
    async (_case, fault, reason) => {
      const name = await synced();
      aws.fault = fault;
      try {
        const { object } = await ns.untilReason(name, reason);
        expect(await ns.values(name)).toEqual({ password: canary("one") });
        expect(object.status?.conditions?.some(({ type }) => type === "Stale")).toBe(true);
      } finally {
        aws.fault = () => undefined;
      }
      aws.put(name, canary("two"));
      await untilValue(name, "password", canary("two"));
      await ns.untilReason(name, "Synced");
    },
    60_000,
  );

  it("of one key in a batch is a failure of that key alone", async () => {
    const names = await Promise.all([synced({ refreshInterval: "1h" }), synced({ refreshInterval: "1h" })]);
    const [bad, good] = names;
    aws.fault = (operation, input) => {
      if (operation === "BatchGetSecretValue")
        return { kind: "partial", keys: [bad], code: "AccessDeniedException" };
      return operation === "GetSecretValue" && input["SecretId"] === bad
        ? { kind: "error", status: 400, type: "AccessDeniedException" }
        : undefined;
    };
    try {
      for (const name of names) aws.put(name, canary("two"));
      await Promise.all(names.map((name) => ns.sync(name, spec(name, { refreshInterval: "1h" }), request())));
      await untilValue(good, "password", canary("two"));
      await ns.untilReason(bad, "AccessDenied");
      expect(await ns.values(bad)).toEqual({ password: canary("one") });
    } finally {
      aws.fault = () => undefined;
    }
  });

  it("tells one event, however often it is tried", async () => {
    const name = unique("missing");
    await ns.sync(name, spec(name));
    const { message } = await ns.untilReason(name, "SecretNotFound");
    expect(message).toBe(
      `spec.data[0] (${name} from ClusterSecretProvider/${provider}): the provider has no such secret or version; create it, or correct the key; it was looked for in AWS Secrets Manager in eu-west-1`,
    );
    const tries = await operator.metric("secretsync_reconcile_total", { result: "retry" });
    await until(
      "it was tried again",
      async () => (await operator.metric("secretsync_reconcile_total", { result: "retry" })) > tries + 1,
    );
    const events = await api.list<
      KubeObject & { reason: string; type: string; involvedObject: { name: string } }
    >(resources.event, { namespace, limit: 500 }, signal);
    const ours = (events.items ?? []).filter(({ involvedObject }) => involvedObject.name === name);
    expect(ours.map(({ type, reason }) => [type, reason])).toEqual([["Warning", "SecretNotFound"]]);
    aws.put(name, canary("late"));
    await ns.untilReason(name, "Synced");
  }, 30_000);

  it.each([
    ["text that is not JSON", `not json ${canary("text")}`, "InvalidValue"],
    ["JSON that is too deep", `["${canary("deep")}",${"[".repeat(50_000)}`, "InvalidValue"],
    ["hostile names", JSON.stringify({ "../../etc": canary("hostile") }), "InvalidValue"],
    ["nothing in it", "{}", "PropertyNotFound"],
    [
      "invalid UTF-8",
      Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(canary("bytes"))]),
      "InvalidValue",
    ],
    ["more than a Secret can hold", JSON.stringify({ big: canary("x").repeat(80_000) }), "TooLarge"],
  ])("of a payload with %s keeps the Secret", async (_case, payload, reason) => {
    const name = unique("bad");
    aws.put(name, JSON.stringify({ a: canary("good") }));
    const extract = { refreshInterval: "2s", providerRef, dataFrom: [{ extract: { key: name } }] };
    await ns.sync(name, extract);
    await ns.untilReason(name, "Synced");
    aws.put(name, payload);
    const { message } = await ns.untilReason(name, reason);
    expect(message).toContain("spec");
    expect(await ns.values(name)).toEqual({ a: canary("good") });
  });

  it("of 10,000 keys there is none", async () => {
    const name = unique("wide");
    aws.put(
      name,
      JSON.stringify(Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`key-${index}`, "v"]))),
    );
    await ns.sync(name, { providerRef, dataFrom: [{ extract: { key: name } }] });
    await ns.untilReason(name, "Synced", 30_000);
    expect(Object.keys((await ns.values(name)) ?? {})).toHaveLength(10_000);
  }, 40_000);
});

describe("walls between namespaces", () => {
  it("refuse a key that no rule allows, before anything is read", async () => {
    const other = unique("walled");
    await api.create(
      resources.clusterSecretProvider,
      {
        metadata: { name: other },
        spec: {
          aws: { regions: ["eu-west-1"] },
          access: [{ namespaces: { names: [namespace] }, keys: ["prod/{{namespace}}/*"] }],
        },
      } as KubeObject,
      signal,
    );
    const name = unique("s");
    const read = (key: string) => ({
      ...spec(key),
      providerRef: { kind: "ClusterSecretProvider", name: other },
    });
    aws.put("prod/elsewhere/db", canary("no"));
    aws.put(`prod/${namespace}/db`, canary("yes"));
    await ns.sync(name, { ...read("prod/elsewhere/db"), refreshInterval: "1h" });
    const { message } = await ns.untilReason(name, "KeyNotAllowed");
    expect(message).toContain(`doesn't let namespace ${namespace} read prod/elsewhere/db`);
    expect(await ns.getSecret(name)).toBeUndefined();
    await ns.sync(name, read(`prod/${namespace}/db`));
    await ns.untilReason(name, "Synced");
    expect(aws.asked.get("prod/elsewhere/db")).toBeUndefined();
    expect(aws.asked.get(`prod/${namespace}/db`)).toBeGreaterThan(0);
  });

  it("that are moved are seen at once, and take nothing away from the Secret", async () => {
    const other = unique("moved");
    const tag = unique("t");
    aws.put(`a/${tag}`, canary("mine"), { team: tag });
    const allow = (keys: string[]) =>
      api.apply(
        resources.clusterSecretProvider,
        {
          metadata: { name: other },
          spec: { aws: { regions: ["eu-west-1"] }, access: [{ namespaces: { names: [namespace] }, keys }] },
        } as KubeObject,
        { fieldManager: "user", force: true },
        signal,
      );
    await allow(["a/**"]);
    const name = unique("s");
    const providerRef = { kind: "ClusterSecretProvider", name: other };
    await ns.sync(name, {
      providerRef,
      refreshInterval: "0s",
      dataFrom: [{ find: { tags: { team: tag } } }],
      target: { deletionPolicy: "Delete" },
    });
    await ns.untilReason(name, "Synced");
    await allow(["b/**"]);
    await ns.untilReason(name, "KeyNotAllowed");
    expect(await ns.values(name)).toEqual({ [`a_${tag}`]: canary("mine") });
    await allow(["a/**"]);
    await ns.untilReason(name, "Synced");
  });

  it("hide from a find what a namespace may not read", async () => {
    const other = unique("walled");
    const tag = unique("t");
    aws.put(`a/${tag}/mine`, canary("mine"), { team: tag });
    aws.put(`b/${tag}/theirs`, canary("theirs"), { team: tag });
    await api.create(
      resources.clusterSecretProvider,
      {
        metadata: { name: other },
        spec: {
          aws: { regions: ["eu-west-1"] },
          access: [{ namespaces: { names: [namespace] }, keys: ["a/**"] }],
        },
      } as KubeObject,
      signal,
    );
    const name = unique("s");
    await ns.sync(name, {
      providerRef: { kind: "ClusterSecretProvider", name: other },
      dataFrom: [{ find: { tags: { team: tag } } }],
    });
    await ns.untilReason(name, "Synced");
    expect(await ns.values(name)).toEqual({ [`a_${tag}_mine`]: canary("mine") });
  });

  it("give a SecretProvider no identity of the operator's, but its own keys", async () => {
    const name = unique("own");
    const ref = { ...spec(name), providerRef: { name } };
    aws.put(name, canary("own"));
    await ns.sync(name, ref);
    await ns.untilReason(name, "ProviderNotFound");
    await api.create(
      resources.secretProvider,
      { metadata: { name, namespace }, spec: { aws: { regions: ["eu-west-1"] } } } as KubeObject,
      signal,
    );
    await ns.untilReason(name, "AmbientIdentityRefused");
    const withKeys = {
      metadata: { name, namespace },
      spec: { aws: { regions: ["eu-west-1"], auth: { secretRef: { name: "keys" } } } },
    } as KubeObject;
    await api.apply(resources.secretProvider, withKeys, { fieldManager: "user", force: true }, signal);
    expect((await ns.untilReason(name, "CredentialsNotFound")).message).toContain(
      "Secret keys doesn't exist, or lacks one of the keys accessKeyID, secretAccessKey",
    );
    const keys = {
      metadata: { name: "keys", namespace },
      stringData: { accessKeyID: "AKIA", secretAccessKey: canary("key") },
    };
    await api.create(resources.secret, keys, signal);
    await ns.untilReason(name, "Synced");
  }, 30_000);
});

describe("identities", () => {
  const keysOf = (name: string, accessKeyID: string, more: Record<string, string> = {}, space = namespace) =>
    api.create(
      resources.secret,
      {
        metadata: { name, namespace: space },
        stringData: { accessKeyID, secretAccessKey: canary("key"), ...more },
      } as KubeObject,
      signal,
    );
  const providerWith = (name: string, secretRef: Record<string, string>) =>
    api.create(
      resources.secretProvider,
      {
        metadata: { name, namespace },
        spec: { aws: { regions: ["eu-west-1"], auth: { secretRef } } },
      } as KubeObject,
      signal,
    );

  it("share nothing: two that read one key make a call each, and each gets what it may", async () => {
    const key = unique("shared");
    aws.put(key, canary("shared"));
    const [may, mayNot] = [unique("AKIAMAY"), unique("AKIANOT")];
    aws.mayRead = (accessKeyId, name) => accessKeyId !== mayNot || name !== key;
    const names: Record<string, string> = {};
    for (const id of [may, mayNot]) {
      const name = unique("tenant");
      names[id] = name;
      await keysOf(`${name}-keys`, id);
      await providerWith(name, { name: `${name}-keys` });
      await ns.sync(name, { ...spec(key, { refreshInterval: "1h" }), providerRef: { name } });
    }
    await ns.untilReason(names[may]!, "Synced");
    await ns.untilReason(names[mayNot]!, "AccessDenied");
    expect(await ns.getSecret(names[mayNot]!)).toBeUndefined();
    expect(aws.identities.get(may)).toBeGreaterThan(0);
    expect(aws.identities.get(mayNot)).toBeGreaterThan(0);
    aws.mayRead = () => true;
  }, 40_000);

  it("may have session tokens, other names of keys, and for cluster providers another namespace", async () => {
    const key = unique("k");
    aws.put(key, canary("one"));
    const elsewhere = await newTenant(api, "keys", "");
    const [name, id, token] = [unique("cluster"), unique("AKIA"), unique("token")];
    await keysOf(name, id, { session: token }, elsewhere.namespace);
    const secretRef = { name, namespace: elsewhere.namespace, sessionTokenKey: "session" };
    await api.create(
      resources.clusterSecretProvider,
      clusterProvider(name, [namespace], { aws: { regions: ["eu-west-1"], auth: { secretRef } } }),
      signal,
    );
    await ns.sync(name, { ...spec(key), providerRef: { kind: "ClusterSecretProvider", name } });
    await ns.untilReason(name, "Synced");
    expect(aws.identities.get(`${id} ${token}`)).toBeGreaterThan(0);
  });
});

describe("the target", () => {
  it("of somebody else stays as it is", async () => {
    const name = unique("foreign");
    await api.create(
      resources.secret,
      { metadata: { name, namespace }, data: { theirs: "eA==" } } as KubeObject,
      signal,
    );
    aws.put(name, canary("one"));
    await ns.sync(name, spec(name));
    await ns.untilReason(name, "TargetConflict");
    expect(await ns.values(name)).toEqual({ theirs: "x" });
    const handOver = { metadata: { name, namespace, annotations: { "secretsync.dev/owner": name } } };
    await api.apply(resources.secret, handOver, { fieldManager: "user", force: true }, signal);
    await ns.sync(name, spec(name), request());
    await ns.untilReason(name, "Synced");
  });

  it("of two SecretSyncs is written by one, without a war, until it goes", async () => {
    const target = unique("shared");
    const [first, second] = [unique("a"), unique("b")];
    for (const name of [first, second]) aws.put(name, canary(name));
    await ns.sync(first, spec(first, { target: { name: target } }));
    await ns.untilReason(first, "Synced");
    await ns.sync(second, spec(second, { target: { name: target } }));
    expect((await ns.untilReason(second, "TargetConflict")).message).toContain(
      `is written by SecretSync ${first}`,
    );
    const version = (await ns.getSecret(target))?.metadata.resourceVersion;
    const reconciles = await operator.metric("secretsync_reconcile_total");
    await until(
      "both were looked at again",
      async () => (await operator.metric("secretsync_reconcile_total")) > reconciles + 5,
    );
    expect((await ns.getSecret(target))?.metadata.resourceVersion).toBe(version);
    const { metadata } = (await ns.getSync(first))!;
    await api.delete(resources.secretSync, first, namespace, { uid: metadata.uid ?? "" }, signal);
    await ns.untilReason(second, "Synced");
    await untilValue(target, "password", canary(second));
  }, 40_000);

  it("of creationPolicy Merge keeps a key that is there although nobody owns it, as after an apply of stringData", async () => {
    const target = unique("theirs");
    const theirs = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: target, namespace },
      stringData: { password: "theirs" },
    };
    expect((await runWith(stringify(theirs), "apply", "--server-side", "-f", "-")).ok).toBe(true);
    aws.put(target, canary("ours"));
    await ns.sync(target, spec(target, { target: { name: target, creationPolicy: "Merge" } }));
    const { message } = await ns.untilReason(target, "TargetConflict");
    expect(message).toContain(`key "password" of Secret ${target} belongs to "kubectl"`);
    expect(await ns.values(target)).toEqual({ password: "theirs" });
    // Once they give it up, it is added.
    const gone = { op: "remove", path: "/data/password" };
    await run("patch", "secret", target, "-n", namespace, "--type=json", `-p=${JSON.stringify([gone])}`);
    await ns.sync(target, spec(target, { target: { name: target, creationPolicy: "Merge" } }), request());
    await ns.untilValue(target, "password", canary("ours"));
  });

  it("of creationPolicy Merge gets our keys and keeps its own; a second merger keeps off them", async () => {
    const target = unique("base");
    await ns.sync(target, spec(target, { target: { name: target, creationPolicy: "Merge" } }));
    await ns.untilReason(target, "TargetNotFound");
    await api.create(
      resources.secret,
      { metadata: { name: target, namespace }, data: { base: "eA==" } } as KubeObject,
      signal,
    );
    aws.put(target, canary("one"));
    await ns.untilReason(target, "Synced");
    expect(await ns.values(target)).toEqual({ base: "x", password: canary("one") });
    expect((await ns.getSecret(target))?.metadata.ownerReferences).toBeUndefined();
    const other = unique("other");
    aws.put(other, canary("other"));
    await ns.sync(other, spec(other, { target: { name: target, creationPolicy: "Merge" } }));
    expect((await ns.untilReason(other, "TargetConflict")).message).toContain('key "password"');
    await ns.sync(
      other,
      spec(other, {
        data: [{ secretKey: "second", remoteRef: { key: other } }],
        target: { name: target, creationPolicy: "Merge" },
      }),
    );
    await ns.untilReason(other, "Synced");
    expect(await ns.values(target)).toEqual({ base: "x", password: canary("one"), second: canary("other") });
  }, 40_000);

  it("that is merged into first and owned then, or the other way round, is written on, and never taken along", async () => {
    const name = await synced({ refreshInterval: "1h" });
    const rotate = async (value: string, target: Record<string, unknown>) => {
      aws.put(name, canary(value));
      await ns.sync(name, spec(name, { refreshInterval: "1h", target }), request());
      await untilValue(name, "password", canary(value));
      await ns.untilReason(name, "Synced");
    };
    const theirs = { metadata: { name, namespace }, data: { theirs: "eA==" } };
    await api.apply(resources.secret, theirs, { fieldManager: "somebody", force: true }, signal);
    await rotate("two", { creationPolicy: "Merge" });
    await rotate("three", { creationPolicy: "Merge" });
    expect((await ns.getSecret(name))?.metadata.ownerReferences).toBeUndefined();
    const { uid = "" } = (await ns.getSync(name))!.metadata;
    await api.delete(resources.secretSync, name, namespace, { uid }, signal);
    // Another SecretSync of the name takes the key over from the one that is gone.
    await ns.sync(name, spec(name, { refreshInterval: "1h", target: { creationPolicy: "Merge" } }));
    await ns.untilReason(name, "Synced");
    await rotate("four", { creationPolicy: "Merge" });
    expect(await ns.values(name)).toEqual({ theirs: "x", password: canary("four") });
    const managers = (await ns.getSecret(name))?.metadata.managedFields?.map(({ manager }) => manager) ?? [];
    expect(managers.filter((manager) => manager?.startsWith("secretsync"))).toHaveLength(1);
  }, 40_000);

  it("of a type that gives power is never merged into", async () => {
    const name = unique("token");
    const token = {
      metadata: { name, namespace },
      type: "bootstrap.kubernetes.io/token",
      data: { "token-id": "eA==" },
    };
    await api.create(resources.secret, token, signal);
    aws.put(name, canary("one"));
    await ns.sync(name, spec(name, { target: { creationPolicy: "Merge" } }));
    expect((await ns.untilReason(name, "TargetConflict")).message).toContain("gives power");
    expect(await ns.values(name)).toEqual({ "token-id": "x" });
  });

  it("that the apiserver refuses for its content says so, and not that it is immutable", async () => {
    const name = unique("tls");
    aws.put(name, canary("one"));
    await ns.sync(name, spec(name, { target: { type: "kubernetes.io/tls" } }));
    const { message } = await ns.untilReason(name, "WriteFailed");
    expect(message).toContain("tls.crt");
    expect(message).not.toContain("immutable");
  });

  it("of creationPolicy Orphan outlives its SecretSync", async () => {
    const name = await synced({ target: { creationPolicy: "Orphan" } });
    const owned = await synced();
    expect((await ns.getSecret(name))?.metadata.ownerReferences).toBeUndefined();
    for (const each of [name, owned]) {
      const { metadata } = (await ns.getSync(each))!;
      await api.delete(resources.secretSync, each, namespace, { uid: metadata.uid ?? "" }, signal);
    }
    // The garbage collector has come by.
    await until("the owned one is gone", async () => (await ns.getSecret(owned)) === undefined);
    expect(await ns.values(name)).toEqual({ password: canary("one") });
  });

  it("that is immutable is written once", async () => {
    const name = await synced({ target: { immutable: true } });
    expect((await ns.getSecret(name))?.immutable).toBe(true);
    aws.put(name, canary("two"));
    await ns.untilReason(name, "TargetImmutable");
    expect(await ns.values(name)).toEqual({ password: canary("one") });
  });

  it("has the type, labels and annotations that the spec says, and loses those that it no longer says", async () => {
    const template = { metadata: { labels: { team: "shop" }, annotations: { note: "n" } } };
    const name = await synced({ target: { type: "example.com/db", template } });
    expect(await ns.getSecret(name)).toMatchObject({
      type: "example.com/db",
      metadata: { labels: { team: "shop" }, annotations: { note: "n" } },
    });
    await ns.sync(name, spec(name, { target: { type: "example.com/db" } }));
    await until(
      "the label is gone",
      async () => (await ns.getSecret(name))?.metadata.labels?.["team"] === undefined,
    );
    await ns.sync(name, spec(name, { target: { type: "example.com/other" } }));
    expect((await ns.untilReason(name, "TargetImmutable")).message).toContain(
      "delete it to have it written anew",
    );
    // Who deleted it for a type that it can't have either would lose it.
    await ns.sync(name, spec(name, { target: { type: "kubernetes.io/tls" } }));
    const { message } = await until("all causes are told", async () => {
      const told = await ns.untilReason(name, "TargetImmutable");
      return told.message.includes("tls.crt") && told;
    });
    expect(message).toContain("keep it, as the new one would be refused as well");
    expect(message).not.toContain("delete it");
  });

  it("that is renamed moves", async () => {
    const name = await synced();
    const renamed = unique("renamed");
    await ns.sync(name, spec(name, { target: { name: renamed } }));
    await untilValue(renamed, "password", canary("one"));
    await until("the old one is gone", async () => (await ns.getSecret(name)) === undefined);
  });
});

describe("when a secret is gone from the provider", () => {
  it.each(["Retain", "Delete", "Merge"])(
    "deletionPolicy %s does what it says",
    async (deletionPolicy) => {
      const name = unique("gone");
      const kept = unique("kept");
      aws.put(name, canary("gone"));
      aws.put(kept, canary("kept"));
      const data = [
        { secretKey: "a", remoteRef: { key: name } },
        { secretKey: "b", remoteRef: { key: kept } },
      ];
      await ns.sync(name, spec(name, { data, target: { deletionPolicy } }));
      await ns.untilReason(name, "Synced");
      aws.remove(name);
      if (deletionPolicy === "Merge") {
        await untilValue(name, "a", undefined);
        expect(await ns.values(name)).toEqual({ b: canary("kept") });
        return;
      }
      await ns.sync(name, spec(name, { data, target: { deletionPolicy } }), request());
      await ns.untilReason(name, "SecretNotFound");
      expect(await ns.values(name)).toEqual({ a: canary("gone"), b: canary("kept") });
      aws.remove(kept);
      if (deletionPolicy === "Retain") {
        const looks = () => aws.asked.get(kept) ?? 0;
        const before = looks();
        await until("it was looked at again and again", () => looks() > before + 1);
        expect(await ns.values(name)).toEqual({ a: canary("gone"), b: canary("kept") });
        return;
      }
      await ns.untilReason(name, "Deleted", 30_000);
      expect(await ns.getSecret(name)).toBeUndefined();
    },
    60_000,
  );
});

describe("what is read", () => {
  it("can be a version or a stage", async () => {
    const name = unique("versions");
    const version = aws.put(name, canary("old"));
    aws.put(name, canary("new"));
    const data = [
      { secretKey: "pinned", remoteRef: { key: name, version } },
      { secretKey: "previous", remoteRef: { key: name, versionStage: "AWSPREVIOUS" } },
      { secretKey: "current", remoteRef: { key: name } },
    ];
    await ns.sync(name, spec(name, { data }));
    await ns.untilReason(name, "Synced");
    expect(await ns.values(name)).toEqual({
      pinned: canary("old"),
      previous: canary("old"),
      current: canary("new"),
    });
    aws.put(name, canary("newest"));
    await untilValue(name, "previous", canary("new"));
    expect((await ns.values(name))?.["pinned"]).toBe(canary("old"));
  });

  it("can be found by path, name and tags, each exactly", async () => {
    const tag = unique("f");
    aws.put(`${tag}/app/a`, canary("a"), { team: tag, tier: "1" });
    aws.put(`${tag}/app/b`, canary("b"), { team: `${tag}-more`, tier: "1" });
    aws.put(`${tag}/app/x`, canary("x"), { team: tag, tier: "1" });
    aws.put(`${tag}/other`, canary("c"), { team: tag, tier: "11" });
    const name = unique("find");
    await ns.sync(
      name,
      spec(name, {
        data: undefined,
        dataFrom: [
          {
            find: { path: `${tag}/`, name: { regexp: "/[ad]$" }, tags: { team: tag, tier: "1" } },
            rewrite: [{ regexp: { source: `^${tag}/`, target: "" } }],
          },
        ],
      }),
    );
    await ns.untilReason(name, "Synced");
    expect(await ns.values(name)).toEqual({ app_a: canary("a") });
    aws.put(`${tag}/app/d`, canary("d"), { team: tag, tier: "1" });
    await untilValue(name, "app_d", canary("d"));
  });

  it("can come from several providers, binary and decoded", async () => {
    const second = unique("aws");
    await api.create(resources.clusterSecretProvider, clusterProvider(second, [namespace]), signal);
    const name = unique("mixed");
    aws.put(name, Buffer.from([0, 255, 1]));
    aws.put(`${name}-b64`, Buffer.from(canary("x")).toString("base64"));
    const data = [
      { secretKey: "binary", remoteRef: { key: name } },
      {
        secretKey: "decoded",
        remoteRef: { key: `${name}-b64`, decodingStrategy: "Base64" },
        providerRef: { kind: "ClusterSecretProvider", name: second },
      },
      { secretKey: "fallback", remoteRef: { key: `${name}-none` }, default: "d" },
    ];
    await ns.sync(name, spec(name, { data }));
    await ns.untilReason(name, "Synced");
    expect((await ns.getSecret(name))?.data).toEqual({
      binary: Buffer.from([0, 255, 1]).toString("base64"),
      decoded: Buffer.from(canary("x")).toString("base64"),
      fallback: Buffer.from("d").toString("base64"),
    });
  });
});

describe("suspend", () => {
  it("stops everything until it ends", async () => {
    const name = await synced();
    await ns.sync(name, spec(name, { suspend: true }));
    await ns.untilReason(name, "Suspended");
    aws.put(name, canary("two"));
    const secret = await ns.getSecret(name);
    await api.delete(resources.secret, name, namespace, { uid: secret?.metadata.uid ?? "" }, signal);
    const reconciles = await operator.metric("secretsync_reconcile_total");
    await until(
      "time has passed",
      async () => (await operator.metric("secretsync_reconcile_total")) > reconciles + 3,
    );
    expect(await ns.getSecret(name)).toBeUndefined();
    await ns.sync(name, spec(name));
    await untilValue(name, "password", canary("two"));
  });
});

describe("restarts", () => {
  it("happen once for a rotation, and not for the first adoption", async () => {
    const name = await synced({ refreshInterval: "1h" });
    const workload = await ns.adopted(name);
    expect(restartedFor(await workload())).toBeUndefined();
    const { generation = 0, name: deployment } = (await workload()).metadata;
    aws.put(name, canary("two"));
    await ns.sync(name, spec(name, { refreshInterval: "1h" }), request());
    const stamp = await until("it restarts", async () => restartedFor(await workload()));
    expect((await workload()).metadata.generation).toBe(generation + 1);
    await ns.sync(name, spec(name, { refreshInterval: "1h" }), request());
    await ns.untilHandled(name);
    expect(restartedFor(await workload())).toBe(stamp);
    expect((await workload()).metadata.generation).toBe(generation + 1);
    const { object } = await ns.untilReason(name, "Synced");
    expect(object.status?.conditions).toContainEqual(
      expect.objectContaining({ type: "Restarted", status: "True" }),
    );
    expect(object.status?.history?.[0]).toMatchObject({
      outcome: "Restarted",
      workloads: [`Deployment/${deployment}`],
    });
  });

  it("come for a listed workload that nobody knew before the change, and for one that was replaced", async () => {
    const name = await synced({ refreshInterval: "1h" });
    const deployment = unique("listed");
    const template = {
      metadata: { labels: { app: deployment } },
      spec: { containers: [{ name: "c", image: "busybox" }] },
    };
    const object = {
      metadata: { name: deployment, namespace },
      spec: { replicas: 0, selector: { matchLabels: { app: deployment } }, template },
    };
    const restart = { policy: "Listed", targets: [{ kind: "Deployment", name: deployment }] };
    await ns.sync(name, spec(name, { refreshInterval: "1h", restart }));
    await ns.untilReason(name, "Synced");
    await api.create(resources.Deployment, object, signal);
    const get = async () =>
      (await api.get<WorkloadObject>(resources.Deployment, deployment, namespace, signal)) as WorkloadObject;
    for (const value of ["two", "three"]) {
      const before = restartedFor(await get());
      aws.put(name, canary(value));
      await ns.sync(name, spec(name, { refreshInterval: "1h", restart }), request());
      await until(
        `it restarts for ${value}`,
        async () => ![before, undefined].includes(restartedFor(await get())),
      );
      // As kubectl replace and others do: everything that isn't in their file is gone.
      const consumed = {
        metadata: { name: deployment, namespace, annotations: { "secretsync.dev/consumed": "{}" } },
      };
      await api.apply(resources.Deployment, consumed, { fieldManager: "replacer", force: true }, signal);
    }
  }, 40_000);

  it("leave alone who doesn't consume the key that changed", async () => {
    const name = unique("keys");
    aws.put(name, canary("p1"));
    aws.put(`${name}-other`, canary("o1"));
    const data = [
      { secretKey: "password", remoteRef: { key: name } },
      { secretKey: "other", remoteRef: { key: `${name}-other` } },
    ];
    await ns.sync(name, spec(name, { data }));
    await ns.untilReason(name, "Synced");
    const workload = await ns.adopted(name);
    const { generation = 0 } = (await workload()).metadata;
    aws.put(`${name}-other`, canary("o2"));
    await untilValue(name, "other", canary("o2"));
    await until(
      "the status tells of it",
      async () => (await ns.getSync(name))?.status?.history?.length === 2,
    );
    aws.put(name, canary("p2"));
    await untilValue(name, "password", canary("p2"));
    await until("it restarts", async () => restartedFor(await workload()));
    expect((await workload()).metadata.generation).toBe(generation + 1);
  });

  it("keep what kubectl rollout restart and others wrote into the template", async () => {
    const name = await synced({ refreshInterval: "1h" });
    const workload = await ns.adopted(name);
    const theirs = {
      metadata: { name: (await workload()).metadata.name, namespace },
      spec: { template: { metadata: { annotations: { "kubectl.kubernetes.io/restartedAt": "now" } } } },
    };
    await api.apply(resources.Deployment, theirs, { fieldManager: "kubectl-rollout", force: true }, signal);
    aws.put(name, canary("two"));
    await ns.sync(name, spec(name, { refreshInterval: "1h" }), request());
    await until("it restarts", async () => restartedFor(await workload()));
    expect((await workload()).spec?.template?.metadata?.annotations).toMatchObject({
      "kubectl.kubernetes.io/restartedAt": "now",
    });
  });

  it("with policy None don't happen, with Listed only to those listed", async () => {
    const name = unique("policy");
    aws.put(name, canary("one"));
    const listed = unique("listed");
    const restart = { policy: "Listed", targets: [{ kind: "StatefulSet", name: listed }] };
    const template = {
      metadata: { labels: { app: listed } },
      spec: { containers: [{ name: "c", image: "busybox" }] },
    };
    await api.create(
      resources.StatefulSet,
      {
        metadata: { name: listed, namespace },
        spec: { replicas: 0, serviceName: "x", selector: { matchLabels: { app: listed } }, template },
      } as KubeObject,
      signal,
    );
    await ns.sync(name, spec(name, { restart }));
    await ns.untilReason(name, "Synced");
    const getListed = () => api.get<WorkloadObject>(resources.StatefulSet, listed, namespace, signal);
    await until(
      "it is adopted",
      async () => (await getListed())?.metadata.annotations?.["secretsync.dev/consumed"] !== undefined,
    );
    aws.put(name, canary("two"));
    await until("it restarts", async () => restartedFor((await getListed())!) !== undefined);
    await ns.sync(name, spec(name, { restart: { policy: "None" } }));
    await until(
      "its digest is dropped",
      async () => (await getListed())?.metadata.annotations?.["secretsync.dev/consumed"] === "{}",
    );
    const { generation } = (await getListed())!.metadata;
    aws.put(name, canary("three"));
    await untilValue(name, "password", canary("three"));
    // The status is written when all that the change asks for is done.
    await until(
      "the status tells of it",
      async () => (await ns.getSync(name))?.status?.history?.length === 3,
    );
    expect((await getListed())?.metadata.generation).toBe(generation);
  }, 30_000);
});

describe("the operator", () => {
  it("answers probes and serves its metrics", async () => {
    expect((await fetch(`${operator.probesUrl}/healthz`)).status).toBe(200);
    expect((await fetch(`${operator.probesUrl}/readyz`)).status).toBe(200);
    expect((await fetch(`${operator.probesUrl}/nothing`)).status).toBe(404);
    expect(await operator.metric("secretsync_leader")).toBe(1);
    expect(await operator.metric("secretsync_build_info")).toBe(1);
    expect(await operator.metric("secretsync_provider_calls_total", { result: "success" })).toBeGreaterThan(
      0,
    );
    expect(
      await operator.metric("secretsync_propagation_seconds_count", { stage: "source_to_secret" }),
    ).toBeGreaterThan(0);
    expect(
      await operator.metric("secretsync_restarts_total", { kind: "Deployment", result: "success" }),
    ).toBeGreaterThan(0);
    expect(await operator.metric("secretsync_restarts_total", { result: "failure" })).toBe(0);
    expect(await operator.metric("secretsync_overdue_objects")).toBe(0);
    expect(await operator.metric("secretsync_reconcile_total", { result: "error" })).toBe(0);
  });
});
