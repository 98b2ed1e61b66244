import * as z from "zod";
import { withRules } from "./rule.ts";

/** Files of the operator's pod, as a member of a ClusterSecretProvider's spec. */

export const clusterFile = z
  .object({
    path: withRules(
      z.string().min(2).max(1024).meta({
        description:
          "Folder whose files are read, within one of the operator's --file-roots. A key is the path of a file in it.",
      }),
      {
        cel: "self.startsWith('/') && !self.split('/').exists(part, part == '.' || part == '..')",
        check: (text) =>
          text.startsWith("/") && !text.split("/").some((part) => part === "." || part === ".."),
        message: "must be an absolute path without . and .., such as /var/run/secretsync/files",
      },
    ),
  })
  .meta({
    description:
      "Files that are mounted into the operator's pod, such as those of a CSI driver or a projected volume.",
  });

export type FileSpec = z.output<typeof clusterFile>;
