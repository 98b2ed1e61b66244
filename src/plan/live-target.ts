import { annotation, FIELD_MANAGER, label } from "../api/group.ts";
import type { KubeObject, ManagedFields, OwnerReference } from "../kube/kube-api.ts";
import { fingerprint, parseRecord, type ContentRecord } from "./digest.ts";

/**
 * What the operator keeps of a Secret: metadata only, never a value. Whether somebody changed the content shows in
 * managedFields: who changes a field takes it from our field manager.
 * https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
 */
export interface LiveTarget {
  readonly key: string;
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly managed: boolean;
  /** Name of the SecretSync that owns the content. */
  readonly owner: string | undefined;
  readonly ownerUids: readonly string[];
  /** Our notes on the content, by annotation; undefined where somebody spoiled them. */
  readonly records: Readonly<Record<string, ContentRecord | undefined>>;
  /** By our field managers: fingerprint of the fields that they still own. */
  readonly owned: Readonly<Record<string, string>>;
  /** Data keys by our field managers. */
  readonly dataKeys: Readonly<Record<string, readonly string[]>>;
}

export function projectSecret({ metadata }: KubeObject): LiveTarget {
  const annotations = metadata.annotations ?? {};
  const applied = (metadata.managedFields ?? []).filter(
    ({ manager, operation, subresource }) =>
      manager.startsWith(FIELD_MANAGER) && operation === "Apply" && !subresource,
  );
  const entries = applied.map((entry) => [entry.manager, entry] as const);
  return {
    key: `${metadata.namespace}/${metadata.name}`,
    name: metadata.name,
    namespace: metadata.namespace ?? "",
    uid: metadata.uid ?? "",
    resourceVersion: metadata.resourceVersion ?? "",
    managed: metadata.labels?.[label.managed] === "true",
    owner: annotations[annotation.owner],
    ownerUids: (metadata.ownerReferences ?? []).map((reference: OwnerReference) => reference.uid),
    records: Object.fromEntries(
      Object.entries(annotations)
        .filter(([name]) => name.startsWith(annotation.digests))
        .map(([name, text]) => [name, parseRecord(text)]),
    ),
    owned: Object.fromEntries(entries.map(([manager, entry]) => [manager, fingerprint(ownedFields(entry))])),
    dataKeys: Object.fromEntries(entries.map(([manager, entry]) => [manager, names(entry, "f:data")])),
  };
}

/** Whether the Secret is as some write of ours left it: then the news is our own. */
export function isUntouched({ records, owned }: LiveTarget): boolean {
  const written = Object.values(records).map((record) => record?.owned);
  const live = new Set(Object.values(owned));
  return written.length > 0 && written.every((fields) => fields !== undefined && live.has(fields));
}

/** The fields that our manager owns, in the order and form in which expectedFields() lists what it should own. */
function ownedFields(entry: ManagedFields): readonly string[] {
  return fieldList(
    names(entry, "f:data"),
    names(entry, "f:metadata", "f:labels"),
    names(entry, "f:metadata", "f:annotations"),
  );
}

/** What our manager owns right after it applied such a Secret. */
export function expectedOwnership(
  data: Iterable<string>,
  labels: Iterable<string>,
  annotations: Iterable<string>,
): string {
  return fingerprint(fieldList([...data], [...labels], [...annotations]));
}

const fieldList = (
  data: readonly string[],
  labels: readonly string[],
  annotations: readonly string[],
): readonly string[] =>
  [
    ...data.map((name) => `data ${name}`),
    ...labels.map((name) => `label ${name}`),
    ...annotations.map((name) => `annotation ${name}`),
  ].sort();

function names({ fieldsV1 }: ManagedFields, ...path: readonly string[]): readonly string[] {
  let node: unknown = fieldsV1;
  for (const step of path) node = (node as Record<string, unknown> | undefined)?.[step];
  return Object.keys((node as Record<string, unknown> | undefined) ?? {})
    .filter((name) => name.startsWith("f:"))
    .map((name) => name.slice(2));
}
