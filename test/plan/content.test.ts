import { describe, expect, it } from "@jest/globals";
import type { DecodingStrategy } from "../../src/api/secret-sync-sources.ts";
import { buildContent } from "../../src/plan/content.ts";
import { MOST_BYTES } from "../../src/plan/secret-data.ts";
import { decode } from "../../src/plan/decode.ts";
import type { FindResult } from "../../src/plan/sources.ts";
import { sourcesOf } from "../../src/plan/sources.ts";
import { SecretValue } from "../../src/providers/secret-value.ts";
import { CANARY, failing, fetched, found, missing, observed, specOf, value } from "../support/gen.ts";

function dataOf(spec: Record<string, unknown>, payload: string): Record<string, string> {
  const now = observed({}, spec);
  const content = buildContent(now.spec, fetched(now, found(payload)));
  if (content.kind !== "data") throw new Error(JSON.stringify(content));
  return Object.fromEntries([...content.data].map(([key, bytes]) => [key, bytes.reveal().toString()]));
}

function failureOf(spec: Record<string, unknown>, payload: string | SecretValue) {
  const now = observed({}, spec);
  const result = typeof payload === "string" ? found(payload) : { ...found(""), value: payload };
  const content = buildContent(now.spec, fetched(now, result));
  if (content.kind !== "failure") throw new Error(`no failure: ${content.kind}`);
  return content.failure;
}

const property = (name: string) => ({ data: [{ secretKey: "a", remoteRef: { key: "k", property: name } }] });
const extract = (more: Record<string, unknown> = {}) => ({
  data: undefined,
  dataFrom: [{ extract: { key: "k" }, ...more }],
});

