import { annotation, FIELD_MANAGER, GROUP, label, mergeFieldManager } from "../api/group.ts";
import { listOf, recordOf, textOf, weightOf } from "../api/loose.ts";
import type { KubeObject, ManagedFields } from "../kube/kube-api.ts";
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
  /** Of the SecretSyncs among its owners. */
  readonly ownerUids: readonly string[];
  /** Kind/name of what controls the Secret, where that is no SecretSync: two controllers can't be. */
  readonly controlledBy: string | undefined;
  /** Our notes on the content, by annotation; undefined where somebody spoiled them. */
  readonly records: Readonly<Record<string, ContentRecord | undefined>>;
  /** By our field managers: fingerprint of the fields that they still own. */
  readonly owned: Readonly<Record<string, string>>;
  /** Data keys by our field managers. */
  readonly dataKeys: Readonly<Record<string, readonly string[]>>;
  /** RFC 3339: when somebody else wrote values into it; the earliest time that managedFields tell. */
  readonly editedAt: string | undefined;
  /** RFC 3339: when it was made, where nobody else has written values into it since. */
  readonly madeAt: string | undefined;
  /** It is as some write of ours left it: then the news is our own. */
  readonly isUntouched: boolean;
  /** Owners, records, fields and data keys are left out, and must be read again. */
  readonly isOutline: boolean;
  /** Bytes, about, that an outline does without. */
  readonly weight: number;
}

/** So many SecretSyncs may merge keys into one Secret, or own it; of more, none is kept. */
export const MOST_SYNCS = 64;
/** Names that one manager of ours may own: the most keys that a Secret gets, labels and annotations. */
const MOST_FIELDS = 12_000;

export function projectSecret({ metadata }: KubeObject): LiveTarget {
  const annotations = recordOf(metadata.annotations);
  const texts = Object.entries(annotations)
    .filter(([name]) => name.startsWith(annotation.digests))
    .slice(0, MOST_SYNCS)
    .map(([name, text]) => [name, typeof text === "string" ? text : ""] as const);
  const records = Object.fromEntries(texts.map(([name, text]) => [name, parseRecord(text)]));
  const fields = appliedByUs(metadata.managedFields);
  const dataKeys = Object.fromEntries(fields.map(([manager, { data }]) => [manager, data]));
  const owned = Object.fromEntries(fields.map(([manager, all]) => [manager, fingerprint(fieldList(all))]));
  const owners = listOf(metadata.ownerReferences).map(recordOf);
  const ownerUids = uidsOf(owners.filter(isSync));
  return {
    key: `${metadata.namespace}/${metadata.name}`,
    name: metadata.name,
    namespace: metadata.namespace ?? "",
    uid: metadata.uid ?? "",
    resourceVersion: metadata.resourceVersion ?? "",
    managed: recordOf(metadata.labels)[label.managed] === "true",
    owner: textOf(annotations[annotation.owner]),
    ownerUids,
    controlledBy: controllerOf(owners.filter((owner) => !isSync(owner))),
    records,
    owned,
    dataKeys,
    editedAt: earliestEdit(metadata.managedFields),
    madeAt: isAsMade(metadata) ? metadata.creationTimestamp : undefined,
    isUntouched: isAsWritten(records, owned),
    isOutline: false,
    weight: weightOf([dataKeys, records, owned, ownerUids]),
  };
}

export const outlineOfTarget = (target: LiveTarget): LiveTarget => ({
  ...target,
  ownerUids: [],
  controlledBy: undefined,
  records: {},
  owned: {},
  dataKeys: {},
  editedAt: undefined,
  madeAt: undefined,
  isOutline: true,
  weight: 0,
});

type Owner = Readonly<Record<string, unknown>>;

const isSync = ({ kind, apiVersion }: Owner): boolean =>
  kind === "SecretSync" && textOf(apiVersion)?.startsWith(`${GROUP}/`) === true;

const uidsOf = (owners: readonly Owner[]): readonly string[] =>
  owners
    .map(({ uid }) => textOf(uid, LONGEST_UID))
    .filter((uid) => uid !== undefined)
    .slice(0, MOST_SYNCS);

