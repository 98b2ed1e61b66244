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
  /** Lets others have a turn. */
  readonly pause: () => Promise<void>;
}

/** So many objects are looked at in one turn of the event loop, and so many lines written; each some milliseconds. */
const PORTION = 2_000;
const LINES = 1_000;

/** As the alerts have it, for clusters in which metrics don't tell of each object. */
const isStale = (now: number, { lastSuccess, refreshInterval }: ObjectSample): boolean =>
  lastSuccess !== undefined && refreshInterval > 0 && now - lastSuccess > 2 * refreshInterval + 300;
const isRotationOverdue = (now: number, { nextRotation }: ObjectSample): boolean =>
  nextRotation !== undefined && now - nextRotation / 1000 > 86_400;

interface SeriesOptions {
  readonly name: string;
  readonly help: string;
  /** A label beside namespace and name. */
  readonly reason?: (sample: ObjectSample) => string;
  /** undefined: no series. */
  readonly value: (sample: ObjectSample) => number | undefined;
}

/**
 * A gauge with a series for each object. Nothing is kept between scrapes, and its text is made line by line: ten thousand lines
 * at once would hold up everything else.
 */
class ObjectGauge extends Gauge {
  readonly #options: SeriesOptions;
  readonly #objects: () => Iterable<ObjectSample>;

  constructor(options: SeriesOptions, registers: Registry[], objects: () => Iterable<ObjectSample>) {
    const labelNames = ["namespace", "name", ...(options.reason ? ["reason"] : [])];
    super({ name: options.name, help: options.help, labelNames, registers });
    this.#options = options;
    this.#objects = objects;
  }

  /** For registry.metrics(), which makes everything at once. */
  override async get() {
    const values = this.#series().map(({ labels, value }) => ({ labels, value }));
    return { ...(await super.get()), values: [...values] };
  }

  /** The text format, line by line: https://prometheus.io/docs/instrumenting/exposition_formats/ */
  *lines(): Iterable<string> {
    const { name, help } = this.#options;
    yield `# HELP ${name} ${help}\n# TYPE ${name} gauge`;
    for (const { labels, value } of this.#series()) {
      const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`);
      yield `${name}{${pairs.join()}} ${value}`;
    }
  }

  *#series() {
    const { reason, value: valueOf } = this.#options;
    for (const sample of this.#objects()) {
      const value = valueOf(sample);
      if (value === undefined) continue;
      const { namespace, name } = sample;
      yield { labels: { namespace, name, ...(reason ? { reason: reason(sample) } : {}) }, value };
    }
  }
}

/** A reason is read from status, which others may have written. */
const escaped = (text: string): string =>
  /[\\\n"]/.test(text) ? text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"') : text;

/** The text of all metrics, piece by piece, with turns for others between. */
export async function* exposition(registry: Registry, pause: () => Promise<void>): AsyncIterable<string> {
  let isFirst = true;
  for (const metric of registry.getMetricsAsArray() as unknown as readonly (Gauge & { name: string })[]) {
    if (!isFirst) yield "\n";
    isFirst = false;
    if (metric instanceof ObjectGauge) {
      let lines: string[] = [];
      for (const line of metric.lines()) {
        lines.push(line);
        if (lines.length < LINES) continue;
        yield `${lines.join("\n")}\n`;
        lines = [];
        await pause();
      }
      if (lines.length > 0) yield `${lines.join("\n")}\n`;
    } else yield `${await registry.getSingleMetricAsString(metric.name)}\n`;
    await pause();
  }
}

export function objectMetrics(
  registers: Registry[],
  connected: () => Sources | undefined,
  perObject: boolean,
): void {
  const objects = () => connected()?.objects() ?? [];
  const now = () => connected()?.now() ?? 0;
  /** How many objects have each of these, in one pass. */
  const tally = async <K extends string>(
    of: (sample: ObjectSample) => K,
  ): Promise<ReadonlyMap<K, number>> => {
    const counts = new Map<K, number>();
    let seen = 0;
    for (const sample of objects()) {
      if (++seen % PORTION === 0) await connected()?.pause();
      const key = of(sample);
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    return counts;
  };
  new Gauge({
    name: "secretsync_objects",
    help: "SecretSyncs by readiness.",
    labelNames: ["ready"],
    registers,
    async collect() {
      const counts = await tally(({ ready }) => `${ready}`);
      for (const ready of ["true", "false"] as const) this.set({ ready }, counts.get(ready) ?? 0);
    },
  });
  new Gauge({
    name: "secretsync_pending_restart_objects",
    help: "SecretSyncs with workloads that run with something older than the Secret, by the reason of their condition Restarted.",
    labelNames: ["reason"],
    registers,
    async collect() {
      const counts = await tally(({ pendingRestart }) => pendingRestart);
      for (const reason of ["RestartWaiting", "RestartFailed"]) this.set({ reason }, counts.get(reason) ?? 0);
    },
  });
  new Gauge({
    name: "secretsync_stale_objects",
    help: "SecretSyncs that were last in step longer ago than two of their intervals and five minutes.",
    registers,
    async collect() {
      const counts = await tally((sample) => `${isStale(now(), sample)}`);
      this.set(counts.get("true") ?? 0);
    },
  });
  new Gauge({
    name: "secretsync_rotation_overdue_objects",
    help: "SecretSyncs with a source that should have been rotated a day ago or earlier.",
    registers,
    async collect() {
      const counts = await tally((sample) => `${isRotationOverdue(now(), sample)}`);
      this.set(counts.get("true") ?? 0);
    },
  });
  if (!perObject) return;
  const series: readonly SeriesOptions[] = [
    {
      name: "secretsync_object_ready",
      help: "1 when the SecretSync is Ready, else 0; the label tells the reason of its condition.",
      reason: ({ reason }) => reason,
      value: ({ ready }) => (ready ? 1 : 0),
    },
    {
      name: "secretsync_object_pending_restart",
      help: "1 while workloads run with something older than the Secret; the label tells the reason of the condition Restarted.",
      reason: ({ pendingRestart }) => pendingRestart,
      value: ({ pendingRestart }) => (pendingRestart === "" ? undefined : 1),
    },
    {
      name: "secretsync_object_refresh_interval_seconds",
      help: "How often the SecretSync is refreshed; 0 for not at all.",
      value: ({ refreshInterval }) => refreshInterval,
    },
    {
      name: "secretsync_object_last_success_timestamp_seconds",
      help: "When the SecretSync was last found or made up to date.",
      value: ({ lastSuccess }) => lastSuccess,
    },
    {
      name: "secretsync_object_next_rotation_timestamp_seconds",
      help: "By when the provider wants to have rotated the first of its sources; only for those that rotate by schedule.",
      value: ({ nextRotation }) => (nextRotation === undefined ? undefined : nextRotation / 1000),
    },
  ];
  for (const options of series) new ObjectGauge(options, registers, objects);
}
