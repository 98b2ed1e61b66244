import type { ProviderRef } from "../api/secret-sync-sources.ts";
import type { Known } from "../fetch/news.ts";
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

/** Mostly one of a key, and very many are kept; else by version and stage. */
type About = Question | Map<string, Question>;

export class Questions {
  /** By provider and key. */
  readonly #byProvider = new Map<string, Map<string, About>>();

  /** What the object knows of a source becomes a question, or joins the same one of others. */
  add(
    asker: string,
    namespace: string,
    { provider, ref }: Source & { kind: "read" },
    version: string,
  ): Question {
    const providerId = `${namespace} ${providerName(provider)}`;
    let byKey = this.#byProvider.get(providerId);
    if (!byKey) this.#byProvider.set(providerId, (byKey = new Map()));
    const id = idOf(ref, version);
    const about = byKey.get(ref.key);
    const same = about instanceof Map ? about.get(id) : about;
    if (same && idOf(same.ref, same.version) === id) {
      same.askers = withKey(same.askers, asker);
      return same;
    }
    const question: Question = {
      provider,
      providerId,
      ref,
      version,
      share: namespace,
      round: 0,
      askers: asker,
    };
    if (about instanceof Map) about.set(id, question);
    else if (about)
      byKey.set(
        ref.key,
        new Map([
          [idOf(about.ref, about.version), about],
          [id, question],
        ]),
      );
    else byKey.set(ref.key, question);
    return question;
  }

  remove(asker: string, question: Question): void {
    question.askers = withoutKey(question.askers, asker);
    if (question.askers !== undefined) return;
    const { providerId, ref, version } = question;
    const byKey = this.#byProvider.get(providerId);
    const about = byKey?.get(ref.key);
    if (about instanceof Map) about.delete(idOf(ref, version));
    if (about === question || (about instanceof Map && about.size === 0)) byKey?.delete(ref.key);
    if (byKey?.size === 0) this.#byProvider.delete(providerId);
  }
}

export const askersOf = ({ askers }: Question): readonly string[] => [...keysOf(askers)];

const idOf = (ref: RemoteRef, version: string): string =>
  JSON.stringify([version, ref.version ?? "", ref.versionStage ?? ""]);