function controllerOf(owners: readonly Owner[]): string | undefined {
  const found = owners.find(({ controller }) => controller === true);
  return found && `${textOf(found["kind"], 63) ?? "?"}/${textOf(found["name"]) ?? "?"}`;
}

/** https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#uids */
const LONGEST_UID = 36;

interface Fields {
  readonly data: readonly string[];
  readonly labels: readonly string[];
  readonly annotations: readonly string[];
}

/** By field manager. The apiserver takes entries of any form and size, also such that name no manager. */
function appliedByUs(
  managedFields: readonly ManagedFields[] | undefined,
): readonly (readonly [string, Fields])[] {
  return listOf(managedFields)
    .filter(isOurs)
    .slice(0, MOST_SYNCS + 1)
    .flatMap((entry) => {
      const fields = fieldsOf(entry);
      return fields ? [[entry.manager, fields] as const] : [];
    });
}

function isOurs(entry: unknown): entry is ManagedFields & { readonly manager: string } {
  const { manager, operation, subresource } = recordOf(entry);
  const name = textOf(manager, mergeFieldManager("").length + LONGEST_UID);
  return (
    (name === FIELD_MANAGER || name?.startsWith(mergeFieldManager("")) === true) &&
    operation === "Apply" &&
    !subresource
  );
}

function earliestEdit(managedFields: readonly ManagedFields[] | undefined): string | undefined {
  const times = editTimes(managedFields);
  return times.length === 0 ? undefined : new Date(Math.min(...times)).toISOString();
}

/** By everybody's times, which are of whole seconds. */
function isAsMade({ creationTimestamp, managedFields }: KubeObject["metadata"]): boolean {
  const last =
    listOf(managedFields).length > MOST_SYNCS ? Infinity : Math.max(0, ...editTimes(managedFields));
  return last <= Date.parse(textOf(creationTimestamp, 32) ?? "");
}

function editTimes(managedFields: readonly ManagedFields[] | undefined): readonly number[] {
  return listOf(managedFields)
    .slice(0, MOST_SYNCS)
    .filter(
      (entry) =>
        !isOurs(entry) && Object.keys(recordOf(recordOf(recordOf(entry)["fieldsV1"])["f:data"])).length > 0,
    )
    .map((entry) => Date.parse(textOf(recordOf(entry)["time"], 32) ?? ""))
    .filter((time) => !Number.isNaN(time));
}

function isAsWritten(records: LiveTarget["records"], owned: LiveTarget["owned"]): boolean {
  const written = Object.values(records).map((record) => record?.owned);
  const live = new Set(Object.values(owned));
  return written.length > 0 && written.every((fields) => fields !== undefined && live.has(fields));
}

/** The fields that our manager owns, as expectedOwnership() lists what it should own; undefined for more than it can. */
function fieldsOf({ fieldsV1 }: ManagedFields): Fields | undefined {
  const all = recordOf(fieldsV1);
  const { "f:labels": labels, "f:annotations": annotations } = recordOf(all["f:metadata"]);
  const lists = [all["f:data"], labels, annotations].map((fields) => Object.keys(recordOf(fields)));
  if (lists.reduce((sum, { length }) => sum + length, 0) > MOST_FIELDS) return undefined;
  const [data = [], ofLabels = [], ofAnnotations = []] = lists.map(namesIn);
  return { data, labels: ofLabels, annotations: ofAnnotations };
}

/** What our manager owns right after it applied such a Secret. */
export function expectedOwnership(
  data: Iterable<string>,
  labels: Iterable<string>,
  annotations: Iterable<string>,
): string {
  return fingerprint(fieldList({ data: [...data], labels: [...labels], annotations: [...annotations] }));
}

const fieldList = ({ data, labels, annotations }: Fields): readonly string[] =>
  [
    ...data.map((name) => `data ${name}`),
    ...labels.map((name) => `label ${name}`),
    ...annotations.map((name) => `annotation ${name}`),
  ].sort();

const namesIn = (fields: readonly string[]): readonly string[] =>
  fields.filter((name) => name.startsWith("f:")).map((name) => name.slice(2));
