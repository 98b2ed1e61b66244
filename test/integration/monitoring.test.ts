import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { execFile } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { parse, stringify } from "yaml";
import type { KubeApi } from "../../src/kube/kube-api.ts";
import type { Transport } from "../../src/kube/transport.ts";
import { dashboardQueries } from "../../tools/chart/dashboard.ts";
import { debianPrograms } from "../cluster/debian.ts";
import { AwsStandIn } from "../support/aws-stand-in.ts";
import { startChild, type Child } from "../support/children.ts";
import { canary } from "../support/leaks.ts";
import type { OperatorProcess } from "../support/operator.ts";
import { freePorts } from "../support/ports.ts";
import { newAdmin, newTenant, request, restartedFor, unique } from "../support/suite.ts";
import { until } from "../support/wait.ts";

/** The alerts by promtool, and every query of alerts and dashboard against a real Prometheus that scrapes an operator. */

const run = promisify(execFile);
const alertsFile = "charts/secretsync/files/alerts.yaml";
const { groups } = parse(readFileSync(alertsFile, "utf8")) as {
  groups: {
    rules: {
      alert: string;
      expr: string;
      labels: { severity: string };
      annotations: Record<string, string>;
    }[];
  }[];
};
const rules = groups.flatMap((group) => group.rules);
const folder = mkdtempSync(path.join(tmpdir(), "secretsync-monitoring-"));
let bin: string | undefined;
const program = (name: string) => (bin === undefined ? name : path.join(bin, name));

beforeAll(async () => {
  bin = await debianPrograms("prometheus", ["prometheus", "promtool"]);
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the alerts", () => {
  it("are valid, and fire and stay silent as they must", async () => {
    const [alerts, tests] = [path.join(folder, "alerts.yaml"), path.join(folder, "test.yaml")];
    copyFileSync(alertsFile, alerts);
    copyFileSync("test/monitoring/alerts.test.yaml", tests);
    await run(program("promtool"), ["check", "rules", alerts]);
    const { stdout } = await run(program("promtool"), ["test", "rules", tests]);
    expect(stdout).toContain("SUCCESS");
  });

  it("each have a case in which they fire and one in which they don't, a severity, and a chapter in the runbooks", () => {
    const { tests } = parse(readFileSync("test/monitoring/alerts.test.yaml", "utf8")) as {
      tests: { alert_rule_test: { alertname: string; exp_alerts: unknown[] }[] }[];
    };
    const cases = tests.flatMap((test) => test.alert_rule_test);
    const runbooks = readFileSync("docs/runbooks.md", "utf8");
    for (const { alert, labels, annotations } of rules) {
      const own = cases.filter(({ alertname }) => alertname === alert);
      expect(own.some(({ exp_alerts }) => exp_alerts.length > 0)).toBe(true);
      expect(own.some(({ exp_alerts }) => exp_alerts.length === 0)).toBe(true);
      expect(["warning", "critical"]).toContain(labels.severity);
      expect(annotations["runbook_url"]).toMatch(new RegExp(`#${alert.toLowerCase()}$`));
      expect(runbooks).toContain(`\n## ${alert}\n`);
    }
  });
});