describe("a property", () => {
  it.each([
    ["a member", "p", '{"p":"x"}', "x"],
    ["a path", "a.b.1", '{"a":{"b":["x","y"]}}', "y"],
    ["a name with dots before a path", "a.b", '{"a.b":"literal","a":{"b":"path"}}', "literal"],
    ["a number with all its digits", "n", '{"n":9007199254740993}', "9007199254740993"],
    ["a number as it was written", "n", '{"n":1.50e3}', "1.50e3"],
    ["a boolean", "b", '{"b":true}', "true"],
    ["an object as JSON, digits kept", "o", '{"o":{"x":9007199254740993}}', '{"x":9007199254740993}'],
    [
      "members of an object in their order",
      "o",
      '{"o":{"b":1,"10":2,"2":{"9":"x","1":1.0}}}',
      '{"b":1,"10":2,"2":{"9":"x","1":1.0}}',
    ],
    ["null in an object", "o", '{"o":{"x":null}}', '{"x":null}'],
    [
      "below a name with dots",
      "auths.registry.example.com.token",
      '{"auths":{"registry.example.com":{"token":"x"}}}',
      "x",
    ],
    ["below two names with dots", "a.b.c.d", '{"a.b":{"c.d":"x"}}', "x"],
    ["below the longest name", "a.b.c", '{"a":{"b":{"c":"short"}},"a.b":{"c":"long"}}', "long"],
    [
      "below a shorter name where the longest leads nowhere",
      "a.b.c",
      '{"a":{"b":{"c":"x"}},"a.b":{"d":1}}',
      "x",
    ],
    ["below a shorter name where the longest is null", "a.b", '{"a.b":null,"a":{"b":"x"}}', "x"],
    ["a name whose dot is escaped", "a\\.b", '{"a":{"b":"path"},"a.b":"literal"}', "literal"],
    ["an address", "hosts.10.0.0.1.user", '{"hosts":{"10.0.0.1":{"user":"x"}}}', "x"],
    ["a number-like name", "o.10", '{"o":{"b":1,"10":"x"}}', "x"],
    ["a name with nothing between dots", "a..b", '{"a..b":"x"}', "x"],
    ["an emoji", "e", '{"e":"\\ud83d\\ude00"}', "😀"],
    ["an empty string", "e", '{"e":""}', ""],
    ["__proto__ that is really there", "__proto__", '{"__proto__":"mine"}', "mine"],
  ])("can be %s", (_case, name, payload, expected) => {
    expect(dataOf(property(name), payload)).toEqual({ a: expected });
  });

  it.each(["__proto__", "constructor", "toString", "hasOwnProperty", "a.__proto__", "a.constructor.name"])(
    "%s isn't found unless the secret has it",
    (name) => {
      expect(failureOf(property(name), '{"a":{"b":"x"}}').reason).toBe("PropertyNotFound");
    },
  );

  it("isn't there when it is null, and an optional entry or a default says what then", () => {
    const entry = { secretKey: "a", remoteRef: { key: "k", property: "p.q" } };
    expect(failureOf({ data: [entry] }, '{"p":{"q":null}}')).toMatchObject({
      reason: "PropertyNotFound",
      message: expect.stringContaining('holds null at property "p.q"'),
    });
    const other = { secretKey: "b", remoteRef: { key: "k", property: "b" } };
    expect(dataOf({ data: [{ ...entry, default: "d" }] }, '{"p":{"q":null}}')).toEqual({ a: "d" });
    expect(dataOf({ data: [{ ...entry, optional: true }, other] }, '{"p":{"q":null},"b":"x"}')).toEqual({
      b: "x",
    });
  });

  it("isn't half of a surrogate pair", () => {
    for (const payload of ['{"p":"\\ud800"}', '{"p":"x\\udc00y"}'])
      expect(failureOf(property("p"), payload)).toMatchObject({
        reason: "InvalidValue",
        message: expect.stringContaining("half of a surrogate pair"),
      });
    expect(dataOf(property("p"), '{"p":{"q":"\\ud800"}}')).toEqual({ a: '{"q":"\\ud800"}' });
    expect(failureOf(extract(), '{"p":"\\ud800"}').reason).toBe("InvalidValue");
  });

  it("that leads through more names than are worth it is refused", () => {
    const nested = (depth: number): unknown =>
      depth === 0
        ? {}
        : Object.fromEntries(
            Array.from({ length: 4 }, (_, index) => ["a.".repeat(index) + "a", nested(depth - 1)]),
          );
    const many = {
      data: Array.from({ length: 256 }, (_, index) => ({
        secretKey: `k${index}`,
        remoteRef: { key: "k", property: `${"a.".repeat(200)}${index}` },
      })),
    };
    expect(failureOf(many, JSON.stringify(nested(7)))).toMatchObject({
      reason: "TooLarge",
      message: expect.stringContaining("takes too much work"),
    });
  });

  it.each(["a.0", "0", "a.length", "a.-1", "a.1e0"])(
    "%s isn't found in a list that has no such item",
    (name) => {
      expect(failureOf(property(name), '{"a":[]}').reason).toBe("PropertyNotFound");
    },
  );

  it.each([
    ["text that is not JSON", `not json ${CANARY}`, "is not valid JSON"],
    ["truncated JSON", `{"p":"${CANARY}`, "is not valid JSON"],
    ["JSON with a tail", `{"p":1} ${CANARY}`, "is not valid JSON"],
    ["JSON nested too deeply", `${"[".repeat(100_000)}${"]".repeat(100_000)}`, "nested more than 64 levels"],
  ])("of %s is a failure that quotes nothing", (_case, payload, words) => {
    const { reason, message } = failureOf(property("p"), payload);
    expect(reason).toBe("InvalidValue");
    expect(message).toContain(words);
    expect(message).not.toContain(CANARY);
    expect(message).toContain("spec.data[0] (k from SecretProvider/aws)");
  });

  it("of bytes that are not UTF-8 is a failure", () => {
    const bytes = SecretValue.fromBytes(Buffer.from([0x7b, 0xff, 0xfe, 0x7d]));
    expect(failureOf(property("p"), bytes).message).toContain("not valid UTF-8");
  });
});

