import { describe, expect, it } from "@jest/globals";
import { stringify } from "yaml";
import { kubeConfigOf } from "../../src/kube/kubeconfig.ts";

/** A kubeconfig that somebody gave: it may do nothing here but lead to a cluster. */

const config = (user: Record<string, unknown>, cluster: Record<string, unknown> = {}, context = "c") =>
  stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": context,
    clusters: [{ name: "c", cluster: { server: "https://127.0.0.1:1", ...cluster } }],
    contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
    users: [{ name: "u", user }],
  });

describe("a kubeconfig", () => {
  it("with a token or a certificate of its own is taken", () => {
    const authority = { "certificate-authority-data": "eA==" };
    expect(kubeConfigOf(config({ token: "t" }, authority)).getCurrentCluster()?.server).toBe(
      "https://127.0.0.1:1",
    );
    const certificate = { "client-certificate-data": "eA==", "client-key-data": "eA==" };
    expect(kubeConfigOf(config(certificate)).getCurrentUser()?.certData).toBe("eA==");
  });

  it.each([
    [
      "runs a program",
      { exec: { apiVersion: "client.authentication.k8s.io/v1", command: "sh" } },
      {},
      "runs a program",
    ],
    [
      "uses a plug-in",
      { "auth-provider": { name: "gcp", config: { "cmd-path": "sh" } } },
      {},
      "runs a program",
    ],
    ["names a certificate's file", { "client-certificate": "/etc/passwd" }, {}, "names files"],
    ["names a key's file", { "client-key": "/etc/passwd" }, {}, "names files"],
    ["names an authority's file", { token: "t" }, { "certificate-authority": "/etc/passwd" }, "names files"],
    [
      "names a token's file",
      { tokenFile: "/var/run/secrets/kubernetes.io/serviceaccount/token" },
      {},
      "names files",
    ],
    ["names a token's file as the library spells it", { "token-file": "/etc/passwd" }, {}, "names files"],
  ])("that %s is refused", (_what, user, cluster, message) => {
    expect(() => kubeConfigOf(config(user, cluster))).toThrow(message);
  });

  it("is refused however it spells that", () => {
    const text = config({ token: "t" }).replace("token:", '"token\\u002dfile":');
    expect(text).not.toContain("token-file");
    expect(() => kubeConfigOf(text)).toThrow("names files");
  });

  it("is no larger than one has to be, and parsed in no time", () => {
    const many = Array.from({ length: 5_000 }, (_, index) => `k${index}: 1`).join("\n");
    expect(() => kubeConfigOf(many)).toThrow("has no current context");
    expect(() => kubeConfigOf("a".repeat(64 * 1024 + 1))).toThrow("larger than 64 KiB");
  });

  it.each(["", "x", "[", "a: b", config({ token: "t" }, {}, "none")])(
    "that is none is told as such, and quoted nowhere: %j",
    (text) => {
      expect(() => kubeConfigOf(text)).toThrow(/is no kubeconfig|has no current context/);
    },
  );
});
