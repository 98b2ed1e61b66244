import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";

/**
 * An OCI image as the tar that containerd and Podman load: no registry and no image builder is needed. The
 * same files give the same bytes. https://github.com/opencontainers/image-spec/blob/main/image-layout.md
 */
export interface ImageFile {
  readonly path: string;
  readonly mode: number;
  /** A link has a target, a file has content, and what has neither is a folder. */
  readonly content?: Buffer;
  readonly link?: string;
}

export interface ImageConfig {
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env?: readonly string[];
  readonly User?: string;
  readonly Labels?: Readonly<Record<string, string>>;
}

export interface PackedImage {
  readonly archive: Buffer;
  /** Of the manifest, as `image@sha256:…` names it. */
  readonly digest: string;
  /** Bytes that a pull transfers. */
  readonly compressedBytes: number;
}

export function packImage(options: {
  readonly reference: string;
  readonly files: readonly ImageFile[];
  readonly config: ImageConfig;
}): PackedImage {
  const layer = tar(options.files);
  const compressed = gzipSync(layer, { level: 6 });
  const blobs = new Map<string, Buffer>();
  const add = (content: Buffer) => {
    const digest = sha256(content);
    blobs.set(digest, content);
    return { digest: `sha256:${digest}`, size: content.length };
  };
  const json = (value: unknown) => Buffer.from(JSON.stringify(value));
  const config = add(
    json({
      architecture: process.arch === "arm64" ? "arm64" : "amd64",
      os: "linux",
      config: options.config,
      rootfs: { type: "layers", diff_ids: [`sha256:${sha256(layer)}`] },
    }),
  );
  const manifest = add(
    json({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      config: { mediaType: "application/vnd.oci.image.config.v1+json", ...config },
      layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", ...add(compressed) }],
    }),
  );
  const index = json({
    schemaVersion: 2,
    manifests: [
      {
        mediaType: "application/vnd.oci.image.manifest.v1+json",
        ...manifest,
        annotations: {
          "io.containerd.image.name": options.reference,
          "org.opencontainers.image.ref.name": options.reference,
        },
      },
    ],
  });
  const archive = tar([
    { path: "oci-layout", mode: 0o644, content: json({ imageLayoutVersion: "1.0.0" }) },
    { path: "index.json", mode: 0o644, content: index },
    ...[...blobs].map(([digest, content]) => ({ path: `blobs/sha256/${digest}`, mode: 0o644, content })),
  ]);
  return { archive, digest: manifest.digest, compressedBytes: compressed.length };
}

const sha256 = (content: Buffer): string => createHash("sha256").update(content).digest("hex");

/** A ustar archive without times and owners: https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html */
function tar(files: readonly ImageFile[]): Buffer {
  const parts: Buffer[] = [];
  for (const { path: name, mode, content, link } of files) {
    const header = Buffer.alloc(512);
    const size = content?.length ?? 0;
    const octal = (value: number, length: number) => value.toString(8).padStart(length - 1, "0");
    header.write(name, 0, 100);
    header.write(octal(mode, 8), 100);
    header.write(octal(0, 8), 108);
    header.write(octal(0, 8), 116);
    header.write(octal(size, 12), 124);
    header.write(octal(0, 12), 136);
    header.write(" ".repeat(8), 148);
    header.write(link === undefined ? (content === undefined ? "5" : "0") : "2", 156);
    header.write(link ?? "", 157, 100);
    header.write("ustar\0", 257);
    header.write("00", 263);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${octal(sum, 7)}\0 `, 148);
    parts.push(header, content ?? Buffer.alloc(0), Buffer.alloc((512 - (size % 512)) % 512));
  }
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}
