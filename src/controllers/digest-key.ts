import { ApiError, type KubeApi, type KubeObject } from "../kube/kube-api.ts";
import { resources } from "../kube/resources.ts";
import { newDigestKey, type DigestKey } from "../plan/digest.ts";

/** The random key under which this installation makes digests; made once and kept in an immutable Secret. */

const KEY_SECRET = "secretsync-digest-key";
const FIELD = "key";
const BYTES = 32;

type KeySecret = KubeObject & {
  readonly data?: Readonly<Record<string, string>>;
  readonly immutable?: boolean;
};

export async function loadDigestKey(
  api: KubeApi,
  namespace: string,
  randomBytes: (count: number) => Buffer,
  signal: AbortSignal,
): Promise<DigestKey> {
  const found = await api.get<KeySecret>(resources.secret, KEY_SECRET, namespace, signal);
  if (found) return keyOf(found, namespace);
  const wanted: KeySecret = {
    metadata: { name: KEY_SECRET, namespace },
    immutable: true,
    data: { [FIELD]: randomBytes(BYTES).toString("base64") },
  };
  try {
    return keyOf(await api.create(resources.secret, wanted, signal), namespace);
  } catch (error) {
    // Another replica was faster.
    if (error instanceof ApiError && error.conflict)
      return loadDigestKey(api, namespace, randomBytes, signal);
    throw error;
  }
}

function keyOf({ data = {} }: KeySecret, namespace: string): DigestKey {
  const secret = Buffer.from(data[FIELD] ?? "", "base64");
  if (secret.length < BYTES) {
    throw new Error(
      `Secret ${namespace}/${KEY_SECRET} holds no usable key; delete it, and the operator makes a new one`,
    );
  }
  return newDigestKey(secret);
}
