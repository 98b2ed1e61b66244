import { describe, expect, it } from "@jest/globals";
import { consumptionOf, MOST_SECRETS, readersOf } from "../../src/rollout/consumption.ts";

/** Which Secrets a pod needs, which it can start without, and how much of that is kept. */

const keyRef = (name: string, key: unknown, optional?: boolean) => ({
  valueFrom: { secretKeyRef: { name, key, ...(optional === undefined ? {} : { optional }) } },
});
const container = (name: string, ...env: unknown[]) => ({ name, env });
const volume = (name: string, secret: object) => ({ name, secret });
const mount = (name: string, ...names: string[]) => ({
  name,
  volumeMounts: names.map((each) => ({ name: each })),
});

describe("what a pod needs to start", () => {
  it.each<[string, object, Record<string, readonly string[]>, readonly string[]]>([
    ["a key, unless it may lack", { containers: [container("c", keyRef("s", "a"))] }, { s: ["a"] }, []],
    ["nothing of a key that may lack", { containers: [container("c", keyRef("s", "a", true))] }, {}, ["s"]],
    [
      "what is said not to be optional",
      { containers: [container("c", keyRef("s", "a", false))] },
      { s: ["a"] },
      [],
    ],
    [
      "both, of a Secret that is read in both ways",
      { containers: [container("c", keyRef("s", "b"), keyRef("s", "a"), keyRef("s", "c", true))] },
      { s: ["a", "b"] },
      ["s"],
    ],
    ["the Secret, of envFrom", { containers: [{ envFrom: [{ secretRef: { name: "s" } }] }] }, { s: [] }, []],
    [
      "nothing of an envFrom that may lack",
      { containers: [{ envFrom: [{ secretRef: { name: "s", optional: true } }] }] },
      {},
      ["s"],
    ],
    ["the Secret, of a volume", { volumes: [volume("v", { secretName: "s" })] }, { s: [] }, []],
    [
      "nothing of a volume that may lack",
      { volumes: [volume("v", { secretName: "s", optional: true })] },
      {},
      ["s"],
    ],
    [
      "the items of a volume",
      { volumes: [volume("v", { secretName: "s", items: [{ key: "b" }, { key: "a" }, { key: 1 }] })] },
      { s: ["a", "b"] },
      [],
    ],
    [
      "nothing of projected sources that may lack",
      {
        volumes: [
          {
            projected: {
              sources: [
                { secret: { name: "s", optional: true } },
                { secret: { name: "t", items: [{ key: "k" }], optional: false } },
              ],
            },
          },
        ],
      },
      { t: ["k"] },
      ["s"],
    ],
    ["a key that is none: nothing", { containers: [container("c", keyRef("s", 1))] }, {}, []],
  ])("is %s", (_what, pod, requires, optional) => {
    const found = consumptionOf(pod);
    expect([found.requires, found.optional, found.isCut]).toEqual([requires, optional, false]);
  });

  it("comes with every key as soon as names of keys are more than 16 KiB, which count once each", () => {
    const env = (count: number) =>
      Array.from({ length: count }, (_, index) => keyRef("s", String(index).padStart(1_024, "k")));
    const some = consumptionOf({ containers: [container("c", ...env(16)), container("d", ...env(16))] });
    expect(some.consumes["s"]).toHaveLength(16);
    expect(some.requires["s"]).toHaveLength(16);
    const many = consumptionOf({ containers: [container("c", ...env(17), keyRef("s", "z"))] });
    expect(many.consumes).toEqual({ s: "all" });
    expect(many.requires["s"]).toHaveLength(17);
  });

  it("is kept of 64 Secrets, and that there are more is told", () => {
    const of = (count: number) =>
      consumptionOf({
        volumes: Array.from({ length: count }, (_, index) => volume("v", { secretName: `s${index}` })),
        containers: [container("c", keyRef("s0", "k"))],
      });
    expect([Object.keys(of(MOST_SECRETS).consumes).length, of(MOST_SECRETS).isCut]).toEqual([64, false]);
    expect([Object.keys(of(MOST_SECRETS + 1).consumes).length, of(MOST_SECRETS + 1).isCut]).toEqual([
      64,
      true,
    ]);
  });

  it("is nothing of what no Secret can be called", () => {
    const names = ["", 7, undefined, "n".repeat(254)];
    const volumes = names.map((secretName) => volume("v", { secretName }));
    expect(Object.keys(consumptionOf({ volumes }).consumes)).toEqual([]);
    const longest = "n".repeat(253);
    const { consumes } = consumptionOf({ volumes: [volume("v", { secretName: longest })] });
    expect(Object.keys(consumes)).toEqual([longest]);
  });
});

describe("who of a pod's containers reads a Secret", () => {
  const pod = {
    initContainers: [mount("init", "v", "none"), { volumeMounts: [{ name: "v" }] }],
    containers: [
      { ...container("both", keyRef("s", "a", true), keyRef("other", "x")), ...mount("both", "items") },
      container("optional", keyRef("s", "a", true)),
      container("neither", keyRef("other", "x")),
      { name: "odd", env: "x", volumeMounts: [null, { name: 1 }] },
    ],
    volumes: [
      volume("v", { secretName: "s" }),
      volume("items", { secretName: "s", items: [{ key: "b" }] }),
      volume("other", { secretName: "other" }),
    ],
  };

  it("is told by name, with the keys that it reads and whether it can do without", () => {
    expect(Object.fromEntries(readersOf(pod, "s"))).toEqual({
      init: { keys: "all", optional: false },
      both: { keys: ["a", "b"], optional: false },
      optional: { keys: ["a"], optional: true },
    });
    expect(readersOf(undefined, "s").size).toBe(0);
  });
});
