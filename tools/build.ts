/** Bundles the operator into one file that needs nothing but Node: dist/operator.mjs, with its source map. */
import { readFileSync } from "node:fs";
import { build } from "esbuild";

const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };

await build({
  entryPoints: ["src/main.ts"],
  outfile: "dist/operator.mjs",
  bundle: true,
  platform: "node",
  target: "node22.19",
  format: "esm",
  sourcemap: true,
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: "none",
  define: { SECRETSYNC_VERSION: JSON.stringify(version) },
  // CommonJS packages inside the bundle ask for Node's own modules by require().
  banner: {
    js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
  },
});