describe("extract", () => {
  it("makes every member a key", () => {
    expect(dataOf(extract(), '{"user":"u","port":5432}')).toEqual({ user: "u", port: "5432" });
  });

  it("renames by rewrite, in order", () => {
    const rewrite = [
      { regexp: { source: "^(.*)$", target: "APP_$1" } },
      { regexp: { source: "-", target: "_" } },
    ];
    expect(dataOf(extract({ rewrite }), '{"a-b-c":"x"}')).toEqual({ APP_a_b_c: "x" });
  });

  it.each(["..", ".", "a/b", "a b", "", "ключ", "a\u0000b", "x".repeat(254)])(
    "refuses the member name %j",
    (name) => {
      const failure = failureOf(extract(), JSON.stringify({ [name]: "v" }));
      expect(failure.reason).toBe("InvalidValue");
      expect(failure.message).toContain("which a Secret can't hold");
    },
  );

  it("takes __proto__ as the plain key that it is", () => {
    const now = observed({}, extract());
    const content = buildContent(now.spec, fetched(now, found('{"__proto__":"x"}')));
    expect(content.kind === "data" && [...content.data.keys()]).toEqual(["__proto__"]);
    expect(({} as Record<string, unknown>)["x"]).toBeUndefined();
  });

  it("refuses a rewrite that would fill the memory, before it does", () => {
    const step = { regexp: { source: "^(.*)$", target: "$1".repeat(256) } };
    const failure = failureOf(extract({ rewrite: [step, step, step, step] }), '{"a member":"x"}');
    expect(failure).toMatchObject({ reason: "InvalidValue" });
    expect(failure.message).toContain("longer than 2048 characters");
  });

  it("takes a name of 2048 characters to rewrite, and not one more", () => {
    const rewrite = [{ regexp: { source: "x+", target: "short" } }];
    expect(dataOf(extract({ rewrite }), JSON.stringify({ ["x".repeat(2_048)]: "v" }))).toEqual({
      short: "v",
    });
    const { message } = failureOf(extract({ rewrite }), JSON.stringify({ ["x".repeat(2_049)]: "v" }));
    expect(message).toContain("longer than 2048 characters");
  });

  it("refuses more work than rewriting is worth", () => {
    const names = Object.fromEntries(
      Array.from({ length: 2_000 }, (_, index) => [`${index}`.padStart(100, "k"), "v"]),
    );
    const rewrite = Array.from({ length: 4 }, () => ({
      regexp: { source: `z?${"[a-z]?".repeat(8)}$`, target: "" },
    }));
    expect(failureOf(extract({ rewrite }), JSON.stringify(names)).message).toContain("too much work");
  });

  it("refuses a rewrite that makes two names one", () => {
    const rewrite = [{ regexp: { source: "^.*$", target: "same" } }];
    expect(failureOf(extract({ rewrite }), '{"a":"1","b":"2"}').message).toContain(
      'two names give the key "same"',
    );
  });

  it.each(["[1,2]", '"text"', "5", "null", "true"])("refuses %s, which has no members", (payload) => {
    expect(failureOf(extract(), payload).message).toContain("is not a JSON object");
  });

  it("refuses a property that has no members, even when optional", () => {
    const spec = extract({ extract: { key: "k", property: "p" }, optional: true });
    expect(failureOf(spec, '{"p":"text"}').reason).toBe("InvalidValue");
  });

  it.each([
    [{ key: "k" }, "{}", "the secret is an object without values"],
    [{ key: "k" }, '{"a":null}', "the secret is an object without values"],
    [{ key: "k", property: "p" }, '{"p":{}}', "the property is an object without values"],
    [{ key: "k", property: "p" }, '{"p":null}', 'holds null at property "p"'],
    [{ key: "k", property: "q" }, "{}", 'has no property "q"'],
  ])("of %j from %s says where nothing is", (from, payload, words) => {
    expect(failureOf(extract({ extract: from }), payload)).toMatchObject({
      reason: "PropertyNotFound",
      message: expect.stringContaining(words),
    });
  });

  it("leaves out members that are null, and keeps the order of all others", () => {
    expect(dataOf(extract(), '{"b":"x","a":null,"10":1.50,"2":"y"}')).toEqual({
      b: "x",
      "10": "1.50",
      "2": "y",
    });
    const rewrite = [{ regexp: { source: "^[0-9]+$", target: "same" } }];
    expect(failureOf(extract({ rewrite }), '{"b":"x","10":1,"2":"y"}').message).toContain('"same"');
  });

  it("names a member only if a Secret's key could have the name: others may hold anything", () => {
    const rewrite = [{ regexp: { source: "^.*$", target: "/" } }];
    const message = (name: string, more = {}) =>
      failureOf(extract(more), JSON.stringify({ first: "x", [name]: "x" })).message;
    expect(message("CaNaRy\u001b[31m/..")).toContain("member 2 gives a key");
    expect(message("CaNaRy\u001b[31m/..")).not.toContain("CaNaRy");
    expect(message("x", { rewrite })).toContain(
      '"first" gives a key which a Secret can\'t hold ("/"), as its keys are of letters',
    );
    // A rewrite may copy a member's own name.
    expect(
      message("CaNaRy\u001b[31m/..", { rewrite: [{ regexp: { source: "^x$", target: "/" } }] }),
    ).not.toContain("CaNaRy");
  });

  it.each([
    ["64 levels", "[".repeat(63) + "]".repeat(63), true],
    ["65 levels", "[".repeat(64) + "]".repeat(64), false],
    ["many lists side by side", `[${"[],".repeat(100)}[]]`, true],
    ["many objects side by side", `[${"{},".repeat(100)}{}]`, true],
    ["brackets in a text", JSON.stringify("[{".repeat(100)), true],
    ["brackets behind a quoted quote", JSON.stringify(`"${"[{".repeat(100)}`), true],
    ["brackets behind a quoted backslash", String.raw`["\\",${"[".repeat(63)}${"]".repeat(63)}]`, false],
  ])("takes a member of %s: %s", (_case, json, isTaken) => {
    const payload = `{"a":${json}}`;
    if (isTaken) expect(Object.keys(dataOf(extract(), payload))).toEqual(["a"]);
    else expect(failureOf(extract(), payload).message).toContain("more than 64 levels");
  });

  it("takes 10,000 keys", () => {
    const payload = JSON.stringify(
      Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`key-${index}`, "v"])),
    );
    expect(Object.keys(dataOf(extract(), payload))).toHaveLength(10_000);
  });

  it("is overridden by later entries, and by data", () => {
    const spec = {
      dataFrom: [{ extract: { key: "k" } }],
      data: [{ secretKey: "a", remoteRef: { key: "k", property: "b" } }],
    };
    expect(dataOf(spec, '{"a":"from extract","b":"from data"}')["a"]).toBe("from data");
  });
});

