import { FakeStore } from "../support/fake-store.ts";
import { describeProviderContract } from "./provider-contract.ts";

/** The store that unit tests trust keeps the contract too, so that it can't lie. */
const store = new FakeStore();
let version = 0;
const put = (name: string, value: string | Uint8Array, tags?: Record<string, string>) =>
  Promise.resolve(store.put(name, value, `v${++version}`, tags));

describeProviderContract({
  name: "the tests' fake",
  open: () => store,
  lacks: ["recovery", "feed"],
  seed: {
    create: put,
    rotate: put,
    remove: (name) => Promise.resolve(store.secrets.delete(name)),
    schedule: () => Promise.reject(new Error("it lacks that")),
  },
  unique: (prefix) => `${prefix}-${++version}`,
});
