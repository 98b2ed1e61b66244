import { describe, expect, it } from "@jest/globals";
import { aboutSync, newEventRecorder } from "../../../src/controllers/secret-sync/events.ts";
import { ApiError, type KubeApi, type KubeObject } from "../../../src/kube/kube-api.ts";
import { FakeClock } from "../../support/fake-clock.ts";

/** Events: told once, also over a crash, and no trouble of anybody's. */

const { signal } = new AbortController();
const about = aboutSync({ name: "orders", namespace: "shop", uid: "u" });
const note = { type: "Warning", reason: "AccessDenied", message: "no" } as const;

function start(answer: (event: KubeObject) => Promise<unknown> = () => Promise.resolve({})) {
  const created: KubeObject[] = [];
  const errors: unknown[] = [];
  let writes = 0;
  const api = {
    create: (_type: unknown, event: KubeObject) => {
      created.push(event);
      return answer(event);
    },
  } as unknown as KubeApi;
  const record = newEventRecorder({
    api,
    clock: new FakeClock(),
    onError: (error) => errors.push(error),
    onWrite: () => writes++,
  });
  return { created, errors, record, writes: () => writes };
}

describe("an event", () => {
  it("has a name that follows from what it tells and from the status before", async () => {
    const { created, record, writes } = start();
    const before = { observedGeneration: 1 };
    await record(about, note, before, signal);
    await record(about, note, before, signal);
    await record(about, note, { observedGeneration: 2 }, signal);
    await record({ ...about, uid: "another" }, note, before, signal);
    const [first, again, later, other] = created.map(({ metadata }) => metadata.name);
    expect(again).toBe(first);
    expect(new Set([first, later, other]).size).toBe(3);
    expect(created[0]).toMatchObject({
      metadata: { namespace: "shop" },
      involvedObject: { kind: "SecretSync", name: "orders", namespace: "shop", uid: "u" },
      ...note,
      count: 1,
    });
    expect(writes()).toBe(4);
  });

  it("is cut to what the apiserver takes", async () => {
    const { created, record } = start();
    await record({ ...about, name: "n".repeat(253) }, { ...note, message: "m".repeat(5_000) }, {}, signal);
    expect(created[0]?.metadata.name.length).toBe(253);
    expect((created[0] as KubeObject & { message: string }).message).toHaveLength(1024);
  });

  it("that was told before a crash is no error, and any other failure is passed on and ends nothing", async () => {
    const conflict = new ApiError(409, "AlreadyExists", "it is there");
    const denied = new ApiError(403, "Forbidden", "no");
    const answers = [conflict, denied];
    const { record, errors, writes } = start(() => Promise.reject(answers.shift()));
    await record(about, note, {}, signal);
    await record(about, note, {}, signal);
    expect(errors).toEqual([denied]);
    expect(writes()).toBe(0);
  });
});
