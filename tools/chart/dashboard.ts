/**
 * The Grafana dashboard: which Secrets are broken, and why; then freshness, propagation, calls and their cost, restarts,
 * queue and runtime. https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
 */
interface Panel {
  readonly title: string;
  readonly help: string;
  readonly type: "stat" | "table" | "timeseries";
  readonly unit?: string;
  /** Of 24 columns. */
  readonly width: number;
  /** Expression by legend. */
  readonly queries: Readonly<Record<string, string>>;
  /** Red from here on. */
  readonly badFrom?: number;
}

/** AWS Secrets Manager: USD 0.05 for 10,000 API calls (https://aws.amazon.com/secrets-manager/pricing/). */
const COST_OF_A_MONTH = "sum(rate(secretsync_provider_calls_total[1h])) * 86400 * 30 / 10000 * 0.05";
const quantile = (share: number, metric: string, by: string) =>
  `histogram_quantile(${share}, sum by (le, ${by}) (rate(${metric}_bucket[$__rate_interval])))`;

const rows: readonly { readonly title: string; readonly panels: readonly Panel[] }[] = [
  {
    title: "Which Secrets are broken, and why",
    panels: [
      {
        title: "Not ready",
        help: "SecretSyncs whose Secret is not in step with its source, and ClusterSecretSyncs that aren't ready in all namespaces.",
        type: "stat",
        width: 4,
        queries: {
          "not ready": 'sum(secretsync_objects{ready="false"})',
          ClusterSecretSyncs: 'sum(secretsync_cluster_objects{ready="false"})',
        },
        badFrom: 1,
      },
      {
        title: "Ready",
        help: "SecretSyncs whose Secret holds what the provider holds.",
        type: "stat",
        width: 4,
        queries: { ready: 'sum(secretsync_objects{ready="true"})' },
      },
      {
        title: "Leaders",
        help: "Exactly one operator works.",
        type: "stat",
        width: 4,
        queries: { leaders: "sum(secretsync_leader)" },
      },
      {
        title: "Not ready, by object and reason",
        help: "docs/reference/reasons.md tells what each reason asks of you.",
        type: "table",
        width: 12,
        queries: { objects: "secretsync_object_ready == 0" },
      },
    ],
  },
  {
    title: "Freshness and propagation",
    panels: [
      {
        title: "Longest since last in step",
        help: "The ten SecretSyncs that were last found or made up to date the longest ago.",
        type: "timeseries",
        unit: "s",
        width: 8,
        queries: {
          "{{namespace}}/{{name}}": "topk(10, time() - secretsync_object_last_success_timestamp_seconds)",
        },
      },
      {
        title: "Propagation, p50 and p99",
        help: "From the new version at the provider to the Secret, and from there to the rollout.",
        type: "timeseries",
        unit: "s",
        width: 8,
        queries: {
          "{{stage}} p50": quantile(0.5, "secretsync_propagation_seconds", "stage"),
          "{{stage}} p99": quantile(0.99, "secretsync_propagation_seconds", "stage"),
        },
      },
      {
        title: "Overdue",
        help: "SecretSyncs whose refresh is late: the operator doesn't keep up.",
        type: "timeseries",
        width: 8,
        queries: { overdue: "sum(secretsync_overdue_objects)" },
      },
    ],
  },
  {
    title: "Provider calls and cost",
    panels: [
      {
        title: "Calls by operation",
        help: "What the operator asks of providers.",
        type: "timeseries",
        unit: "reqps",
        width: 8,
        queries: {
          "{{provider}} {{operation}}":
            "sum by (provider, operation) (rate(secretsync_provider_calls_total[$__rate_interval]))",
        },
      },
      {
        title: "Calls that fail, by reason",
        help: "RateLimited: the provider throttles. missing is an answer and not counted here.",
        type: "timeseries",
        unit: "reqps",
        width: 8,
        queries: {
          "{{provider}} {{result}}":
            'sum by (provider, result) (rate(secretsync_provider_calls_total{result!~"success|missing"}[$__rate_interval]))',
        },
      },
      {
        title: "Cost of a month at this pace",
        help: "Calls at the list price of AWS Secrets Manager; what the secrets themselves cost is not in it.",
        type: "stat",
        unit: "currencyUSD",
        width: 4,
        queries: { cost: COST_OF_A_MONTH },
      },
      {
        title: "Reads served by a call of another object",
        help: "Calls that were not made.",
        type: "timeseries",
        unit: "reqps",
        width: 4,
        queries: {
          "{{operation}}": "sum by (operation) (rate(secretsync_provider_shared_total[$__rate_interval]))",
        },
      },
    ],
  },
  {
    title: "Restarts, repairs and writes",
    panels: [
      {
        title: "Restarts",
        help: "Workloads that were restarted because what they consume had changed.",
        type: "timeseries",
        width: 8,
        queries: {
          "{{kind}} {{result}}":
            "sum by (kind, result) (increase(secretsync_restarts_total[$__rate_interval]))",
        },
      },
      {
        title: "Drift repairs",
        help: "Secrets that somebody had changed or deleted.",
        type: "timeseries",
        width: 8,
        queries: { repairs: "sum(increase(secretsync_drift_repairs_total[$__rate_interval]))" },
      },
      {
        title: "Writes to the apiserver",
        help: "None while nothing changes.",
        type: "timeseries",
        unit: "wps",
        width: 8,
        queries: { "{{kind}}": "sum by (kind) (rate(secretsync_kubernetes_writes_total[$__rate_interval]))" },
      },
    ],
  },
  {
    title: "Queue and runtime",
    panels: [
      {
        title: "Queue depth",
        help: "Objects that are due and wait for a worker.",
        type: "timeseries",
        width: 6,
        queries: { "{{lane}}": "sum by (lane) (secretsync_queue_depth)" },
      },
      {
        title: "Wait in the queue, p99",
        help: "By lane.",
        type: "timeseries",
        unit: "s",
        width: 6,
        queries: { "{{lane}}": quantile(0.99, "secretsync_queue_wait_seconds", "lane") },
      },
      {
        title: "Reconciles and polled objects by result",
        help: "retry: will try again soon; stalled: a person must act; error: a bug. polled: objects in step that a poll found unchanged, or made due.",
        type: "timeseries",
        unit: "ops",
        width: 6,
        queries: {
          "{{result}}": "sum by (result) (rate(secretsync_reconcile_total[$__rate_interval]))",
          "polled {{result}}": "sum by (result) (rate(secretsync_polled_objects_total[$__rate_interval]))",
        },
      },
      {
        title: "Silence of the watches",
        help: "Bookmarks come about once a minute.",
        type: "timeseries",
        unit: "s",
        width: 6,
        queries: { "{{kind}}": "max by (kind) (secretsync_watch_silence_seconds)" },
      },
      {
        title: "Memory",
        help: "Resident, by pod.",
        type: "timeseries",
        unit: "bytes",
        width: 8,
        queries: { "{{instance}}": "process_resident_memory_bytes and on (instance) secretsync_build_info" },
      },
      {
        title: "CPU",
        help: "Seconds of CPU a second, by pod.",
        type: "timeseries",
        width: 8,
        queries: {
          "{{instance}}":
            "rate(process_cpu_seconds_total[$__rate_interval]) and on (instance) secretsync_build_info",
        },
      },
      {
        title: "Event loop lag, highest",
        help: "How long the process stood still.",
        type: "timeseries",
        unit: "s",
        width: 8,
        queries: {
          "{{instance}}": "nodejs_eventloop_lag_max_seconds and on (instance) secretsync_build_info",
        },
      },
    ],
  },
];

