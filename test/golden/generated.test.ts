import { describe, expect, it } from "@jest/globals";
import { readFileSync } from "node:fs";
import { generatedFiles } from "../../tools/generated-files.ts";

describe("what is generated", () => {
  it.each(generatedFiles())("$path is up to date", ({ path, content }) => {
    expect(readFileSync(path, "utf8")).toBe(content);
  });
});
