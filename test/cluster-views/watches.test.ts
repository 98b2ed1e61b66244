import { beforeEach, describe, expect, it } from "@jest/globals";
import { newViews, type Views } from "../../src/cluster/views.ts";
import {
  areSecretsUnwatched,
  newWatches,
  problemsOfNamespaces,
  type Watch,
  type WatchOptions,
} from "../../src/cluster/watches.ts";
import { ApiError, type KubeApi, type KubeObject, type ResourceType } from "../../src/kube/kube-api.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";

/** Which collections are watched, in what order, and what a namespace lacks. */

let clock: FakeClock;
let views: Views;
/** Lists that were asked for, as Kind or Kind in namespace. */
let listed: string[];
let refuse: (kind: string, namespace: string | undefined) => boolean;
let objects: (kind: string, namespace: string | undefined) => readonly KubeObject[];
let errors: [string, string | undefined][];
let odd: string[];
let cut: string[];

const api = {
  list({ kind }: ResourceType, { namespace }: { namespace?: string }) {
    listed.push(namespace === undefined ? kind : `${kind} in ${namespace}`);
    if (refuse(kind, namespace)) return Promise.reject(new ApiError(403, "Forbidden", `no ${kind}`));
    return Promise.resolve().then(() => ({
      metadata: { resourceVersion: "1" },
      items: objects(kind, namespace),
    }));
  },
  get(_type: ResourceType, name: string) {
    return Promise.resolve({ metadata: { name, uid: name, resourceVersion: "1", labels: { team: "x" } } });
  },
  // eslint-disable-next-line require-yield
  async *watch(_type: ResourceType, { onOpen }: { onOpen?: () => void }, signal: AbortSignal) {
    onOpen?.();
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  },
} as unknown as KubeApi;

beforeEach(() => {
  clock = new FakeClock();
  views = newViews({ mostBytes: 1e9, onError: () => undefined, onLeftAlone: () => undefined });
  listed = [];
  refuse = () => false;
  objects = () => [];
  errors = [];
  odd = [];
  cut = [];
});

const watches = (more: Partial<WatchOptions> = {}): readonly Watch[] =>
  newWatches({
    api,
    clock,
    random: () => 0.5,
    views,
    namespaces: [],
    clusterProviders: true,
    clusterSyncs: true,
    onError: (kind, scope) => errors.push([kind, scope]),
    onList: () => undefined,
    onWatch: () => undefined,
    onOdd: (kind, key) => odd.push(`${kind} ${key}`),
    onCut: (kind, key) => cut.push(`${kind} ${key}`),
    ...more,
  });

async function run(all: readonly Watch[]): Promise<{ stop: () => Promise<void> }> {
  const stop = new AbortController();
  const running = all.map((watch) => watch.run(stop.signal));
  await settle();
  return {
    stop: async () => {
      stop.abort();
      await Promise.all(running);
    },
  };
}
const names = (all: readonly Watch[]) => all.map(({ name }) => name).sort();

describe("what is watched", () => {
  const ofNamespaces = ["DaemonSet", "Deployment", "Secret", "SecretProvider", "SecretSync", "StatefulSet"];

  it.each<[string, Partial<WatchOptions>, readonly string[]]>([
    ["all kinds", {}, ["ClusterSecretProvider", "ClusterSecretSync", "Namespace", ...ofNamespaces]],
    [
      "no ClusterSecretSyncs",
      { clusterSyncs: false },
      ["ClusterSecretProvider", "Namespace", ...ofNamespaces],
    ],
    [
      "no ClusterSecretProviders",
      { clusterProviders: false },
      ["ClusterSecretSync", "Namespace", ...ofNamespaces],
    ],
    ["nothing outside of namespaces", { clusterProviders: false, clusterSyncs: false }, ofNamespaces],
    [
      "two namespaces",
      { namespaces: ["a", "b"], clusterProviders: false, clusterSyncs: false },
      ["a", "b"].flatMap((namespace) => ofNamespaces.map((kind) => `${kind} in ${namespace}`)),
    ],
  ])("is as the options say: %s", (_what, options, expected) => {
    expect(names(watches(options))).toEqual([...expected].sort());
  });

  it("fills the views", async () => {
    objects = (kind) =>
      kind === "ClusterSecretSync" || kind === "Namespace"
        ? [{ metadata: { name: "a", uid: "u", resourceVersion: "1" } }]
        : [];
    const { stop } = await run(watches());
    expect([views.clusterSyncs.size, views.namespaces.size]).toEqual([1, 1]);
    await stop();
  });

  it("passes over what can't be read, and names it; a workload that names too much is cut, and named", async () => {
    const volumes = Array.from({ length: 2_000 }, (_, index) => ({
      name: `v${index}`,
      secret: { secretName: `s${index}` },
    }));
    objects = (kind) => {
      if (kind === "Deployment")
        return [
          {
            metadata: { name: "many", namespace: "shop", uid: "m", resourceVersion: "1" },
            spec: { template: { spec: { containers: [], volumes } } },
          } as unknown as KubeObject,
        ];
      return kind === "SecretSync" ? [undefined as unknown as KubeObject] : [];
    };
    const { stop } = await run(watches());
    expect(odd.length + errors.length).toBeGreaterThan(0);
    expect(cut).toEqual(["Deployment shop/many"]);
    await stop();
  });
});

