import { annotation, FIELD_MANAGER, label } from "../api/group.ts";
import { listOf, recordOf, textOf, weightOf } from "../api/loose.ts";
import type { KubeObject, ManagedFields } from "../kube/kube-api.ts";
import { fingerprint, outlineOfRecord, parseRecord, type ContentRecord } from "./digest.ts";

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
  /** Records hold only what isUntouched() needs, and there are no data keys: the rest must be read again. */
  readonly isOutline: boolean;
  /** Bytes, about, that an outline does without. */
  readonly weight: number;
}

/** So many SecretSyncs may merge keys into one Secret; records of more are none of ours. */
const MOST_RECORDS = 64;

export function projectSecret({ metadata }: KubeObject): LiveTarget {
  const annotations = recordOf(metadata.annotations);
  const texts = Object.entries(annotations)
    .filter(([name]) => name.startsWith(annotation.digests))
    .slice(0, MOST_RECORDS)
    .map(([name, text]) => [name, typeof text === "string" ? text : ""] as const);
  const records = Object.fromEntries(texts.map(([name, text]) => [name, parseRecord(text)]));
  const entries = appliedByUs(metadata.managedFields);
  const dataKeys = Object.fromEntries(entries.map(([manager, entry]) => [manager, names(entry, "f:data")]));
  return {
    key: `${metadata.namespace}/${metadata.name}`,
    name: metadata.name,
    namespace: metadata.namespace ?? "",
    uid: metadata.uid ?? "",
    resourceVersion: metadata.resourceVersion ?? "",
    managed: recordOf(metadata.labels)[label.managed] === "true",
    owner: textOf(annotations[annotation.owner]),
    ownerUids: listOf(metadata.ownerReferences)
      .map((reference) => textOf(recordOf(reference)["uid"]))
      .filter((uid) => uid !== undefined),
    records,
    owned: Object.fromEntries(entries.map(([manager, entry]) => [manager, fingerprint(ownedFields(entry))])),
    dataKeys,
    isOutline: false,
    weight: weightOf(dataKeys) + weightOf(records),
  };
}

export const outlineOfTarget = (target: LiveTarget): LiveTarget => ({
  ...target,
  records: Object.fromEntries(
    Object.entries(target.records).map(([name, record]) => [name, record && outlineOfRecord(record)]),
  ),
  dataKeys: {},
  isOutline: true,
  weight: 0,
});

/** By field manager. The apiserver takes entries of any form, also such that name no manager. */
function appliedByUs(
  managedFields: readonly ManagedFields[] | undefined,
): readonly (readonly [string, ManagedFields])[] {
  return listOf(managedFields).flatMap((entry) => {
    const { manager, operation, subresource } = recordOf(entry);
    const isOurs = typeof manager === "string" && manager.startsWith(FIELD_MANAGER);
    return isOurs && operation === "Apply" && !subresource
      ? [[manager, entry as ManagedFields] as const]
      : [];
  });
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
  for (const step of path) node = recordOf(node)[step];
  return Object.keys(recordOf(node))
    .filter((name) => name.startsWith("f:"))
    .map((name) => name.slice(2));
}
