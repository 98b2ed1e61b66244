import type { Fence } from "../kube/fence.ts";
import type { KubeApi } from "../kube/kube-api.ts";
import type { Options } from "../options.ts";
import type { Catalog } from "../providers/catalog.ts";
import type { ProxyEnv } from "../providers/contract.ts";
import type { Clock, Random } from "../runtime/clock.ts";
import type { LeaseTimes } from "../runtime/leader-election.ts";
import type { Tls } from "../telemetry/http-server.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Tracing } from "../telemetry/tracing.ts";

/** What the process gives: arguments, clock, chance, the apiserver, what is loaded later. Tests give their own. */
export interface Parts {
  readonly options: Options;
  readonly version: string;
  /** The apiserver; with a fence, for a client whose writes ask it. */
  readonly apiWith: (fence?: Fence) => KubeApi;
  readonly clock: Clock;
  readonly random: Random;
  readonly randomBytes: (count: number) => Buffer;
  readonly log: Logger;
  readonly tracing: Tracing;
  readonly namespace: string;
  readonly identity: string;
  readonly catalog: Catalog;
  /** The environment's proxies; absent: none. */
  readonly proxyEnv?: ProxyEnv | undefined;
  /** Bytes that the container may have; undefined or absurdly large where nothing bounds it. */
  readonly memoryBytes?: number | undefined;
  readonly metricsTls?: Tls | undefined;
  readonly leaseTimes?: LeaseTimes;
  readonly watchIdleMs?: number;
}
