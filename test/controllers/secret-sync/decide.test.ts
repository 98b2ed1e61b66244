import { beforeEach, describe, expect, it } from "@jest/globals";
import { newDecider, type Decision } from "../../../src/controllers/secret-sync/decide.ts";
import type { Fetch, Fetcher } from "../../../src/controllers/secret-sync/fetch.ts";
import { Freshness } from "../../../src/controllers/secret-sync/freshness.ts";
import type { Observed } from "../../../src/plan/observed.ts";
import { plan } from "../../../src/plan/plan.ts";
import { report } from "../../../src/plan/report.ts";
import type { FetchedValues, SourceVersions } from "../../../src/plan/sources.ts";
import type { Due } from "../../../src/controllers/secret-sync/task.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { afterApply, fetched, found, missing, observed, outcomeOf, secretSteps } from "../../support/gen.ts";

/** What is asked of the providers, and what isn't, before a plan is made. */

const KEY = "shop/orders";
let clock: FakeClock;
let freshness: Freshness;
/** What was asked, in order. */
let asked: string[];
/** The version that the provider has; undefined: it tells none without a value. */
let version: string | undefined;
let failure: Extract<Fetch<never>, { ok: false }> | undefined;
let payload: string;

const told = { clients: new Set<never>(), nextRotation: 77 };
const fetcher: Fetcher = {
  values(sources, _namespace, _freshAfter, _signal, use) {
    asked.push("values");
    if (failure) return use(failure);
    const result = version === "gone" ? missing : found(payload, version ?? "v1");
    const value: FetchedValues = new Map(sources.map(({ id }) => [id, result]));
    return use({ ok: true, value, ...told });
  },
  versions(sources) {
    asked.push("versions");
    if (failure) return Promise.resolve(failure);
    const known = version;
    const value: SourceVersions | undefined =
      known === undefined ? undefined : new Map(sources.map(({ id }) => [id, known]));
    return Promise.resolve({ ok: true, value, ...told });
  },
};

beforeEach(() => {
  clock = new FakeClock();
  freshness = new Freshness(clock);
  asked = [];
  version = "v1";
  failure = undefined;
  payload = "x";
});

/** The object after its Secret was written and its status told. */
function inStep(spec: Record<string, unknown> = {}): Observed {
  const before = observed({}, spec);
  const values = fetched(before, found("x"));
  const made = plan(before, values);
  const target = afterApply(secretSteps(made)[0]!);
  const status = report(before, outcomeOf(before, values));
  return observed({ target, status }, spec);
}
/** As it was looked at a moment before. */
const looked = (now: Observed, { until = Infinity, verified = true } = {}) => {
  const { uid, generation } = now.metadata;
  freshness.succeeded(
    KEY,
    { uid, generation, requestedAt: undefined, until },
    { nextRotation: undefined, verified },
    freshness.epoch(KEY),
  );
};

const task = {
  limit: { signal: new AbortController().signal, pause: () => undefined, resume: () => undefined },
  free: () => undefined,
};
const decide = (now: Observed, look: Due["look"] = "versions"): Promise<Decision> =>
  newDecider({ fetcher, freshness, clock, liveValues: () => Promise.resolve(new Map()) })(
    KEY,
    now,
    { look, freshAfter: clock.monotonic() },
    task,
  );
const writes = ({ plan: made }: Decision) => secretSteps(made).map(({ kind }) => kind);

