import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";

/** What is in the bundle, as the bundler tells it: the packages, their licences, and a list of them for scanners. */
export interface Package {
  readonly name: string;
  readonly version: string;
  /** SPDX expression. */
  readonly license: string;
  /** The texts that its licence wants to go along: licence and notice. */
  readonly texts: readonly string[];
}

/** Of esbuild's metafile: https://esbuild.github.io/api/#metafile */
export interface Metafile {
  readonly outputs: Readonly<
    Record<string, { readonly inputs: Readonly<Record<string, { readonly bytesInOutput: number }>> }>
  >;
}

/** Packages that gave the bundle at least a byte, by name. */
export function shippedPackages({ outputs }: Metafile): readonly Package[] {
  const folders = new Set(
    Object.values(outputs)
      .flatMap(({ inputs }) => Object.entries(inputs))
      .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
      .map(([file]) => packageFolder(file))
      .filter((folder) => folder !== undefined),
  );
  return [...folders].map(readPackage).sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** node_modules/a/node_modules/@b/c of a file in there; undefined for a file of ours. */
export function packageFolder(file: string): string | undefined {
  return /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(file)?.[0];
}

function readPackage(folder: string): Package {
  // Some packages have a package.json in each folder, without a name.
  const { name, version, license } = JSON.parse(readFileSync(path.join(folder, "package.json"), "utf8")) as {
    name: string;
    version: string;
    license?: string;
  };
  if (!license) throw new Error(`${name} names no licence; look whether it may be shipped`);
  const texts = readdirSync(folder)
    .filter((file) => /^(licen[cs]e|notice|copying)/i.test(file))
    .sort()
    .map((file) => readFileSync(path.join(folder, file), "utf8").trim());
  return { name, version, license, texts };
}

/** Each text once, with the packages that it is of. */
export function thirdPartyLicenses(packages: readonly Package[]): string {
  const byText = new Map<string, Package[]>();
  for (const each of packages)
    for (const text of each.texts.length > 0 ? each.texts : [textOf(each.license)])
      byText.set(text, [...(byText.get(text) ?? []), each]);
  const parts = [...byText].map(([text, of]) =>
    [of.map(({ name, version, license }) => `${name} ${version} (${license})`).join("\n"), text].join("\n\n"),
  );
  return `${["What the operator is made of, beside its own code, and under which licences.", ...parts].join(
    `\n\n${"-".repeat(80)}\n\n`,
  )}\n`;
}

/** Packages that leave their text out name the licence alone. */
function textOf(license: string): string {
  const ours = path.resolve(import.meta.dirname, "../LICENSE");
  if (license === "Apache-2.0" && existsSync(ours)) return readFileSync(ours, "utf8").trim();
  return `The package comes without the text: https://spdx.org/licenses/${license}.html`;
}

/** https://cyclonedx.org/docs/1.5/json/ */
export function cycloneDx(version: string, packages: readonly Package[]): unknown {
  const purl = (name: string, of: string) => `pkg:npm/${name.replace("@", "%40")}@${of}`;
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: {
      component: { type: "application", name: "secretsync", version, purl: purl("secretsync", version) },
    },
    components: packages.map(({ name, version: of, license }) => ({
      type: "library",
      "bom-ref": purl(name, of),
      name,
      version: of,
      purl: purl(name, of),
      licenses: [{ expression: license }],
    })),
  };
}
