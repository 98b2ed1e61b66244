import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import path from "node:path";
import { packImage, type ImageFile, type PackedImage } from "./oci.ts";

/**
 * The operator's image where nothing builds a Dockerfile: the root file system that the Dockerfile gives, at the same
 * paths, out of what npm has installed. Node, the libraries that it names, CA certificates, the bundle's files; nothing else.
 */
const root = path.resolve(import.meta.dirname, "../..");
const { version, description } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as {
  version: string;
  description: string;
};

export const OPERATOR_IMAGE = `ghcr.io/secretsync/secretsync:${version}`;
/** The user "nonroot" of distroless images. */
const USER = "65532:65532";
const CERTIFICATES = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

export function packOperatorImage(): PackedImage {
  const node = realpathSync(path.join(root, "node_modules/node/bin/node"));
  const certificates = CERTIFICATES.find((file) => existsSync(file));
  if (!certificates) throw new Error("there are no CA certificates; install the package ca-certificates");
  const files: ImageFile[] = [
    ...librariesOf(node),
    { path: "nodejs/bin/node", mode: 0o755, content: readFileSync(node) },
    ...(["LICENSE", "dist/THIRD-PARTY-LICENSES"] as const).map((file) => ({
      path: `licenses/${path.basename(file)}`,
      mode: 0o644,
      content: readFileSync(path.join(root, file)),
    })),
    ...bundle(),
    { path: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, content: readFileSync(certificates) },
    {
      path: "etc/passwd",
      mode: 0o644,
      content: Buffer.from("nonroot:x:65532:65532:nonroot:/:/sbin/nologin\n"),
    },
    { path: "etc/nsswitch.conf", mode: 0o644, content: Buffer.from("hosts: files dns\n") },
  ];
  return packImage({
    reference: OPERATOR_IMAGE,
    files: [...foldersOf(files), ...files],
    config: { ...dockerfileConfig(), User: USER, Labels: labels },
  });
}

const labels = {
  "org.opencontainers.image.title": "secretsync",
  "org.opencontainers.image.description": description,
  "org.opencontainers.image.licenses": "Apache-2.0",
  "org.opencontainers.image.version": version,
};

/** Entry point and environment, from the Dockerfile itself, so that they can't differ. */
function dockerfileConfig() {
  const text = readFileSync(path.join(root, "Dockerfile"), "utf8");
  const list = (instruction: string) => {
    const found = new RegExp(`^${instruction} (\\[.*\\])$`, "m").exec(text);
    if (!found) throw new Error(`the Dockerfile has no ${instruction} in its JSON form`);
    return JSON.parse(found[1] ?? "") as string[];
  };
  const Env = [...text.matchAll(/^ENV (\S+=\S+)$/gm)].map((found) => found[1] ?? "");
  return { Entrypoint: list("ENTRYPOINT"), Cmd: list("CMD"), Env };
}

function bundle(): readonly ImageFile[] {
  const dist = path.join(root, "dist");
  const parts = readdirSync(path.join(dist, "parts")).filter((file) => file.endsWith(".mjs"));
  return ["operator.mjs", ...parts.map((file) => `parts/${file}`)].map((file) => ({
    path: file,
    mode: 0o644,
    content: readFileSync(path.join(dist, file)),
  }));
}

/** What the dynamic linker loads, at the paths where it looks. */
function librariesOf(program: string): readonly ImageFile[] {
  const listed = execFileSync("ldd", [program], { encoding: "utf8" });
  const found = [...listed.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map((match) => match[1] ?? "");
  return found.map((file) => ({ path: file.slice(1), mode: 0o755, content: readFileSync(file) }));
}

function foldersOf(files: readonly ImageFile[]): readonly ImageFile[] {
  const folders = new Set<string>();
  for (const { path: file } of files) {
    for (let at = file.indexOf("/"); at >= 0; at = file.indexOf("/", at + 1))
      folders.add(file.slice(0, at + 1));
  }
  return [...folders].sort().map((folder) => ({ path: folder, mode: 0o755 }));
}
