import { describe, expect, it } from "@jest/globals";
import type { KubeObject } from "../../src/kube/kube-api.ts";
import { isStarting } from "../../src/rollout/pods.ts";
import type { Workload } from "../../src/rollout/workload.ts";

/** Pods that may run before anybody is told. */

const workload = { restartedFor: "m" } as Workload;
const waiting = (reason: string) => ({ state: { waiting: { reason } } });
interface Of {
  readonly mark?: string | null;
  readonly deletionTimestamp?: string;
  readonly nodeName?: string | null;
  readonly status?: object | null;
}
const pod = ({ mark = "m", deletionTimestamp, nodeName = "n", status = { phase: "Pending" } }: Of) =>
  ({
    metadata: {
      name: "p",
      ...(mark === null ? {} : { annotations: { "secretsync.dev/restarted-for": mark } }),
      ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    },
    spec: nodeName === null ? {} : { nodeName },
    ...(status === null ? {} : { status }),
  }) as KubeObject;
const pending = (...containerStatuses: object[]) => ({ status: { phase: "Pending", containerStatuses } });

describe("a pod that is about to run", () => {
  it.each<[string, Of, boolean]>([
    ["has a node, and nothing is told of its containers", {}, true],
    ["has a container that is being made", pending(waiting("ContainerCreating")), true],
    ["waits for its init containers", pending(waiting("PodInitializing")), true],
    [
      "has one container that is being made beside others",
      pending(waiting("ImagePullBackOff"), waiting("ContainerCreating")),
      true,
    ],
    ["isn't one without a node", { nodeName: null }, false],
    ["isn't one that runs", { status: { phase: "Running" } }, false],
    ["isn't one of which nothing is known", { status: null }, false],
    ["isn't one that ends", { deletionTimestamp: "2026-05-01T00:00:00Z" }, false],
    ["isn't one of another template", { mark: "other" }, false],
    ["isn't one without the template's mark", { mark: null }, false],
    ["isn't one that can't start", pending(waiting("CreateContainerConfigError")), false],
    ["isn't one whose containers run", pending({ state: { running: {} } }), false],
  ])("%s", (_what, options, expected) => {
    expect(isStarting(pod(options), workload)).toBe(expected);
  });
});
