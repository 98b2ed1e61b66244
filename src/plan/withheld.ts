import type { DataFromEntry } from "../api/secret-sync-sources.ts";
import { newKeyNamer } from "./content.ts";
import { originDigest } from "./digest.ts";
import { liveRecord } from "./live-record.ts";
import { targetFieldManager, type Observed } from "./observed.ts";
import { sourceOfDataFrom, type FetchedValues } from "./sources.ts";
import type { Steps, Work } from "./work.ts";

/**
 * Keys of the live Secret that would go only because this namespace may no longer read what they came from: the secrets
 * are there as before. They stay as they are, and all others are written. undefined: it takes too much work to tell.
 *
 * What a find matches and the namespace may not read must decide nothing else, or everybody could ask for other people's
 * names: so a name counts only if the record shows that this very key came from it.
 */
export function* withheldKeys(
  observed: Observed,
  fetched: FetchedValues,
  data: ReadonlyMap<string, unknown>,
  work: Work,
): Steps<ReadonlySet<string> | undefined> {
  const withheld = new Set<string>();
  const record = liveRecord(observed);
  if (!record || record.found.length === 0 || record.key !== observed.digestKey.id) return withheld;
  const known = new Set(record.found);
  const lost = new Set(
    (observed.target?.dataKeys[targetFieldManager(observed)] ?? []).filter((key) => !data.has(key)),
  );
  for (const { entry, names } of forbiddenNames(observed, fetched)) {
    const keyOf = newKeyNamer(entry, work);
    for (const name of names) {
      if (lost.size === withheld.size) return withheld;
      if (work.isSpent) return undefined;
      if (work.isTimeToPause()) yield;
      work.spend(name.length);
      const key = keyOf(name);
      if (!key.ok || !lost.has(key.value)) continue;
      if (known.has(originDigest(observed.digestKey, key.value, name))) withheld.add(key.value);
    }
  }
  return withheld;
}

function* forbiddenNames(
  { spec }: Observed,
  fetched: FetchedValues,
): Iterable<{ readonly entry: DataFromEntry; readonly names: readonly string[] }> {
  for (const [index, entry] of (spec.dataFrom ?? []).entries()) {
    const result = fetched.get(sourceOfDataFrom(spec, entry, index).id);
    if (result?.kind === "matches") yield { entry, names: result.forbidden };
  }
}
