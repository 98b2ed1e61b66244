import { annotation } from "../../api/group.ts";
import { recordOf, textOf } from "../../api/loose.ts";
import { isObjectName } from "../../api/fields.ts";
import { AnswerTooLargeError, type KubeApi, type KubeObject } from "../../kube/kube-api.ts";
import { resources } from "../../kube/resources.ts";
import type { Clock } from "../../runtime/clock.ts";
import type {
  ListedSecret,
  ListFilter,
  ListResult,
  ReadResult,
  RemoteRef,
  SecretStore,
  VersionResult,
} from "../contract.ts";
import { CURRENT, LARGEST, refusedVersion } from "../current-only.ts";
import { failed } from "../failed.ts";
import { SecretValue } from "../secret-value.ts";
import { failureOf } from "./failure.ts";

/**
 * Secrets or ConfigMaps of one namespace. A key is a name; its value is a set, the object's data. The version is the resource version,
 * which also a change of labels makes another one: then the value is read again, and is the same.
 */
export interface ObjectsOptions {
  readonly api: KubeApi;
  readonly clock: Clock;
  readonly namespace: string;
  readonly kind: "Secret" | "ConfigMap";
  /** As messages name it. */
  readonly cluster: string;
  /** In this cluster the owner of an object must have let it go to other namespaces; of another one, its own rules say who may read. */
  readonly needsConsent: boolean;
  /** The connection was this store's own. */
  readonly onClose: () => void;
}

const PAGE = 100;
/** An apiserver ends a watch then, if the connection is well. */
const WATCH_SECONDS = 300;
/** Bookmarks come about once a minute; one that is silent for so long is dead. */
const SILENCE_MS = 150_000;
/** One that ends sooner isn't asked for again at once. */
const SHORT_MS = 1_000;
/** Secrets hold 1 MiB; of metadata, a page of them has at most some. */
const LARGEST_PAGE = 4 * 1024 * 1024;

type DataObject = KubeObject & {
  readonly data?: Readonly<Record<string, string>>;
  readonly binaryData?: Readonly<Record<string, string>>;
};

export function openObjects({
  api,
  clock,
  namespace,
  kind,
  cluster,
  needsConsent,
  onClose,
}: ObjectsOptions): SecretStore {
  const type = kind === "Secret" ? resources.secret : resources.configMap;
  const what = `${type.plural} in namespace ${namespace}`;
  const selection = { namespace, metadataOnly: true };
  const failure = (error: unknown) => failureOf(error, what, cluster);

  async function read(ref: RemoteRef, signal: AbortSignal): Promise<ReadResult> {
    const refused = refusalOf(ref);
    if (refused) return refused;
    try {
      const object = await api.get<DataObject>(type, ref.key, namespace, signal);
      if (!object) return { kind: "missing" };
      const members = membersOf(object, kind);
      if (!members) return tooManifold;
      return {
        kind: "found",
        value: SecretValue.fromMembers(members),
        ...versionOf(object),
        ...(needsConsent ? { sharedWith: consentOf(object) } : {}),
      };
    } catch (error) {
      return failure(error);
    }
  }

  async function version(ref: RemoteRef, signal: AbortSignal): Promise<VersionResult> {
    const refused = refusalOf(ref);
    if (refused) return refused;
    try {
      const object = await api.get(type, ref.key, namespace, signal, { metadataOnly: true });
      return object ? { kind: "found", ...versionOf(object) } : { kind: "missing" };
    } catch (error) {
      return failure(error);
    }
  }

  async function page(
    { tags = {} }: ListFilter,
    next: string | undefined,
    signal: AbortSignal,
  ): Promise<ListResult> {
    const labelSelector = Object.entries(tags)
      .map(([name, value]) => `${name}=${value}`)
      .join();
    const list = (limit: number) =>
      api.list(
        type,
        {
          ...selection,
          ...(labelSelector ? { labelSelector } : {}),
          limit,
          strict: true,
          // A single object must be taken as it is.
          ...(limit > 1 ? { mostBytes: LARGEST_PAGE } : {}),
          ...(next === undefined ? {} : { continue: next }),
        },
        signal,
      );
    for (let limit = PAGE; ; limit = Math.ceil(limit / 5)) {
      try {
        const { items, metadata } = await list(limit);
        return { kind: "page", secrets: (items ?? []).map(listed), next: metadata.continue || undefined };
      } catch (error) {
        if (!(error instanceof AnswerTooLargeError) || limit === 1) return failure(error);
      }
    }
  }

  async function run(onNews: (key: string | undefined) => void, signal: AbortSignal): Promise<void> {
    let { resourceVersion } = (await api.list(type, { ...selection, limit: 1 }, signal)).metadata;
    // What changed before that nobody tells.
    onNews(undefined);
    while (!signal.aborted) {
      const since = clock.monotonic();
      const silent = new AbortController();
      const hear = () => clock.after(SILENCE_MS, () => silent.abort(new Error("the watch fell silent")));
      let cancel = hear();
      try {
        const options = { ...selection, resourceVersion, timeoutSeconds: WATCH_SECONDS };
        for await (const event of api.watch(type, options, AbortSignal.any([signal, silent.signal]))) {
          cancel();
          cancel = hear();
          const { name, resourceVersion: seen = resourceVersion } = event.object.metadata;
          resourceVersion = seen;
          if (event.type !== "BOOKMARK") onNews(name);
        }
      } finally {
        cancel();
      }
      silent.signal.throwIfAborted();
      if (!signal.aborted && clock.monotonic() - since < SHORT_MS) throw new Error("the watch ended at once");
    }
  }

  return {
    place: `${kind}s of namespace ${namespace} in ${cluster}${needsConsent ? `, among those whose annotation ${annotation.sharedWith} names this namespace` : ""}`,
    currentStage: CURRENT,
    largest: LARGEST,
    read,
    versions: { read: version },
    listing: { page },
    feed: { run },
    close: onClose,
  };
}

