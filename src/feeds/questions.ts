import type { ProviderRef } from "../api/secret-sync-sources.ts";
import type { Known } from "../fetch/versions.ts";
import { providerName, type Source } from "../plan/sources.ts";
import type { RemoteRef } from "../providers/contract.ts";
import { keysOf, withKey, withoutKey, type Few } from "../runtime/few.ts";

/** Who waits for news of which key: an index from a provider's keys to the objects of a namespace that read them, each question once. */

export interface Question extends Known {
  readonly provider: ProviderRef;
  /** Names the provider, and who asks it: a namespace waits for nothing that others ask. */
  readonly providerId: string;
  /** The round of a poll that asked it last. */
  round: number;
  askers: Few;
}

export class Questions {
  /** By provider and key: one for each version, or stage, that somebody knows. */
  readonly #byProvider = new Map<string, Map<string, readonly Question[]>>();

  /** What the object knows of a source becomes a question, or joins the same one of others. */
  add(
    asker: string,
    namespace: string,
    { provider, ref }: Source & { kind: "read" },
    version: string,
  ): Question {
    const providerId = idOf(provider, namespace);
    let byKey = this.#byProvider.get(providerId);
    if (!byKey) this.#byProvider.set(providerId, (byKey = new Map()));
    const about = byKey.get(ref.key) ?? [];
    let question = about.find((one) => one.version === version && isSame(one.ref, ref));
    if (!question) {
      question = { provider, providerId, ref, version, share: namespace, round: 0, askers: undefined };
      byKey.set(ref.key, [...about, question]);
    }
    question.askers = withKey(question.askers, asker);
    return question;
  }

  remove(asker: string, question: Question): void {
    question.askers = withoutKey(question.askers, asker);
    if (question.askers !== undefined) return;
    const { providerId, ref } = question;
    const byKey = this.#byProvider.get(providerId);
    const left = byKey?.get(ref.key)?.filter((one) => one !== question) ?? [];
    if (left.length > 0) byKey?.set(ref.key, left);
    else byKey?.delete(ref.key);
    if (byKey?.size === 0) this.#byProvider.delete(providerId);
  }
}

export const askersOf = ({ askers }: Question): readonly string[] => [...keysOf(askers)];

const isSame = (a: RemoteRef, b: RemoteRef): boolean =>
  a.version === b.version && a.versionStage === b.versionStage;

const idOf = (provider: ProviderRef, namespace: string): string => `${namespace} ${providerName(provider)}`;
