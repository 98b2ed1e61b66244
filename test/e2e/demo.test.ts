import { describe, expect, it } from "@jest/globals";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { kubeconfig, noPods } from "../support/suite.ts";

const run = promisify(execFile);
const withPods = noPods ? describe.skip : describe;

withPods("make demo", () => {
  it("tells its story to the end", async () => {
    const { stdout } = await run("make", ["demo"], {
      env: { ...process.env, DEMO_EXIT: "1", SECRETSYNC_TEST_KUBECONFIG: kubeconfig },
      maxBuffer: 1 << 26,
    });
    expect(stdout).toContain("the Secret is written");
    expect(stdout).toContain("env:    DB_password=battery-staple");
    expect(stdout).toContain("volume: /etc/orders/password=trombone-four");
    expect(stdout).toMatch(/shop +orders-db +True +Synced/);
    expect(stdout).toMatch(/secretsync_restarts_total\{[^}]+\} +0 → 2/);
  }, 180_000);
});
