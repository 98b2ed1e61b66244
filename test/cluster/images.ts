import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import path from "node:path";

/**
 * An OCI image with one static program, as the tar that containerd imports: no registry and no image builder is
 * needed. https://github.com/opencontainers/image-spec/blob/main/image-layout.md
 */
export function singleBinaryImage(options: {
  reference: string;
  binary: string;
  /** Other names of the program, for busybox's applets. */
  links: readonly string[];
  command: readonly string[];
}): Buffer {
  const name = path.basename(options.binary);
  const layer = tar([
    { path: "bin/", mode: 0o755, type: "5" },
    { path: "tmp/", mode: 0o1777, type: "5" },
    { path: `bin/${name}`, mode: 0o755, type: "0", content: readFileSync(options.binary) },
    ...options.links.map((link) => ({ path: `bin/${link}`, mode: 0o777, type: "2" as const, link: name })),
  ]);
  const blobs = new Map<string, Buffer>();
  const add = (content: Buffer) => {
    const digest = createHash("sha256").update(content).digest("hex");
    blobs.set(digest, content);
    return { digest: `sha256:${digest}`, size: content.length };
  };
  const json = (value: unknown) => Buffer.from(JSON.stringify(value));
  const layerBlob = add(layer);
  const config = add(
    json({
      architecture: process.arch === "arm64" ? "arm64" : "amd64",
      os: "linux",
      config: { Cmd: options.command, Env: ["PATH=/bin"] },
      rootfs: { type: "layers", diff_ids: [layerBlob.digest] },
    }),
  );
  const manifest = add(
    json({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      config: { mediaType: "application/vnd.oci.image.config.v1+json", ...config },
      layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar", ...layerBlob }],
    }),
  );
  const index = json({
    schemaVersion: 2,
    manifests: [
      {
        mediaType: "application/vnd.oci.image.manifest.v1+json",
        ...manifest,
        annotations: { "io.containerd.image.name": options.reference },
      },
    ],
  });
  return tar([
    { path: "oci-layout", mode: 0o644, type: "0", content: json({ imageLayoutVersion: "1.0.0" }) },
    { path: "index.json", mode: 0o644, type: "0", content: index },
    ...[...blobs].map(([digest, content]) => ({
      path: `blobs/sha256/${digest}`,
      mode: 0o644,
      type: "0" as const,
      content,
    })),
  ]);
}

interface Entry {
  path: string;
  mode: number;
  /** ustar's type flag: file, symbolic link, directory. */
  type: "0" | "2" | "5";
  content?: Buffer;
  link?: string;
}

/** A ustar archive: https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html */
function tar(entries: readonly Entry[]): Buffer {
  const parts: Buffer[] = [];
  for (const { path: name, mode, type, content = Buffer.alloc(0), link = "" } of entries) {
    const header = Buffer.alloc(512);
    const octal = (value: number, length: number) => value.toString(8).padStart(length - 1, "0");
    header.write(name, 0, 100);
    header.write(octal(mode, 8), 100);
    header.write(octal(0, 8), 108);
    header.write(octal(0, 8), 116);
    header.write(octal(content.length, 12), 124);
    header.write(octal(0, 12), 136);
    header.write(" ".repeat(8), 148);
    header.write(type, 156);
    header.write(link, 157, 100);
    header.write("ustar\0", 257);
    header.write("00", 263);
    header.write(
      `${octal(
        header.reduce((sum, byte) => sum + byte, 0),
        7,
      )}\0 `,
      148,
    );
    parts.push(header, content, Buffer.alloc((512 - (content.length % 512)) % 512));
  }
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}
