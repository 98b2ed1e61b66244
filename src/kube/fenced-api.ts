import type { KubeApi } from "./kube-api.ts";

/** A write was held back because another replica may lead by now. */
export class LeaseLostError extends Error {
  constructor() {
    super("the leader lease is not held; nothing was written");
    this.name = "LeaseLostError";
  }
}

/** Asks before each write whether this replica still leads: a Lease alone doesn't stop a replica that was paused. */
export function fencedApi(api: KubeApi, mayWrite: () => boolean): KubeApi {
  const fence = () => {
    if (!mayWrite()) throw new LeaseLostError();
  };
  return {
    get: (...args) => api.get(...args),
    list: (...args) => api.list(...args),
    watch: (...args) => api.watch(...args),
    async apply(...args) {
      fence();
      return api.apply(...args);
    },
    async create(...args) {
      fence();
      return api.create(...args);
    },
    async delete(...args) {
      fence();
      return api.delete(...args);
    },
  };
}