export const dashboardQueries = (): readonly string[] =>
  rows.flatMap(({ panels }) => panels.flatMap(({ queries }) => Object.values(queries)));

const HEIGHT = 7;

export function dashboard(): Record<string, unknown> {
  let id = 1;
  let y = 0;
  const panels: Record<string, unknown>[] = [];
  for (const row of rows) {
    panels.push({
      id: id++,
      type: "row",
      title: row.title,
      collapsed: false,
      gridPos: { x: 0, y, w: 24, h: 1 },
      panels: [],
    });
    y++;
    let x = 0;
    for (const panel of row.panels) {
      if (x + panel.width > 24) {
        x = 0;
        y += HEIGHT;
      }
      panels.push(grafanaPanel(panel, id++, { x, y, w: panel.width, h: HEIGHT }));
      x += panel.width;
    }
    y += HEIGHT;
  }
  return {
    uid: "secretsync",
    title: "SecretSync",
    tags: ["secretsync", "kubernetes"],
    timezone: "",
    schemaVersion: 39,
    refresh: "30s",
    time: { from: "now-6h", to: "now" },
    templating: {
      list: [{ name: "datasource", type: "datasource", query: "prometheus", label: "Data source" }],
    },
    panels,
  };
}

function grafanaPanel(
  { title, help, type, unit, queries, badFrom }: Panel,
  id: number,
  gridPos: Record<string, number>,
): Record<string, unknown> {
  const datasource = { type: "prometheus", uid: "${datasource}" };
  const steps = [
    { color: "green", value: null },
    ...(badFrom === undefined ? [] : [{ color: "red", value: badFrom }]),
  ];
  return {
    id,
    type,
    title,
    description: help,
    gridPos,
    datasource,
    fieldConfig: {
      defaults: { unit: unit ?? "short", min: 0, thresholds: { mode: "absolute", steps } },
      overrides: [],
    },
    options: type === "stat" ? { reduceOptions: { calcs: ["lastNotNull"] }, colorMode: "background" } : {},
    targets: Object.entries(queries).map(([legendFormat, expr], index) => ({
      refId: String.fromCharCode(65 + index),
      datasource,
      expr,
      legendFormat,
      ...(type === "table" ? { format: "table", instant: true } : {}),
    })),
    ...(type === "table" ? { transformations: [tableColumns] } : {}),
  };
}

const tableColumns = {
  id: "organize",
  options: {
    indexByName: { namespace: 0, name: 1, reason: 2 },
    excludeByName: { Time: true, Value: true, __name__: true, instance: true, job: true, pod: true },
  },
};
