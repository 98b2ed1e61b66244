import { describe, expect, it } from "@jest/globals";
import { fencedApi, LeaseLostError } from "../../src/kube/fenced-api.ts";
import type { KubeApi, KubeObject } from "../../src/kube/kube-api.ts";
import { resources } from "../../src/kube/resources.ts";

const { signal } = new AbortController();

function counting(): { api: KubeApi; calls: string[] } {
  const calls: string[] = [];
  const answer = (name: string) => () => {
    calls.push(name);
    return Promise.resolve({} as never);
  };
  const api = {
    get: answer("get"),
    list: answer("list"),
    watch: answer("watch"),
    apply: answer("apply"),
    create: answer("create"),
    delete: answer("delete"),
  };
  return { api: api as unknown as KubeApi, calls };
}

describe("the fence", () => {
  it("lets nothing be written without the lease, and everything be read", async () => {
    const { api, calls } = counting();
    let leads = false;
    const fenced = fencedApi(api, () => leads);
    const object: KubeObject = { metadata: { name: "a" } };
    const writes = [
      () => fenced.apply(resources.secret, object, { fieldManager: "m", force: true }, signal),
      () => fenced.create(resources.event, object, signal),
      () => fenced.delete(resources.secret, "a", "ns", "uid", signal),
    ];
    for (const write of writes) await expect(write()).rejects.toThrow(LeaseLostError);
    await fenced.get(resources.secret, "a", "ns", signal);
    await fenced.list(resources.secret, { limit: 1 }, signal);
    fenced.watch(resources.secret, { resourceVersion: "1", timeoutSeconds: 1 }, signal);
    expect(calls).toEqual(["get", "list", "watch"]);
    leads = true;
    for (const write of writes) await write();
    expect(calls.slice(3)).toEqual(["apply", "create", "delete"]);
  });
});
