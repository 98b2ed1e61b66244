import { describe, expect, it } from "@jest/globals";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { OPERATOR_IMAGE, packOperatorImage } from "../../tools/image/operator-image.ts";

/** The image that is packed where nothing builds a Dockerfile, and the list of what is in it. */

const list = (tar: Buffer): string[] =>
  execFileSync("tar", ["-t"], { input: tar, encoding: "utf8", maxBuffer: 1 << 26 })
    .trim()
    .split("\n");
const extract = (tar: Buffer, name: string): Buffer =>
  execFileSync("tar", ["-xO", name], { input: tar, maxBuffer: 1 << 30 });

describe("the packed image", () => {
  const { archive, digest } = packOperatorImage();
  const blob = (name: string) => extract(archive, `blobs/sha256/${name.replace("sha256:", "")}`);
  const manifest = JSON.parse(blob(digest).toString()) as {
    config: { digest: string };
    layers: { digest: string }[];
  };

  it("is the same when it is packed again", () => {
    expect(packOperatorImage().digest).toBe(digest);
  });

  it("holds node, its libraries, certificates and the operator, and nothing else", () => {
    const files = list(gunzipSync(blob(manifest.layers[0]!.digest))).filter((file) => !file.endsWith("/"));
    const others = files.filter((file) => !/\.so(\.|$)/.test(file));
    expect(others.sort()).toEqual([
      "etc/nsswitch.conf",
      "etc/passwd",
      "etc/ssl/certs/ca-certificates.crt",
      "nodejs/bin/node",
      "operator.mjs",
    ]);
  });

  it("runs as a user without rights, as the Dockerfile says, and is labelled", () => {
    const { config } = JSON.parse(blob(manifest.config.digest).toString()) as {
      config: {
        User: string;
        Entrypoint: string[];
        Cmd: string[];
        Env: string[];
        Labels: Record<string, string>;
      };
    };
    expect(config.User).toBe("65532:65532");
    expect(config.Entrypoint[0]).toBe("/nodejs/bin/node");
    expect(config.Cmd).toEqual(["/operator.mjs"]);
    const dockerfile = readFileSync("Dockerfile", "utf8");
    for (const argument of config.Entrypoint) expect(dockerfile).toContain(JSON.stringify(argument));
    expect(config.Labels).toMatchObject({
      "org.opencontainers.image.title": "secretsync",
      "org.opencontainers.image.version": OPERATOR_IMAGE.split(":")[1],
      "org.opencontainers.image.licenses": "Apache-2.0",
    });
  });
});

describe("make sbom", () => {
  it("lists what is in the operator, as CycloneDX", () => {
    const folder = mkdtempSync(path.join(tmpdir(), "secretsync-sbom-"));
    try {
      const text = execFileSync(
        "npm",
        ["sbom", "--omit=dev", "--sbom-format=cyclonedx", "--sbom-type=application"],
        {
          encoding: "utf8",
          maxBuffer: 1 << 26,
        },
      );
      writeFileSync(path.join(folder, "sbom.json"), text);
      const { bomFormat, components } = JSON.parse(text) as {
        bomFormat: string;
        components: { name: string }[];
      };
      expect(bomFormat).toBe("CycloneDX");
      const names = components.map(({ name }) => name);
      const { dependencies } = JSON.parse(readFileSync("package.json", "utf8")) as {
        dependencies: Record<string, string>;
      };
      for (const name of Object.keys(dependencies))
        expect(names.some((each) => name.endsWith(each) || each.endsWith(name))).toBe(true);
      expect(names).not.toContain("jest");
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