describe("a set of members, as Kubernetes has it", () => {
  const bytes = Buffer.from([0, 255]);
  const set = (members: Record<string, string | Buffer>) =>
    SecretValue.fromMembers(
      new Map(
        Object.entries(members).map(([name, member]) => [
          name,
          SecretValue.fromBytes(Buffer.from(member as string)),
        ]),
      ),
    );
  const contentOf = (spec: Record<string, unknown>, payload: SecretValue) => {
    const now = observed({}, spec);
    const result = { kind: "found", value: payload, versionId: "1", versionStages: [] } as const;
    return buildContent(now.spec, fetched(now, result));
  };
  const hex = (spec: Record<string, unknown>, payload: SecretValue) => {
    const content = contentOf(spec, payload);
    if (content.kind !== "data") throw new Error(JSON.stringify(content));
    return Object.fromEntries([...content.data].map(([key, each]) => [key, each.reveal().toString("hex")]));
  };
  const mixed = set({ "tls.crt": "text", jks: bytes, "app.json": '{"a":{"b":"x"}}' });

  it("is extracted byte for byte", () => {
    expect(hex(extract(), mixed)).toEqual({
      "app.json": Buffer.from('{"a":{"b":"x"}}').toString("hex"),
      jks: "00ff",
      "tls.crt": Buffer.from("text").toString("hex"),
    });
  });

  it.each([
    ["jks", "00ff"],
    ["tls.crt", Buffer.from("text").toString("hex")],
    ["tls\\.crt", Buffer.from("text").toString("hex")],
    ["app.json.a.b", Buffer.from("x").toString("hex")],
    ["app\\.json.a", Buffer.from('{"b":"x"}').toString("hex")],
  ])("gives %s by property", (name, expected) => {
    expect(hex(property(name), mixed)).toEqual({ a: expected });
  });

  it("tells what it lacks, also within a member's own JSON", () => {
    const reasonOf = (name: string) => failureOf(property(name), mixed);
    expect(reasonOf("nosuch")).toMatchObject({ reason: "PropertyNotFound" });
    expect(reasonOf("app.json.a.c")).toMatchObject({ reason: "PropertyNotFound" });
    expect(reasonOf("app.json.a.c").message).toContain(
      'has no property "app.json.a.c"; its member "app.json" has no property "a.c"',
    );
    // A name may begin like that of a member which is no JSON: that it isn't there isn't an error.
    for (const name of ["tls.crt.a", "jks.a"])
      expect(reasonOf(name)).toMatchObject({ reason: "PropertyNotFound" });
    const optional = property("tls.crt.a");
    const data = [{ ...optional.data[0], default: "none" }];
    expect(hex({ data }, mixed)).toEqual({ a: Buffer.from("none").toString("hex") });
  });

  it("has the longest name that has what is behind it", () => {
    const both = set({ a: '{"b":{"c":"short"},"d":"only short"}', "a.b": '{"c":"long"}' });
    expect(hex(property("a.b.c"), both)).toEqual({ a: Buffer.from("long").toString("hex") });
    expect(hex(property("a.d"), both)).toEqual({ a: Buffer.from("only short").toString("hex") });
    expect(hex(property("a.b"), both)).toEqual({ a: Buffer.from('{"c":"long"}').toString("hex") });
  });

  it("gives what a member's own JSON has", () => {
    const spec = { data: undefined, dataFrom: [{ extract: { key: "k", property: "app.json.a" } }] };
    expect(hex(spec, mixed)).toEqual({ b: Buffer.from("x").toString("hex") });
    const none = { data: undefined, dataFrom: [{ extract: { key: "k", property: "nosuch" } }] };
    expect(failureOf(none, mixed)).toMatchObject({ reason: "PropertyNotFound" });
  });

  it("is a JSON object as a whole, if all of it is text", () => {
    const whole = { data: [{ secretKey: "a", remoteRef: { key: "k" } }] };
    const text = Buffer.from(hex(whole, set({ b: "1", a: "ö" }))["a"]!, "hex").toString();
    expect(JSON.parse(text)).toEqual({ a: "ö", b: "1" });
    const { reason, message } = failureOf(whole, mixed);
    expect(reason).toBe("InvalidValue");
    expect(message).toContain('such as "jks"');
  });

  it("isn't cut by a find", () => {
    const find = { data: undefined, dataFrom: [{ find: { path: "k" } }] };
    const now = observed({}, find);
    const secret = { value: mixed, versionId: "1", versionStages: [] };
    const matches: FindResult = { kind: "matches", secrets: new Map([["k", secret]]), forbidden: [] };
    const content = buildContent(now.spec, new Map([[now.sources[0]!.id, matches]]));
    expect(content).toMatchObject({ kind: "failure", failure: { reason: "InvalidValue" } });
  });

  it("counts with all that it holds", () => {
    const { held, size } = set({ ab: "12345", c: "6" });
    expect([held, size]).toEqual([809, 9]);
    expect(set({}).held).toBe(0);
  });
});

