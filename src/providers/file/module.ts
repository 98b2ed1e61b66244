import type { FileSpec } from "../../api/provider-file.ts";
import type { ProviderModule } from "../contract.ts";
import { openFiles } from "./files.ts";

/** Files of the operator's pod as a kind of store. */

interface Target {
  readonly folder: string;
}

/** `roots`: folders below which the admin lets files be read; none: no file at all. */
export const newFile = ({
  roots,
}: {
  readonly roots: readonly string[];
}): ProviderModule<FileSpec, Target> => ({
  problemOf({ path }) {
    if (roots.length === 0)
      return "spec.file: this operator reads no files; start it with --file-roots, the folders below which it may";
    if (roots.some((root) => `${path}/`.startsWith(`${root.replace(/\/+$/, "")}/`))) return undefined;
    return `spec.file.path: this operator reads no files in ${path}; it may below ${roots.join(", ")} (--file-roots)`;
  },
  credentials: () => [],
  target: ({ path }) => ({ folder: path }),
  connect: ({ folder }, _credentials, { clock, mark }) => openFiles({ folder, roots, clock, mark }),
});
