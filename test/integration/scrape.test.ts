import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { request } from "node:https";
import path from "node:path";
import { run, runWith } from "../support/kubectl.ts";
import { startOperator, type OperatorProcess } from "../support/operator.ts";
import { inNamespace, kubeconfig, logFile, newAdmin, unique } from "../support/suite.ts";

/** Metrics for those only whom the cluster lets, over TLS. */
const { api, transport } = newAdmin();
const namespace = unique("scrape");
const folder = logFile(unique("tls"));
let operator: OperatorProcess;

beforeAll(async () => {
  await inNamespace(api, namespace).create();
  mkdirSync(folder);
  const [cert, key] = [path.join(folder, "tls.crt"), path.join(folder, "tls.key")];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"];
  const how = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-out", cert, "-keyout", key];
  execFileSync("openssl", [...how, ...subject], { stdio: "ignore" });
  operator = await startOperator({
    kubeconfig,
    logFile: logFile(unique("operator")),
    args: [
      `--operator-namespace=${namespace}`,
      `--watch-namespaces=${namespace}`,
      "--metrics-auth=token",
      `--metrics-tls-dir=${folder}`,
    ],
  });
}, 60_000);
afterAll(async () => {
  await operator.child.stop();
  transport.close();
});

const scrape = (token?: string): Promise<{ status: number | undefined; body: string }> =>
  new Promise((resolve, reject) => {
    const url = operator.metricsUrl.replace("http:", "https:");
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const sent = request(url, { ca: readFileSync(path.join(folder, "tls.crt")), headers }, (answer) => {
      let body = "";
      answer.on("data", (chunk: Buffer) => (body += chunk.toString()));
      answer.once("end", () => resolve({ status: answer.statusCode, body }));
    });
    sent.once("error", reject);
    sent.end();
  });

const tokenOf = async (account: string) => {
  await run("create", "serviceaccount", account, "-n", namespace);
  return (await run("create", "token", account, "-n", namespace)).trim();
};

describe("metrics", () => {
  it("are shown to nobody without a token, or with one that the cluster doesn't know", async () => {
    expect((await scrape()).status).toBe(401);
    expect((await scrape("made.up.token")).status).toBe(401);
  });

  it("are not shown to whom no role lets", async () => {
    const { status, body } = await scrape(await tokenOf("tenant"));
    expect(status).toBe(403);
    expect(body).not.toContain("secretsync_");
  });

  it("are shown to whom a role lets", async () => {
    const name = unique("scraper");
    const token = await tokenOf(name);
    const role = {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRole",
      metadata: { name },
      rules: [{ nonResourceURLs: ["/metrics"], verbs: ["get"] }],
    };
    const { ok, output } = await runWith(JSON.stringify(role), "apply", "-f", "-");
    expect([ok, output]).toEqual([true, expect.any(String)]);
    await run(
      "create",
      "clusterrolebinding",
      name,
      `--clusterrole=${name}`,
      `--serviceaccount=${namespace}:${name}`,
    );
    const { status, body } = await scrape(token);
    expect(status).toBe(200);
    expect(body).toContain("secretsync_build_info");
  });
});
