import { globSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { parseArgs, styleText } from "node:util";
import { parseAllDocuments } from "yaml";
import { listOf, recordOf } from "../api/loose.ts";
import type { KubeApi, KubeObject } from "../kube/kube-api.ts";
import { resources } from "../kube/resources.ts";
import { ownObjects, problemsOf, type Found } from "./problems.ts";

/**
 * `operator.mjs check -f manifests/`, or without -f the cluster: which objects this version refuses, before it is installed.
 * Exit code 0: none; 1: some; 2: the call itself is wrong.
 */
export interface CheckIo {
  readonly argv: readonly string[];
  readonly readStdin: () => string;
  readonly connect: () => { readonly api: KubeApi; close(): void };
  readonly out: (text: string) => void;
  readonly fail: (text: string) => void;
  readonly colour: boolean;
}

const USAGE = `usage: operator.mjs check [-f FILE|FOLDER|-]...

Tells which SecretSyncs and providers this version refuses, and why. Without -f it looks at the cluster of KUBECONFIG.`;

export async function check(io: CheckIo): Promise<number> {
  let files: readonly string[];
  try {
    const options = {
      filename: { type: "string", short: "f", multiple: true },
      help: { type: "boolean" },
    } as const;
    const { values } = parseArgs({ args: [...io.argv], options, strict: true });
    if (values.help) {
      io.out(`${USAGE}\n`);
      return 0;
    }
    files = values.filename ?? [];
  } catch (error) {
    io.fail(`${(error as Error).message}\n${USAGE}\n`);
    return 2;
  }
  try {
    const found = files.length > 0 ? files.flatMap((file) => inFiles(file, io)) : await inCluster(io);
    return report(found, io);
  } catch (error) {
    io.fail(`check: ${(error as Error).message}\n`);
    return 2;
  }
}

function report(found: readonly Found[], { out, colour }: CheckIo): number {
  const own = ownObjects(found);
  const problems = problemsOf(own);
  const paint = (style: "red" | "green" | "bold", text: string) =>
    colour ? styleText(style, text, { validateStream: false }) : text;
  for (const { where, object, message } of problems)
    out(`${paint("red", "✘")} ${paint("bold", object)} (${where})\n    ${message}\n`);
  const counted = `${own.length} ${own.length === 1 ? "object" : "objects"}`;
  out(
    problems.length === 0
      ? `${paint("green", "✔")} ${counted}, all fine\n`
      : `${counted}, ${problems.length} refused\n`,
  );
  return problems.length === 0 ? 0 : 1;
}

function inFiles(file: string, { readStdin }: CheckIo): readonly Found[] {
  if (file === "-") return documentsIn("standard input", readStdin());
  if (!statSync(file).isDirectory()) return documentsIn(file, readFileSync(file, "utf8"));
  const inside = globSync("**/*.{yaml,yml,json}", { cwd: file })
    .sort()
    .map((name) => path.join(file, name));
  return inside.flatMap((name) => documentsIn(name, readFileSync(name, "utf8")));
}

function documentsIn(where: string, text: string): readonly Found[] {
  return parseAllDocuments(text).flatMap((document) => {
    const [error] = document.errors;
    if (error) throw new Error(`${where} is no YAML: ${error.message.split("\n")[0]}`);
    const object = document.toJS() as unknown;
    // kubectl get -o yaml prints a List.
    const { kind, items } = recordOf(object);
    return kind === "List" ? listOf(items).map((item) => ({ where, object: item })) : [{ where, object }];
  });
}

const PAGE = 50;

async function inCluster({ connect }: CheckIo): Promise<readonly Found[]> {
  const { api, close } = connect();
  const { signal } = new AbortController();
  try {
    const found: Found[] = [];
    for (const type of [resources.clusterSecretProvider, resources.secretProvider, resources.secretSync]) {
      let token: string | undefined;
      do {
        const page = await api.list<KubeObject>(
          type,
          { limit: PAGE, ...(token ? { continue: token } : {}) },
          signal,
        );
        for (const object of page.items ?? [])
          found.push({
            where: "cluster",
            object: { apiVersion: `${type.group}/${type.version}`, kind: type.kind, ...object },
          });
        token = page.metadata.continue;
      } while (token);
    }
    return found;
  } finally {
    close();
  }
}