describe("an object that is in step", () => {
  it.each<
    [string, { look: Due["look"]; isFresh: boolean; version?: string | undefined }, string[], string[]]
  >([
    ["and was looked at is asked for nothing", { look: "ifDue", isFresh: true, version: "v1" }, [], []],
    [
      "whose time has come is asked for versions",
      { look: "versions", isFresh: true, version: "v1" },
      ["versions"],
      [],
    ],
    [
      "that nobody has looked at for a while too",
      { look: "ifDue", isFresh: false, version: "v1" },
      ["versions"],
      [],
    ],
    [
      "with other versions is asked for values, and written",
      { look: "versions", isFresh: true, version: "v2" },
      ["versions", "values"],
      ["applySecret"],
    ],
    [
      "whose provider tells no versions is asked for values, and not written when they are the same",
      { look: "versions", isFresh: true, version: undefined },
      ["versions", "values"],
      [],
    ],
  ])("%s", async (_what, { look, isFresh, version: now }, expected, steps) => {
    const object = inStep();
    looked(object, { until: isFresh ? Infinity : clock.monotonic() });
    version = now;
    if (now === "v2") payload = "y";
    const decision = await decide(object, look);
    expect(asked).toEqual(expected);
    expect(writes(decision)).toEqual(steps);
  });

  it("keeps the time until which it needs no look, and tells when it is rotated next", async () => {
    const object = inStep();
    looked(object, { until: clock.monotonic() + 5_000 });
    expect(await decide(object, "ifDue")).toMatchObject({ freshUntil: clock.monotonic() + 5_000 });
    expect(await decide(object)).toMatchObject({ nextRotation: 77 });
  });

  it("is read exactly, and written to be sure, when that was long ago", async () => {
    const object = inStep();
    looked(object);
    await clock.advance(10 * 60_000);
    const decision = await decide(object);
    expect(asked).toEqual(["values"]);
    expect(decision).toMatchObject({ verified: true, plan: { isCheck: true } });
    expect(writes(decision)).toEqual(["applySecret"]);
  });

  it("is read after a start, and not written", async () => {
    const decision = await decide(inStep(), "ifDue");
    expect(asked).toEqual(["values"]);
    expect([writes(decision), decision.verified]).toEqual([[], false]);
  });

  it("is read and written when somebody asks for it", async () => {
    const object = inStep();
    looked(object);
    const decision = await decide(object, "exact");
    expect(asked).toEqual(["values"]);
    expect(writes(decision)).toEqual(["applySecret"]);
  });

  it("is looked at again when its provider has changed meanwhile", async () => {
    const object = inStep();
    looked(object);
    freshness.expire(KEY);
    await decide(object, "ifDue");
    expect(asked).toEqual(["versions"]);
  });

  it("and never refreshed needs no look after a start either", async () => {
    const object = inStep({ refreshInterval: "0s" });
    expect(await decide(object, "ifDue")).toMatchObject({ freshUntil: Infinity });
    expect(asked).toEqual([]);
  });

  it("whose status doesn't tell yet what was written is looked at", async () => {
    const { target } = inStep();
    const object = observed({ target });
    looked(object);
    await decide(object, "ifDue");
    expect(asked).not.toEqual([]);
  });
});

describe("an object that isn't", () => {
  it("because there is no Secret is asked for values at once", async () => {
    const decision = await decide(observed(), "ifDue");
    expect(asked).toEqual(["values"]);
    expect(writes(decision)).toEqual(["applySecret"]);
  });

  it("because it is suspended is asked for nothing", async () => {
    const decision = await decide(inStep({ suspend: true }));
    expect(asked).toEqual([]);
    expect(decision.plan.verdict.reason).toBe("Suspended");
  });

  it("because its provider fails keeps its Secret, whatever was asked", async () => {
    failure = { ok: false, failure: { reason: "KeyNotAllowed", message: "no" } };
    const object = inStep();
    looked(object);
    for (const decision of [await decide(object), await decide(observed())]) {
      expect(writes(decision)).toEqual([]);
      expect(decision.plan.verdict).toMatchObject({ reason: "KeyNotAllowed" });
    }
    expect(asked).toEqual(["versions", "values"]);
  });
});

describe("what gives no Secret", () => {
  const spec = { data: [{ secretKey: "a", remoteRef: { key: "k", property: "p" } }] };

  it("isn't read again as long as the versions are the same, and soon when they aren't", async () => {
    payload = "not json";
    const first = await decide(observed({}, spec));
    expect(first.plan.verdict.reason).toBe("InvalidValue");
    asked = [];
    const again = await decide(observed({}, spec));
    expect(asked).toEqual(["versions"]);
    expect(again).toMatchObject({ lookSoon: true, plan: { verdict: first.plan.verdict } });
    version = "v2";
    payload = '{"p":"x"}';
    asked = [];
    expect(writes(await decide(observed({}, spec)))).toEqual(["applySecret"]);
    expect(asked).toEqual(["versions", "values"]);
  });

  it("is tried again when somebody asks, when nobody can tell versions, and after five minutes", async () => {
    payload = "not json";
    await decide(observed({}, spec));
    asked = [];
    await decide(observed({}, spec), "exact");
    expect(asked).toEqual(["values"]);
    asked = [];
    version = undefined;
    await decide(observed({}, spec));
    expect(asked).toEqual(["versions", "values"]);
    version = "v1";
    await clock.advance(5 * 60_000);
    asked = [];
    await decide(observed({}, spec));
    expect(asked).toEqual(["values"]);
  });
});
