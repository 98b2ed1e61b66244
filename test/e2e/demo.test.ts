import { afterEach, describe, expect, it } from "@jest/globals";
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { run as kubectl } from "../support/kubectl.ts";
import { kubeconfig, noPods } from "../support/suite.ts";
import { until } from "../support/wait.ts";

const withPods = noPods ? describe.skip : describe;
/** Jest's workers ask for colours when a terminal looks on. */
const env = { ...process.env, SECRETSYNC_TEST_KUBECONFIG: kubeconfig, FORCE_COLOR: undefined };

withPods("make demo", () => {
  let demo: ChildProcess;
  afterEach(async () => {
    // Where a test ended before it did.
    demo.kill();
    await kubectl("delete", "--ignore-not-found", "-f", "examples/orders.yaml");
  });

  it("tells its story to the end", async () => {
    const make = spawn("make", ["demo"], {
      env: { ...env, DEMO_EXIT: "1" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    demo = make;
    const [stdout, [code]] = await Promise.all([text(make.stdout), once(make, "exit")]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/the Secret is written \d+ ms after its SecretSync/);
    expect(stdout).toContain("its keys: DB_password DB_username password");
    expect(stdout).toContain("env:    DB_password=battery-staple");
    expect(stdout).toContain("volume: /etc/orders/password=trombone-four");
    for (const stage of ["new value in the Secret", "rollout started", "new pod runs with it"])
      expect(stdout.match(new RegExp(`\\d+\\.\\d\\d s {2}${stage}`, "g"))).toHaveLength(2);
    expect(stdout).toMatch(/shop +orders-db +True +Synced/);
    expect(stdout).toMatch(/secretsync_restarts_total\{[^}]+\} +0 → 2/);
  }, 180_000);

  it("stays up until Ctrl-C, with commands that work meanwhile", async () => {
    const node = spawn(process.execPath, ["tools/demo.ts"], {
      env: { ...env, NODE_OPTIONS: "" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    demo = node;
    let stdout = "";
    node.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    const commands = await until(
      "it is at its end",
      () => {
        const [, rest] = stdout.split("Try, in another terminal:\n");
        const lines = rest?.split("\n").map((line) => line.trim()) ?? [];
        const found = lines.filter((line) => /^(export|kubectl|curl) /.test(line));
        return found.length === 6 && found;
      },
      { timeoutMs: 150_000 },
    );
    const [exported, ...others] = commands;
    for (const command of others) {
      const said = await promisify(execFile)("bash", ["-ec", `${exported}\n${command}`]);
      expect(said.stdout).toMatch(/orders-db|secretsync_|VersionId/);
    }
    // One of them rotates the secret in AWS.
    await until("the new value is there", async () => {
      const value = await kubectl(
        "get",
        "secret",
        "-n",
        "shop",
        "orders-db",
        "-o",
        "jsonpath={.data.password}",
      );
      return Buffer.from(value, "base64").toString() === "my-own";
    });
    node.kill("SIGINT");
    const [code] = (await once(node, "exit")) as [number];
    expect(code).toBe(0);
    expect(stdout).toContain("nothing is left behind");
    // On a cluster of somebody's it takes its own things along.
    expect(await kubectl("get", "namespace", "shop", "--ignore-not-found")).toBe("");
  }, 240_000);
});
