import { existsSync, globSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { parseArgs, styleText } from "node:util";
import { parseAllDocuments } from "yaml";
import { listOf, recordOf } from "../api/loose.ts";
import { API_VERSION } from "../api/group.ts";
import {
  ApiError,
  type KubeApi,
  type KubeObject,
  type ObjectList,
  type ResourceType,
} from "../kube/kube-api.ts";
import { resources } from "../kube/resources.ts";
import { ownObjects, problemsOf, type Found } from "./problems.ts";

/**
 * `operator.mjs check -f manifests/`, or without -f the cluster: which objects this version refuses, before it is installed.
 */
export interface CheckIo {
  readonly argv: readonly string[];
  readonly readStdin: () => string;
  readonly connect: () => { readonly api: KubeApi; close(): void };
  readonly out: (text: string) => void;
  readonly fail: (text: string) => void;
  readonly colour: boolean;
}

const USAGE = `usage: operator.mjs check [-f FILE|FOLDER|-]... [FILE|FOLDER]...

Tells which SecretSyncs and providers this version refuses, and why. Without files it looks at the cluster of KUBECONFIG.
Exit code 0: none; 1: some; 2: it couldn't look, or there was nothing to look at.`;

/** What was found, and what could not be read. */
interface Finding {
  readonly found: readonly Found[];
  readonly unread: readonly string[];
}

export async function check(io: CheckIo): Promise<number> {
  let files: readonly string[];
  try {
    const options = {
      filename: { type: "string", short: "f", multiple: true },
      help: { type: "boolean", short: "h" },
    } as const;
    const { values, positionals } = parseArgs({
      args: [...io.argv],
      options,
      strict: true,
      allowPositionals: true,
    });
    if (values.help) {
      io.out(`${USAGE}\n`);
      return 0;
    }
    files = [...(values.filename ?? []), ...positionals];
  } catch (error) {
    io.fail(`check: ${(error as Error).message}\n${USAGE}\n`);
    return 2;
  }
  try {
    if (files.length === 0) return report(await inCluster(io), io, "the cluster");
    const findings = files.map((file) => inFiles(file, io));
    const together = {
      found: findings.flatMap(({ found }) => found),
      unread: findings.flatMap(({ unread }) => unread),
    };
    return report(together, io, files.join(", "));
  } catch (error) {
    io.fail(`check: ${(error as Error).message}\n`);
    return 2;
  }
}

function report({ found, unread }: Finding, { out, colour }: CheckIo, where: string): number {
  const own = ownObjects(found);
  const problems = problemsOf(own);
  const paint = (style: "red" | "green" | "bold", text: string) =>
    colour ? styleText(style, text, { validateStream: false }) : text;
  for (const text of unread) out(`${paint("red", "✘")} ${text}\n`);
  let last = "";
  for (const problem of problems) {
    const title = `${paint("red", "✘")} ${paint("bold", problem.object)} (${problem.where})\n`;
    out(`${title === last ? "" : title}    ${problem.message}\n`);
    last = title;
  }
  const counted = `${own.length} ${own.length === 1 ? "object" : "objects"}`;
  const refused = new Set(problems.map((problem) => `${problem.where} ${problem.object}`)).size;
  if (refused > 0) out(`${counted}, ${refused} refused\n`);
  else if (own.length > 0) out(`${paint("green", "✔")} ${counted}, none refused\n`);
  else out(`there is no SecretSync and no provider in ${where}\n`);
  if (unread.length > 0 || own.length === 0) return 2;
  return refused > 0 ? 1 : 0;
}

function inFiles(file: string, { readStdin }: CheckIo): Finding {
  if (file === "-") return documentsIn("standard input", readStdin);
  if (!existsSync(file)) return { found: [], unread: [`${file} doesn't exist`] };
  if (!statSync(file).isDirectory()) return documentsIn(file, () => readFileSync(file, "utf8"));
  const findings = globSync("**/*.{yaml,yml,json}", { cwd: file })
    .sort()
    .map((name) => path.join(file, name))
    .filter((name) => statSync(name).isFile())
    .map((name) => documentsIn(name, () => readFileSync(name, "utf8")));
  return {
    found: findings.flatMap(({ found }) => found),
    unread: findings.flatMap(({ unread }) => unread),
  };
}

/** One file that can't be read hides nothing of the others. */
function documentsIn(where: string, read: () => string): Finding {
  const found: Found[] = [];
  const unread: string[] = [];
  for (const document of parseAllDocuments(read(), { logLevel: "silent" })) {
    const [error] = document.errors;
    if (error) {
      unread.push(`${where} is no YAML: ${error.message.split("\n")[0]}`);
      continue;
    }
    const object = document.toJS() as unknown;
    // kubectl get -o yaml prints a List.
    const { kind, items } = recordOf(object);
    if (kind === "List") for (const item of listOf(items)) found.push({ where, object: item });
    else found.push({ where, object });
  }
  return { found, unread };
}

const PAGE = 50;

async function inCluster({ connect }: CheckIo): Promise<Finding> {
  const { api, close } = connect();
  try {
    const found: Found[] = [];
    const unread: string[] = [];
    for (const type of [
      resources.clusterSecretProvider,
      resources.secretProvider,
      resources.clusterSecretSync,
      resources.secretSync,
    ]) {
      try {
        for await (const object of allOf(api, type))
          found.push({ where: "cluster", object: { apiVersion: API_VERSION, kind: type.kind, ...object } });
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        // Before an upgrade it isn't there yet, so there is nothing of it to look at.
        if (error.status === 404 && type === resources.clusterSecretSync) continue;
        unread.push(
          error.status === 404
            ? `${type.plural}: the CRD isn't installed in this cluster`
            : `${type.plural}: ${error.message}`,
        );
      }
    }
    return { found, unread };
  } finally {
    close();
  }
}

async function* allOf(api: KubeApi, type: ResourceType): AsyncIterable<KubeObject> {
  const { signal } = new AbortController();
  let token: string | undefined;
  do {
    const options = { limit: PAGE, ...(token ? { continue: token } : {}) };
    const page: ObjectList<KubeObject> = await api.list<KubeObject>(type, options, signal);
    yield* page.items ?? [];
    token = page.metadata.continue;
  } while (token);
}