function refusalOf(ref: RemoteRef) {
  if (isObjectName(ref.key)) return refusedVersion(ref, "Secrets and ConfigMaps");
  return failed("ProviderRefused", "request", "this is no name of a Kubernetes object; correct the key");
}

/** The uid goes in, since a cluster that was restored counts from an earlier number. */
const versionOf = ({ metadata: { uid = "", resourceVersion = "" } }: KubeObject) => ({
  versionId: `${resourceVersion}-${uid.slice(0, 8)}`,
  versionStages: [CURRENT],
});

const listed = (object: KubeObject): ListedSecret => ({
  name: object.metadata.name,
  aliases: [],
  tags: object.metadata.labels ?? {},
  versions: { [CURRENT]: versionOf(object).versionId },
});

/** Members and bytes of their names: beyond, no Secret could hold them, and taking them apart would hold up others. */
const MOST_MEMBERS = 10_000;
const MOST_BYTES_OF_NAMES = 256 * 1024;

const tooManifold = failed(
  "TooLarge",
  "request",
  "it has more than 10,000 members, or 256 KiB of their names; split it",
);

/** Data of a Secret is Base64; that of a ConfigMap is text, beside binaryData. undefined when there is too much of it. */
function membersOf(
  { data, binaryData }: DataObject,
  kind: "Secret" | "ConfigMap",
): ReadonlyMap<string, SecretValue> | undefined {
  const members = new Map<string, SecretValue>();
  let bytesOfNames = 0;
  for (const [part, encoding] of [
    [data, kind === "Secret" ? "base64" : "utf8"],
    [binaryData, "base64"],
  ] as const) {
    const texts = recordOf(part);
    // Whoever answers may send anything: it is gone through only as far as it may reach.
    for (const name in texts) {
      const text = texts[name];
      if (typeof text !== "string") continue;
      bytesOfNames += name.length;
      if (members.size === MOST_MEMBERS || bytesOfNames > MOST_BYTES_OF_NAMES) return undefined;
      members.set(name, SecretValue.fromBytes(Buffer.from(text, encoding)));
    }
  }
  return members;
}

/** A longer text is too much to go through at each read, and lets nobody have anything. */
const LONGEST_CONSENT = 4 * 1024;

const consentOf = ({ metadata }: KubeObject): readonly string[] => {
  const text = textOf(recordOf(metadata.annotations)[annotation.sharedWith], LONGEST_CONSENT) ?? "";
  return (
    text
      .split(",")
      .map((glob) => glob.trim())
      // A namespace's name has 63 characters.
      .filter((glob) => glob !== "" && glob.length <= 63)
  );
};
