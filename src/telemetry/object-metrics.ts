import { Gauge, type Registry } from "prom-client";

/** What metrics tell of SecretSyncs: of all together, and of each where that isn't too much. */

export interface ObjectSample {
  readonly namespace: string;
  readonly name: string;
  readonly ready: boolean;
  /** Reason of its Ready condition; empty before the first reconcile. */
  readonly reason: string;
  /** RestartWaiting or RestartFailed while workloads run with something older than the Secret; else empty. */
  readonly pendingRestart: string;
  /** Seconds between refreshes; 0 for none. */
  readonly refreshInterval: number;
  /** Seconds since 1970; undefined when there was none since the operator started. */
  readonly lastSuccess: number | undefined;
  /** Milliseconds since 1970 by when a provider wants to have rotated the first of its sources. */
  readonly nextRotation: number | undefined;
}

interface Sources {
  readonly objects: () => Iterable<ObjectSample>;
  readonly now: () => number;
}

/** As the alerts have it, for clusters in which metrics don't tell of each object. */
const isStale = (now: number, { lastSuccess, refreshInterval }: ObjectSample): boolean =>
  lastSuccess !== undefined && refreshInterval > 0 && now - lastSuccess > 2 * refreshInterval + 300;
const isRotationOverdue = (now: number, { nextRotation }: ObjectSample): boolean =>
  nextRotation !== undefined && now - nextRotation / 1000 > 86_400;

export function objectMetrics(
  registers: Registry[],
  connected: () => Sources | undefined,
  perObject: boolean,
): void {
  const objects = () => connected()?.objects() ?? [];
  new Gauge({
    name: "secretsync_objects",
    help: "SecretSyncs by readiness.",
    labelNames: ["ready"],
    registers,
    collect() {
      const counts = { true: 0, false: 0 };
      for (const { ready } of objects()) counts[`${ready}`]++;
      for (const ready of ["true", "false"] as const) this.set({ ready }, counts[ready]);
    },
  });
  new Gauge({
    name: "secretsync_pending_restart_objects",
    help: "SecretSyncs with workloads that run with something older than the Secret, by the reason of their condition Restarted.",
    labelNames: ["reason"],
    registers,
    collect() {
      for (const reason of ["RestartWaiting", "RestartFailed"])
        this.set(
          { reason },
          count(objects(), ({ pendingRestart }) => pendingRestart === reason),
        );
    },
  });
  new Gauge({
    name: "secretsync_stale_objects",
    help: "SecretSyncs that were last in step longer ago than two of their intervals and five minutes.",
    registers,
    collect() {
      const now = connected()?.now() ?? 0;
      this.set(count(objects(), (sample) => isStale(now, sample)));
    },
  });
  new Gauge({
    name: "secretsync_rotation_overdue_objects",
    help: "SecretSyncs with a source that should have been rotated a day ago or earlier.",
    registers,
    collect() {
      const now = connected()?.now() ?? 0;
      this.set(count(objects(), (sample) => isRotationOverdue(now, sample)));
    },
  });
  if (perObject) {
    new Gauge({
      name: "secretsync_object_ready",
      help: "1 when the SecretSync is Ready, else 0; the label tells the reason of its condition.",
      labelNames: ["namespace", "name", "reason"],
      registers,
      collect() {
        this.reset();
        for (const { namespace, name, ready, reason } of objects())
          this.set({ namespace, name, reason }, ready ? 1 : 0);
      },
    });
    new Gauge({
      name: "secretsync_object_pending_restart",
      help: "1 while workloads run with something older than the Secret; the label tells the reason of the condition Restarted.",
      labelNames: ["namespace", "name", "reason"],
      registers,
      collect() {
        this.reset();
        for (const { namespace, name, pendingRestart: reason } of objects())
          if (reason !== "") this.set({ namespace, name, reason }, 1);
      },
    });
    new Gauge({
      name: "secretsync_object_refresh_interval_seconds",
      help: "How often the SecretSync is refreshed; 0 for not at all.",
      labelNames: ["namespace", "name"],
      registers,
      collect() {
        this.reset();
        for (const { namespace, name, refreshInterval } of objects())
          this.set({ namespace, name }, refreshInterval);
      },
    });
    new Gauge({
      name: "secretsync_object_last_success_timestamp_seconds",
      help: "When the SecretSync was last found or made up to date.",
      labelNames: ["namespace", "name"],
      registers,
      collect() {
        this.reset();
        for (const { namespace, name, lastSuccess } of objects()) {
          if (lastSuccess !== undefined) this.set({ namespace, name }, lastSuccess);
        }
      },
    });
    new Gauge({
      name: "secretsync_object_next_rotation_timestamp_seconds",
      help: "By when the provider wants to have rotated the first of its sources; only for those that rotate by schedule.",
      labelNames: ["namespace", "name"],
      registers,
      collect() {
        this.reset();
        for (const { namespace, name, nextRotation } of objects()) {
          if (nextRotation !== undefined) this.set({ namespace, name }, nextRotation / 1000);
        }
      },
    });
  }
}

function count(samples: Iterable<ObjectSample>, isCounted: (sample: ObjectSample) => boolean): number {
  let counted = 0;
  for (const sample of samples) if (isCounted(sample)) counted++;
  return counted;
}
