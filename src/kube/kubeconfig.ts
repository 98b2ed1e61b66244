import { KubeConfig } from "@kubernetes/client-node/dist/config.js";
import { parse } from "yaml";
import { listOf, recordOf } from "../api/loose.ts";

/**
 * A kubeconfig that somebody gave: it may run no program here and read no file. It is looked at before the client library sees it, since that
 * reads some files at once. What is thrown is for its owner, and quotes nothing.
 */
export function kubeConfigOf(text: string): KubeConfig {
  const config = new KubeConfig();
  const given = parsed(text);
  const problem = problemOf(given);
  if (problem !== undefined) throw new Error(problem);
  try {
    config.loadFromString(JSON.stringify(given));
  } catch (error) {
    throw new Error(NONE, { cause: error });
  }
  if (!config.getCurrentCluster() || !config.getCurrentUser())
    throw new Error("has no current context with a cluster and a user; set current-context");
  return config;
}

const NONE = "is no kubeconfig; write it with kubectl config view --raw --flatten --minify";

/** One with certificates has some 10 KB; parsing takes its time. */
const LONGEST = 64 * 1024;

function parsed(text: string): unknown {
  if (text.length > LONGEST)
    throw new Error("is larger than 64 KiB; write it with kubectl config view --raw --flatten --minify");
  try {
    return parse(text, { maxAliasCount: 0, uniqueKeys: false });
  } catch (error) {
    throw new Error(NONE, { cause: error });
  }
}

const programs = ["exec", "auth-provider"];
const files = ["certificate-authority", "client-certificate", "client-key", "tokenFile", "token-file"];

function problemOf(given: unknown): string | undefined {
  const { users, clusters } = recordOf(given);
  const entries = [
    ...listOf(users).map((each) => recordOf(recordOf(each)["user"])),
    ...listOf(clusters).map((each) => recordOf(recordOf(each)["cluster"])),
  ];
  const names = (wanted: readonly string[]) =>
    entries.some((entry) => wanted.some((name) => Object.hasOwn(entry, name)));
  if (names(programs)) return "runs a program or plug-in to sign in; use a token or a client certificate";
  return names(files) ? "names files; write it with kubectl config view --raw --flatten --minify" : undefined;
}