describe("find", () => {
  const spec = { data: undefined, dataFrom: [{ find: { path: "prod/" } }] };
  const matches = (names: readonly string[]): FindResult => ({
    kind: "matches",
    secrets: new Map(names.map((name) => [name, { value: value(name), versionId: "v", versionStages: [] }])),
    forbidden: [],
  });
  const content = (names: readonly string[], more: Record<string, unknown> = {}, find = {}) => {
    const parsed = specOf({ ...spec, dataFrom: [{ find: { path: "prod/", ...find }, ...more }] });
    return buildContent(parsed, new Map(sourcesOf(parsed).map(({ id }) => [id, matches(names)])));
  };

  it("turns what a Secret key can't hold into _", () => {
    const built = content(["prod/a b", "prod/c"]);
    expect(built.kind === "data" && [...built.data.keys()]).toEqual(["prod_a_b", "prod_c"]);
  });

  it("renames by rewrite before that, on whole names", () => {
    const rewrite = [{ regexp: { source: "^prod/(.*)$", target: "$1" } }];
    const built = content(["prod/a/b", "prod/c"], { rewrite });
    expect(built.kind === "data" && [...built.data.keys()]).toEqual(["a_b", "c"]);
  });

  it("decodes each value", () => {
    const built = content(["cHJvZC9h"], {}, { decodingStrategy: "Base64" });
    expect(built.kind === "data" && built.data.get("cHJvZC9h")?.reveal().toString()).toBe("prod/a");
  });

  it("names the match whose value can't be decoded", () => {
    expect(content(["prod/a b"], {}, { decodingStrategy: "Base64" })).toMatchObject({
      kind: "failure",
      failure: {
        reason: "InvalidValue",
        message: expect.stringMatching(/^spec\.dataFrom\[0\] .*"prod\/a b" is not valid Base64/),
      },
    });
  });

  it("without a match is a failure that says what to do", () => {
    const parsed = specOf(spec);
    const none = new Map(sourcesOf(parsed).map(({ id }) => [id, missing]));
    expect(buildContent(parsed, none)).toMatchObject({
      kind: "failure",
      failure: {
        reason: "SecretNotFound",
        message:
          'spec.dataFrom[0] (find({"path":"prod/"}) from SecretProvider/aws): nothing matches that this namespace may read; create such a secret, or correct path, name and tags',
      },
    });
  });

  it("refuses names that then are the same", () => {
    const built = content(["prod/a", "prod_a"]);
    expect(built).toMatchObject({ kind: "failure", failure: { reason: "InvalidValue" } });
  });
});