describe("a cluster whose Secrets can't be listed for the sake of one", () => {
  it("is worked on without the list", async () => {
    objects = (kind) => {
      if (kind === "Secret")
        throw new ApiError(500, "InternalError", 'unable to transform key "/secrets/b/x"');
      return [];
    };
    const all = watches();
    const { stop } = await run(all);
    expect(areSecretsUnwatched(all, "any")).toBe(true);
    expect(all.every(({ isSynced }) => isSynced)).toBe(true);
    await stop();
  });
});

describe("a namespace of several", () => {
  const two = () => watches({ namespaces: ["a", "b"], clusterProviders: true, clusterSyncs: false });
  const health = {
    problemsOf: (namespace: string) => (namespace === "b" && refuse("Secret", "b") ? ["no Secret"] : []),
  };

  it("is served once all of it is there, and one that lacks something holds up no other", async () => {
    refuse = (kind, namespace) => kind === "Secret" && namespace === "b";
    const all = two();
    const { stop } = await run(all);
    expect(listed).toContain("SecretSync in a");
    expect(listed).not.toContain("SecretSync in b");
    expect(Object.fromEntries(problemsOfNamespaces(all, health))).toEqual({ a: [], b: ["no Secret"] });
    expect(errors).toContainEqual(["Secret", "b"]);
    refuse = () => false;
    await clock.advance(60_000);
    expect(listed).toContain("SecretSync in b");
    expect(Object.fromEntries(problemsOfNamespaces(all, health))).toEqual({ a: [], b: [] });
    await stop();
  });

  it("whose Secrets the apiserver can't list for the sake of one is served all the same, and only it goes without", async () => {
    const { list } = api;
    api.list = (...args: Parameters<typeof list>) =>
      args[0].kind === "Secret" && args[1].namespace === "b"
        ? Promise.reject(new ApiError(500, "InternalError", "corrupt object, Code: 7, Key: /secrets/b/x"))
        : list(...args);
    const all = two();
    const { stop } = await run(all);
    api.list = list;
    expect(["a", "b"].map((namespace) => areSecretsUnwatched(all, namespace))).toEqual([false, true]);
    expect(listed).toContain("SecretSync in b");
    expect(all.filter(({ isBlind }) => isBlind).map(({ name }) => name)).toEqual(["Secret in b"]);
    await clock.advance(60_000);
    expect(areSecretsUnwatched(all, "b")).toBe(false);
    await stop();
  });

  it("that was never filled, or fails for minutes, is told as such", async () => {
    const all = two();
    expect(Object.fromEntries(problemsOfNamespaces(all, health))).toEqual({
      a: ["its caches are not filled yet"],
      b: ["its caches are not filled yet"],
    });
    refuse = (kind, namespace) => kind === "Secret" && namespace === "a";
    const { stop } = await run(all);
    await clock.advance(5 * 60_000);
    const { a } = Object.fromEntries(problemsOfNamespaces(all, health));
    expect(a).toEqual(["the watch of Secret in a has failed for minutes; the log tells why"]);
    await stop();
  });

  it("has its labels read by its name, again each minute", async () => {
    const { stop } = await run(two());
    expect(views.namespaces.get("a")?.labels).toEqual({ team: "x" });
    expect(listed).not.toContain("Namespace");
    await stop();
  });

  it("ends while it waits for the others", async () => {
    refuse = (_kind, namespace) => namespace === "b";
    const { stop } = await run(two());
    await stop();
    expect(listed).not.toContain("SecretSync in b");
  });
});
