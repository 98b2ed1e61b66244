/** Bundles the operator into one file that needs nothing but Node: dist/operator.mjs, with its source map. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { build, type Plugin } from "esbuild";

const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
const stub = (name: string) => path.resolve(import.meta.dirname, "stubs", name);

/** Of the client library only the configuration is used; what it drags along is left out, and fails if it is called. */
const withoutUnusedClient: Plugin = {
  name: "without-unused-client",
  setup({ onResolve }) {
    onResolve({ filter: /^undici$/ }, () => ({ path: stub("undici.ts") }));
    onResolve({ filter: /^\.\/gen\/index\.js$/ }, () => ({ path: stub("client-node-models.ts") }));
  },
};

/** A plain import of node:http reads all its exports, and one of them loads a second HTTP client: 8 MiB for nothing. */
const httpWithoutUndici: Plugin = {
  name: "http-without-undici",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(node:)?http$/ }, () => ({ path: "http", namespace: "builtin" }));
    onLoad({ filter: /.*/, namespace: "builtin" }, () => ({
      contents: 'module.exports = process.getBuiltinModule("node:http");',
    }));
  },
};

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
  plugins: [withoutUnusedClient, httpWithoutUndici],
  // CommonJS packages inside the bundle ask for Node's own modules by require().
  banner: {
    js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
  },
});