describe("a missing secret", () => {
  const spec = (more: Record<string, unknown>) => ({
    data: [{ secretKey: "a", remoteRef: { key: "k", property: "p" }, ...more }],
  });
  const built = (more: Record<string, unknown>, result = missing) => {
    const now = observed({}, spec(more));
    return buildContent(now.spec, fetched(now, result));
  };

  it("is a failure that says where and what to do", () => {
    expect(built({})).toMatchObject({
      kind: "failure",
      failure: {
        reason: "SecretNotFound",
        message:
          "spec.data[0] (k from SecretProvider/aws): the provider has no such secret or version; create it, or correct the key",
      },
    });
  });

  it("says where it was looked for, and for which version", () => {
    const now = observed(
      {},
      {
        data: [{ secretKey: "a", remoteRef: { key: "k", versionStage: "NOPE" } }],
      },
    );
    const place = "AWS Secrets Manager in us-east-1";
    expect(buildContent(now.spec, fetched(now, { kind: "missing", place }))).toMatchObject({
      failure: {
        message: expect.stringMatching(
          /key; it was looked for in AWS Secrets Manager in us-east-1, versionStage "NOPE"$/,
        ),
      },
    });
  });

  it.each([missing, found('{"q":1}')])("is left out when optional", (result) => {
    const content = built({ optional: true }, result);
    expect(content.kind === "data" && content.data.size).toBe(0);
  });

  it.each([missing, found('{"q":1}')])("has its default", (result) => {
    const content = built({ default: "fallback" }, result);
    expect(content.kind === "data" && content.data.get("a")?.reveal().toString()).toBe("fallback");
  });

  it("isn't what a denied read is, even when optional", () => {
    expect(built({ optional: true }, failing())).toMatchObject({
      kind: "failure",
      failure: { reason: "AccessDenied" },
    });
  });
});

describe("several sources", () => {
  const entries = ["a", "b"].map((key) => ({ secretKey: key, remoteRef: { key } }));
  const built = (spec: Record<string, unknown>, ...results: Parameters<typeof fetched>[1][]) => {
    const now = observed({}, spec);
    return buildContent(now.spec, fetched(now, ...results));
  };

  it("of which two are missing name the first", () => {
    expect(built({ data: entries }, missing)).toMatchObject({
      kind: "failure",
      failure: { message: expect.stringMatching(/^spec\.data\[0\] /) },
    });
  });

  it.each([
    ["data", { data: entries.map((entry) => ({ ...entry, default: "fallback" })) }],
    ["dataFrom", { data: undefined, dataFrom: [{ extract: { key: "k" } }] }],
    ["an optional dataFrom", { data: undefined, dataFrom: [{ extract: { key: "k" }, optional: true }] }],
  ])("that failed in %s fail as they did, and no default hides it", (_case, spec) => {
    const failure = {
      reason: "RateLimited",
      message: "slower",
      scope: "provider",
      retryAfterMs: 7_000,
    } as const;
    expect(built(spec, { kind: "failed", failure })).toMatchObject({
      kind: "failure",
      failure: { reason: "RateLimited", message: expect.stringContaining("): slower") },
      retryAfterMs: 7_000,
    });
  });
});

