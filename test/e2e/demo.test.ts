import { describe, expect, it } from "@jest/globals";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { run as kubectl } from "../support/kubectl.ts";
import { kubeconfig, noPods } from "../support/suite.ts";
import { until } from "../support/wait.ts";

const withPods = noPods ? describe.skip : describe;
const env = { ...process.env, SECRETSYNC_TEST_KUBECONFIG: kubeconfig };
const forget = () => kubectl("delete", "--ignore-not-found", "-f", "examples/orders.yaml");

withPods("make demo", () => {
  it("tells its story to the end", async () => {
    const demo = spawn("make", ["demo"], {
      env: { ...env, DEMO_EXIT: "1" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [stdout, [code]] = await Promise.all([text(demo.stdout), once(demo, "exit")]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/the Secret is written \d+ ms after its SecretSync/);
    expect(stdout).toContain("its keys: DB_password DB_username password");
    expect(stdout).toContain("env:    DB_password=battery-staple");
    expect(stdout).toContain("volume: /etc/orders/password=trombone-four");
    for (const stage of ["new value in the Secret", "rollout started", "new pod runs with it"])
      expect(stdout.match(new RegExp(`\\d+\\.\\d\\d s {2}${stage}`, "g"))).toHaveLength(2);
    expect(stdout).toMatch(/shop +orders-db +True +Synced/);
    expect(stdout).toMatch(/secretsync_restarts_total\{[^}]+\} +0 → 2/);
    await forget();
  }, 180_000);

  it("stays up until Ctrl-C, with commands that work meanwhile", async () => {
    const demo = spawn(process.execPath, ["tools/demo.ts"], {
      env: { ...env, NODE_OPTIONS: "" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let stdout = "";
    demo.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    const commands = await until(
      "it is at its end",
      () => {
        const [, rest] = stdout.split("Try, in another terminal:\n");
        const lines = rest?.trim().split("\n") ?? [];
        return lines.length === 4 && lines.map((line) => line.trim());
      },
      { timeoutMs: 150_000 },
    );
    const [exported, ...others] = commands;
    for (const command of others) {
      const said = await promisify(execFile)("bash", ["-ec", `${exported}\n${command}`]);
      expect(said.stdout).toMatch(/orders-db|secretsync_/);
    }
    demo.kill("SIGINT");
    const [code] = (await once(demo, "exit")) as [number];
    expect(code).toBe(130);
    expect(stdout).toContain("nothing is left behind");
    // On a cluster of somebody's it takes its own things along.
    expect(await kubectl("get", "namespace", "shop", "--ignore-not-found")).toBe("");
  }, 240_000);
});
