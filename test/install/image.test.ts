import { describe, expect, it } from "@jest/globals";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { packageFolder } from "../../tools/shipped.ts";
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
      "licenses/LICENSE",
      "licenses/THIRD-PARTY-LICENSES",
      "nodejs/bin/node",
      "operator.mjs",
      ...readdirSync("dist/parts")
        .filter((file) => file.endsWith(".mjs"))
        .map((file) => `parts/${file}`)
        .sort(),
    ]);
    expect(readFileSync("Dockerfile", "utf8")).toContain("/src/dist/parts/*.mjs /parts/");
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

describe("what the operator is made of", () => {
  /** From the source maps, which name each file that is in the bundle. */
  const parts = readdirSync("dist/parts").map((file) => `dist/parts/${file}`);
  const maps = ["dist/operator.mjs.map", ...parts].filter((file) => file.endsWith(".map"));
  const sources = maps.flatMap(
    (file) => (JSON.parse(readFileSync(file, "utf8")) as { sources: string[] }).sources,
  );
  const bundled = new Set(
    sources
      .map((file) => packageFolder(file)?.split("node_modules/").at(-1))
      .filter((name) => name !== undefined && existsSync(`node_modules/${name}/package.json`)),
  );

  it("is listed as CycloneDX, package by package and nothing else", () => {
    const { bomFormat, components } = JSON.parse(readFileSync("dist/sbom.cdx.json", "utf8")) as {
      bomFormat: string;
      components: { name: string; version: string; purl: string; licenses: unknown[] }[];
    };
    expect(bomFormat).toBe("CycloneDX");
    const names = new Set(components.map(({ name }) => name));
    expect([...bundled].filter((name) => !names.has(name ?? ""))).toEqual([]);
    // Its own source map leads elsewhere.
    expect([...names].filter((name) => !bundled.has(name))).toEqual(["fast-copy"]);
    for (const { version, purl, licenses } of components) {
      expect(purl).toContain(version);
      expect(licenses).toHaveLength(1);
    }
    for (const name of ["jest", "debug", "ms", "supports-color", "has-flag", "undici"])
      expect(bundled.has(name)).toBe(false);
  });

  it("comes with the licences of all of it, in the image too", () => {
    const text = readFileSync("dist/THIRD-PARTY-LICENSES", "utf8");
    for (const name of bundled) expect(text).toMatch(new RegExp(`^${name} \\d`, "m"));
    const dockerfile = readFileSync("Dockerfile", "utf8");
    expect(dockerfile).toContain("/src/LICENSE /src/dist/THIRD-PARTY-LICENSES /licenses/");
  });
});