describe("decodingStrategy", () => {
  const decoded = (strategy: string, text: string) =>
    dataOf({ data: [{ secretKey: "a", remoteRef: { key: "k", decodingStrategy: strategy } }] }, text)["a"];

  it.each([
    ["None", "aGVsbG8=", "aGVsbG8="],
    ["Base64", "aGVsbG8=", "hello"],
    ["Base64", "aGVsbG8", "hello"],
    ["Base64URL", "PDw_Pz8-Pg", "<<???>>"],
    ["Auto", "aGVsbG8=", "hello"],
    ["Auto", "PDw_Pz8-Pg", "<<???>>"],
    ["Auto", "not base64!", "not base64!"],
    ["Base64", "aGVs\nbG8=\n", "hello"],
    ["Base64", "aGVs\r\nbG8=\r\n", "hello"],
    ["Base64", "  aGVs\n  bG8=\n", "hello"],
    ["Base64URL", "PDw_\nPz8-Pg==", "<<???>>"],
    ["Auto", "aGVs\nbG8=", "hello"],
    ["Auto", "password", "password"],
    ["Auto", "12345678", "12345678"],
    ["Auto", "correct horse", "correct horse"],
    ["Auto", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"],
    [
      "Auto",
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ],
    ["Auto", "", ""],
    ["Base64", "\ufeffaGVsbG8=", "hello"],
    ["Auto", "\ufeffaGVsbG8=", "hello"],
    // Long, of both cases and digits, but no Base64.
    ["Auto", `sk_live_${"51HxYz0AbC".repeat(9)}ab`, `sk_live_${"51HxYz0AbC".repeat(9)}ab`],
    ["Auto", `sk-proj-${"aB3dE6gH9j".repeat(12)}`, `sk-proj-${"aB3dE6gH9j".repeat(12)}`],
  ])("%s turns %s into %s", (strategy, text, expected) => {
    expect(decoded(strategy, text)).toBe(expected);
  });

  it.each([
    ["is padded", "3q2+7w==", Buffer.from("deadbeef", "hex")],
    [
      "is long and of both cases and digits",
      Buffer.alloc(48, "\u00e9\u0000Az09", "latin1").toString("base64"),
      Buffer.alloc(48, "\u00e9\u0000Az09", "latin1"),
    ],
  ])("Auto decodes bytes when their Base64 %s", (_case, text, bytes) => {
    const now = observed(
      {},
      { data: [{ secretKey: "a", remoteRef: { key: "k", decodingStrategy: "Auto" } }] },
    );
    const content = buildContent(now.spec, fetched(now, found(text)));
    expect(content.kind === "data" && content.data.get("a")?.reveal()).toEqual(bytes);
  });

  it.each(["None", "Base64", "Base64URL", "Auto"])(
    "%s looks at each byte a few times, whatever there is many of",
    (strategy) => {
      for (const unit of [" ", "\t", "\n", " \n", "\r", "="]) {
        const text = `a${unit.repeat(8 * 1024 * 1024)}a`;
        // What took the square of its length would take hours.
        const isTaken = !strategy.startsWith("Base64") || /[\r\n]/.test(unit);
        expect(decode(SecretValue.fromText(text), strategy as DecodingStrategy).ok).toBe(isTaken);
      }
    },
  );

  it("Base64 decodes what base64 and openssl wrap, to the byte", () => {
    const bytes = Buffer.from(Array.from({ length: 300 }, (_, index) => index % 256));
    for (const [width, end] of [
      [76, "\n"],
      [64, "\n"],
      [76, "\r\n"],
    ] as const)
      for (const strategy of ["Base64", "Auto"]) {
        const wrapped = bytes.toString("base64").replaceAll(new RegExp(`(.{${width}})`, "g"), `$1${end}`);
        const now = observed(
          {},
          { data: [{ secretKey: "a", remoteRef: { key: "k", decodingStrategy: strategy } }] },
        );
        const content = buildContent(now.spec, fetched(now, found(wrapped)));
        expect(content.kind === "data" && content.data.get("a")?.reveal()).toEqual(bytes);
      }
  });

  it("Auto takes no text for Base64 that only another alphabet makes so", () => {
    expect(decoded("Auto", "a_b+cd==")).toBe("a_b+cd==");
    expect(decoded("Base64URL", "PDw_Pz8-Pg==")).toBe("<<???>>");
  });

  it.each(["not base64!", "a", "aGVsbG8=aGVs", "aGVsb=", "PDw_"])("Base64 refuses %s", (text) => {
    expect(() => decoded("Base64", text)).toThrow("is not valid Base64");
  });
});

describe("size", () => {
  it("of exactly 1 MiB fits, one byte more doesn't", () => {
    expect(dataOf({}, "x".repeat(MOST_BYTES))["password"]).toHaveLength(MOST_BYTES);
    expect(failureOf({}, "x".repeat(MOST_BYTES + 1)).reason).toBe("TooLarge");
  });
});
