/**
 * `make image`: the operator's image, by Docker, Podman or Buildah where one answers; else the same root file system as
 * an archive, which `podman load`, `skopeo copy` and `ctr images import` take.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { OPERATOR_IMAGE, packOperatorImage } from "./operator-image.ts";

const builders: readonly (readonly [name: string, ...build: string[]])[] = [
  ["docker", "build"],
  ["podman", "build"],
  ["buildah", "build"],
];
const answers = (name: string): boolean => spawnSync(name, ["info"], { stdio: "ignore" }).status === 0;

const builder = builders.find(([name]) => answers(name));
if (builder) {
  const [name, ...build] = builder;
  execFileSync(name, [...build, "--tag", OPERATOR_IMAGE, "."], { stdio: "inherit" });
  process.stdout.write(`${OPERATOR_IMAGE}\n`);
} else {
  const { archive, digest, compressedBytes } = packOperatorImage();
  writeFileSync("dist/image.tar", archive);
  process.stderr.write(
    "neither Docker nor Podman nor Buildah answers, so the image is packed without them\n",
  );
  process.stdout.write(
    `dist/image.tar: ${OPERATOR_IMAGE}@${digest}, ${(compressedBytes / 2 ** 20).toFixed(1)} MiB to pull\n`,
  );
}
