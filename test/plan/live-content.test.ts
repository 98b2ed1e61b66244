import { describe, expect, it } from "@jest/globals";
import { digestContent } from "../../src/plan/digest.ts";
import { wantsLive } from "../../src/plan/live-content.ts";
import type { LiveTarget } from "../../src/plan/live-target.ts";
import type { Observed } from "../../src/plan/observed.ts";
import { plan, type Plan } from "../../src/plan/plan.ts";
import type { ApplySecret, NoteConsumers } from "../../src/plan/step.ts";
import { afterApply, fetched, found, observed, otherDigestKey, secretSteps, value } from "../support/gen.ts";

const spec = { data: ["a", "b"].map((secretKey) => ({ secretKey, remoteRef: { key: "k" } })) };
const written = (now: Observed): LiveTarget => {
  const [step] = secretSteps(plan(now, fetched(now, found("one"))));
  return afterApply(step as ApplySecret, now.target);
};
const ours = written(observed({}, spec));
const told = { secretRef: { name: "orders" } };
/** Somebody's Secret, handed over. */
const handedOver: LiveTarget = { ...ours, managed: false, records: {}, owned: {}, dataKeys: {} };
const restored: LiveTarget = { ...ours, owned: { velero: "x" }, madeAt: "2026-04-30T00:00:00Z" };
const live = (now: Observed, data: Record<string, string>) =>
  digestContent(now.digestKey, new Map(Object.entries(data).map(([key, text]) => [key, value(text)])));
const noted = ({ steps }: Plan) =>
  steps.find((step): step is NoteConsumers => step.kind === "noteConsumers")?.record;

describe("the values of a target", () => {
  it.each<[string, boolean, Partial<Observed>, Record<string, unknown>]>([
    ["that isn't there", false, { target: undefined }, {}],
    ["that is taken over", true, { target: handedOver }, {}],
    ["that we wrote and whose record somebody removed", false, { target: handedOver, status: told }, {}],
    ["that is ours", false, { target: ours, status: told }, {}],
    ["that somebody has edited", false, { target: { ...ours, owned: {} }, status: told }, {}],
    ["that was made anew with our record", true, { target: restored, status: told }, {}],
    ["that was, under another digest key", false, { target: restored, digestKey: otherDigestKey }, {}],
    ["that keys are merged into", false, { target: handedOver }, { creationPolicy: "Merge" }],
  ])("%s are looked at: %s", (_what, expected, parts, target) => {
    expect(wantsLive(observed(parts, { ...spec, target }))).toBe(expected);
  });
});

describe("a Secret that is taken over", () => {
  const now = observed({ target: handedOver }, spec);
  const made = (data: Record<string, string>) => {
    const seen = { ...now, live: live(now, data) };
    return plan(seen, fetched(seen, found("one")));
  };

  it("has everybody on record with what it held, and tells what is different", () => {
    const other = made({ a: "old", b: "one", more: "x" });
    expect(noted(other)?.digests).toEqual(live(now, { a: "old", b: "one", more: "x" }));
    expect(other.change).toMatchObject({ kind: "updated", keys: ["a", "more"], removed: ["more"] });
  });

  it("and holds the same already changes nothing for anybody", () => {
    const same = made({ a: "one", b: "one" });
    expect(noted(same)?.digests).toEqual(same.record?.digests);
    expect(same.change).toMatchObject({ kind: "created", keys: [] });
    expect(same.change).not.toHaveProperty("doubt");
  });
});

describe("a Secret that is back from a backup", () => {
  const doubtOf = (data: Record<string, string>, parts: Partial<Observed> = {}) => {
    const now = observed({ target: restored, status: told, ...parts }, spec);
    const seen = { ...now, live: live(now, data) };
    const { change } = plan(seen, fetched(seen, found("one")));
    return change && "doubt" in change ? change.doubt : undefined;
  };

  it("with the same values leaves no doubt, unless it was seen to be gone", () => {
    expect(doubtOf({ a: "one", b: "one" })).toBeUndefined();
    const driftSince = "2026-04-29T00:00:00.000Z";
    expect(doubtOf({ a: "one", b: "one" }, { driftSince })).toEqual({ absent: true, since: driftSince });
  });

  it.each([{ a: "old", b: "one" }, { a: "one" }, { a: "one", b: "one", more: "x" }, { a: "one", x: "one" }])(
    "with %j does",
    (data) => {
      expect(doubtOf(data)).toEqual({ absent: false });
    },
  );
});
