import { teardown } from "./cluster-setup.ts";

/** After the last test of a suite: the cluster and everything else that cluster-setup.ts has started ends. */
// oxlint-disable-next-line import/no-default-export -- Jest asks for one.
export default async function end(): Promise<void> {
  await teardown.run();
}
