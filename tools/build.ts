/**
 * Bundles the operator into files that need nothing but Node: dist/operator.mjs and, in dist/parts, what is only loaded when it is
 * used, such as a kind of store; each with its source map. Beside them what is in them: sbom.cdx.json and THIRD-PARTY-LICENSES.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import path from "node:path";
import { build, type Plugin } from "esbuild";
import { cycloneDx, shippedPackages, thirdPartyLicenses } from "./shipped.ts";

const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
const stub = (name: string) => path.resolve(import.meta.dirname, "stubs", name);

/** Of the client library only the configuration is used; what it drags along is left out, and fails if it is called. */
const withoutUnusedClient: Plugin = {
  name: "without-unused-client",
  setup({ onResolve }) {
    onResolve({ filter: /^undici$/ }, () => ({ path: stub("undici.ts") }));
    onResolve({ filter: /^debug$/ }, () => ({ path: stub("debug.ts") }));
    onResolve({ filter: /^\.\/gen\/index\.js$/ }, () => ({ path: stub("client-node-models.ts") }));
  },
};

/**
 * Node's own modules are taken as they are. An import of one reads all its exports: that takes time at each start, and
 * one of node:http loads a second HTTP client, 8 MiB for nothing.
 */
const lazyBuiltins: Plugin = {
  name: "lazy-builtins",
  setup({ onResolve, onLoad }) {
    // One that is imported while the program runs is wanted with all its exports.
    onResolve({ filter: /./ }, ({ path: name, kind }) => {
      if (!isBuiltin(name)) return undefined;
      return kind === "dynamic-import"
        ? { path: name, external: true }
        : { path: name, namespace: "builtin" };
    });
    onLoad({ filter: /./, namespace: "builtin" }, ({ path: name }) => ({
      contents: `module.exports = process.getBuiltinModule(${JSON.stringify(name)});`,
    }));
  },
};

rmSync("dist/parts", { recursive: true, force: true });
const { metafile } = await build({
  entryPoints: { operator: "src/main.ts" },
  outdir: "dist",
  outExtension: { ".js": ".mjs" },
  bundle: true,
  splitting: true,
  chunkNames: "parts/[name]-[hash]",
  platform: "node",
  target: "node22.19",
  format: "esm",
  sourcemap: true,
  metafile: true,
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: "none",
  define: { SECRETSYNC_VERSION: JSON.stringify(version) },
  plugins: [withoutUnusedClient, lazyBuiltins],
});

const packages = shippedPackages(metafile);
writeFileSync("dist/sbom.cdx.json", `${JSON.stringify(cycloneDx(version, packages), null, 2)}\n`);
writeFileSync("dist/THIRD-PARTY-LICENSES", thirdPartyLicenses(packages));
