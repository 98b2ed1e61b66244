import { reasons } from "../../src/api/reasons.ts";
import { describe, expect, it } from "@jest/globals";
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { parseAllDocuments } from "yaml";
import { kinds } from "../../src/api/crd.ts";
import { API_VERSION } from "../../src/api/group.ts";
import { parseSpec } from "../../src/api/parse.ts";

interface Manifest {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly spec?: unknown;
}

/** Every manifest of ours that a user may copy. */
const manifests = [
  ...globSync("examples/*.yaml").map((file) => ({ file, text: readFileSync(file, "utf8") })),
  ...globSync(["*.md", "docs/**/*.md"]).flatMap((file) =>
    [...readFileSync(file, "utf8").matchAll(/```yaml\n(.*?)```/gs)].map((block) => ({
      file,
      text: block[1] ?? "",
    })),
  ),
].flatMap(({ file, text }) =>
  parseAllDocuments(text)
    .map((document) => document.toJS() as Manifest)
    .filter(({ apiVersion }) => apiVersion === API_VERSION)
    .map((manifest) => ({ file, manifest, kind: manifest.kind ?? "" })),
);

describe("a manifest in the docs", () => {
  it("is there", () => {
    expect(manifests.length).toBeGreaterThanOrEqual(4);
  });

  it.each(manifests)("$file: $kind is valid", ({ manifest, kind }) => {
    const schema = kinds.find((each) => each.kind === kind)?.spec;
    expect(parseSpec(schema!, manifest.spec)).toMatchObject({ ok: true });
  });
});

describe("a link in the docs", () => {
  const links = globSync(["*.md", "docs/**/*.md"]).flatMap((file) =>
    [...readFileSync(file, "utf8").matchAll(/\]\(([^)#:]+)(#[^)]*)?\)/g)].map((link) => ({
      file,
      target: link[1] ?? "",
    })),
  );

  it.each(links)("of $file leads to $target", ({ file, target }) => {
    expect(globSync(path.join(path.dirname(file), target))).toHaveLength(1);
  });
});

describe("a target of the Makefile that the docs name", () => {
  const targets = [...readFileSync("Makefile", "utf8").matchAll(/^([a-z][a-z0-9-]*):/gm)].map(
    (match) => match[1],
  );
  const named = globSync(["*.md", "docs/**/*.md"]).flatMap((file) =>
    [...readFileSync(file, "utf8").matchAll(/`?make ([a-z][a-z0-9-]*)`?/g)].map((match) => ({
      file,
      target: match[1] ?? "",
    })),
  );

  it.each(named.filter(({ target }) => target !== "up"))("$file: make $target exists", ({ target }) => {
    expect(targets).toContain(target);
  });
});

describe("troubleshooting", () => {
  const text = readFileSync("docs/troubleshooting.md", "utf8");

  it.each(Object.keys(reasons))("has a chapter for %s, with commands", (reason) => {
    const [, chapter = ""] = text.split(`\n## ${reason}\n`);
    expect(chapter.split("\n## ")[0]).toContain("```sh\n");
  });
});
