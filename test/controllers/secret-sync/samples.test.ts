import { describe, expect, it } from "@jest/globals";
import { Freshness } from "../../../src/controllers/secret-sync/freshness.ts";
import { objectSamples } from "../../../src/controllers/secret-sync/samples.ts";
import { outlineOfSync, projectSync } from "../../../src/cluster/sync-object.ts";
import { newViews } from "../../../src/cluster/views.ts";
import type { KubeObject } from "../../../src/kube/kube-api.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const clock = new FakeClock();
const condition = (type: string, status: string, reason: string) => ({
  type,
  status,
  reason,
  message: "m",
  lastTransitionTime: "2026-05-01T00:00:00.000Z",
});
const object = (name: string, spec: object, ...conditions: readonly object[]) =>
  projectSync({
    metadata: { name, namespace: "shop", uid: name, resourceVersion: "1" },
    spec,
    status: { conditions },
  } as unknown as KubeObject);

function samplesOf(objects: readonly ReturnType<typeof object>[], leads = true) {
  const views = newViews({ mostBytes: 1e9, onError: () => undefined, onLeftAlone: () => undefined });
  for (const each of objects) views.syncs.set(each);
  return [...objectSamples(views, leads, new Freshness(clock))];
}

describe("what metrics tell of a SecretSync", () => {
  const waiting = object(
    "waiting",
    { refreshInterval: "1m" },
    condition("Ready", "True", "Synced"),
    condition("Restarted", "False", "RestartWaiting"),
  );

  it("is its readiness, and what its workloads wait for, also when only an outline of it is kept", () => {
    for (const each of [waiting, outlineOfSync(waiting)])
      expect(samplesOf([each])).toEqual([
        {
          namespace: "shop",
          name: "waiting",
          ready: true,
          reason: "Synced",
          pendingRestart: "RestartWaiting",
          refreshInterval: 60,
          lastSuccess: undefined,
          nextRotation: undefined,
        },
      ]);
  });

  it("is when it failed first, where it was never seen to be fine", () => {
    const [sample] = samplesOf([object("failing", {}, condition("Ready", "False", "AccessDenied"))]);
    expect(sample).toMatchObject({ ready: false, lastSuccess: Date.parse("2026-05-01T00:00:00Z") / 1000 });
    const [done] = samplesOf([object("done", {}, condition("Restarted", "True", "Restarted"))]);
    expect(done).toMatchObject({ ready: false, reason: "", pendingRestart: "" });
  });

  it("is nothing for what is suspended, and nothing by who doesn't lead", () => {
    expect(samplesOf([object("suspended", { suspend: true })])).toEqual([]);
    expect(samplesOf([waiting], false)).toEqual([]);
  });
});
