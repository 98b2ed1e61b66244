import type { AwsSpec } from "../../api/provider-aws.ts";
import { keysOf, type ProviderModule } from "../contract.ts";
import { openSecretsManager } from "./secrets-manager.ts";

/** AWS as a kind of store. */

interface Target {
  readonly region: string;
  readonly endpoint: string | undefined;
}

export function newAws(options: {
  /** As the admin wrote them; empty: any. */
  readonly regions: readonly string[];
  readonly mayAskRegion: (region: string) => boolean;
}): ProviderModule<AwsSpec, Target> {
  return {
    problemOf({ regions: [region = ""] }) {
      if (options.mayAskRegion(region)) return undefined;
      return `spec.aws.regions: this operator asks no region ${region}; it may ask ${options.regions.join(", ")} (--aws-regions)`;
    },

    credentials({ auth: { secretRef } }) {
      const field = "spec.aws.auth.secretRef";
      if (!secretRef) return [{ kind: "ambient", field }];
      const { accessKeyIDKey, secretAccessKeyKey, sessionTokenKey, name } = secretRef;
      return [
        {
          kind: "secretKeys",
          field,
          namespace: "namespace" in secretRef ? secretRef.namespace : undefined,
          name,
          keys: [accessKeyIDKey, secretAccessKeyKey, ...(sessionTokenKey ? [sessionTokenKey] : [])],
        },
      ];
    },

    target(spec) {
      const [region = ""] = spec.regions;
      return { region, endpoint: "endpoint" in spec ? spec.endpoint : undefined };
    },

    connect(target, [credential], { maxConnections, ...env }) {
      const keys = keysOf(credential);
      const [accessKeyId = "", secretAccessKey = "", sessionToken] = keys ?? [];
      const credentials = keys && { accessKeyId, secretAccessKey, sessionToken };
      return openSecretsManager({ ...target, ...env, credentials, maxConcurrent: maxConnections });
    },
  };
}