describe("a real Prometheus", () => {
  const aws = new AwsStandIn();
  let transport: Transport;
  let api: KubeApi;
  let operator: OperatorProcess;
  let prometheus: Child;
  let rotating: NodeJS.Timeout;
  let url: string;

  beforeAll(async () => {
    ({ api, transport } = newAdmin());
    const { spec, sync, untilReason, adopted, startOperator } = await newTenant(
      api,
      "monitor",
      await aws.start(),
    );
    operator = await startOperator();
    const [port = 0] = await freePorts(1);
    url = `http://127.0.0.1:${port}`;
    const config = path.join(folder, "prometheus.yaml");
    writeFileSync(
      config,
      stringify({
        global: { scrape_interval: "1s", evaluation_interval: "1s" },
        rule_files: [path.resolve(alertsFile)],
        scrape_configs: [
          { job_name: "secretsync", static_configs: [{ targets: [new URL(operator.metricsUrl).host] }] },
        ],
      }),
    );
    prometheus = startChild(
      "prometheus",
      program("prometheus"),
      [
        `--config.file=${config}`,
        `--storage.tsdb.path=${path.join(folder, "data")}`,
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      { logFile: path.join(folder, "prometheus.log") },
    );
    await until("Prometheus is ready", async () => (await fetch(`${url}/-/ready`)).ok, { timeoutMs: 30_000 });

    // Something of everything: a secret that works, one that is denied, one that is throttled, a restart.
    const [good, bad, slow] = [unique("good"), unique("bad"), unique("slow")];
    for (const key of [good, bad, slow]) aws.put(key, canary("one"));
    aws.schedule(good, new Date("2020-01-01"));
    aws.fault = (_operation, input) => {
      const keys = [input["SecretId"], ...((input["SecretIdList"] as string[] | undefined) ?? [])];
      if (keys.includes(bad)) return { kind: "error", status: 400, type: "AccessDeniedException" };
      if (keys.includes(slow)) return { kind: "error", status: 400, type: "ThrottlingException" };
      return undefined;
    };
    await sync(good, spec(good, { refreshInterval: "2s" }));
    await untilReason(good, "Synced");
    await sync(bad, spec(bad));
    await untilReason(bad, "AccessDenied");
    const workload = await adopted(good);
    aws.put(good, canary("two"));
    await sync(good, spec(good, { refreshInterval: "2s" }), request());
    await until("the workload restarts", async () => restartedFor(await workload()));
    // And on and on, so that there are rates at any time.
    let rotations = 0;
    rotating = setInterval(() => aws.put(good, canary(`${rotations++}`)), 1_000);
    await sync(slow, spec(slow));
    await untilReason(slow, "RateLimited", 40_000);
  }, 120_000);

  afterAll(async () => {
    clearInterval(rotating);
    await prometheus.stop();
    await operator.stop();
    await aws.stop();
    transport.close();
  });

  const series = async (query: string): Promise<number> => {
    const answer = await fetch(`${url}/api/v1/query?${new URLSearchParams({ query }).toString()}`);
    const { status, error, data } = (await answer.json()) as {
      status: string;
      error?: string;
      data?: { result: { value: [number, string] }[] };
    };
    if (status !== "success") throw new Error(`${query}: ${error}`);
    return (data?.result ?? []).filter(({ value: [, sample] }) => sample !== "NaN").length;
  };
  const answers = (query: string) =>
    until(`${query} has a series`, async () => (await series(query)) > 0, { timeoutMs: 30_000 });

  it.each(dashboardQueries().map((query) => [query] as const))(
    "answers the dashboard's %s",
    async (query) => {
      await answers(query.replaceAll("$__rate_interval", "1m"));
    },
    40_000,
  );

  it("evaluates every rule", async () => {
    const health = await until("all were evaluated", async () => {
      const answer = await fetch(`${url}/api/v1/rules`);
      const { data } = (await answer.json()) as {
        data: { groups: { rules: { name: string; health: string; lastError?: string }[] }[] };
      };
      const states = data.groups.flatMap((group) => group.rules);
      return states.every((state) => state.health !== "unknown") && states;
    });
    expect(health.map(({ name }) => name)).toEqual(rules.map(({ alert }) => alert));
    expect(health.filter((state) => state.health !== "ok")).toEqual([]);
  });

  /** What a rule compares, whatever comes of it: its joins must find partners among real labels. */
  const compared = (expr: string) =>
    expr
      .replace(/unless on \(\)[^\n]*/, "")
      .replaceAll(/(?<![=!<>~])(==|>=|<=|>|<)(?!=)/g, "$1 bool")
      .trim();

  it.each(rules.map(({ alert, expr }) => ({ alert, query: compared(expr) })))(
    "answers what $alert compares: $query",
    async ({ query }) => {
      await answers(query);
    },
    40_000,
  );
});
