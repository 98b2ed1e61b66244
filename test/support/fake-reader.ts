import type {
  Failed,
  ListedSecret,
  ListFilter,
  ListResult,
  ReadResult,
  RemoteRef,
  SecretReader,
  VersionResult,
} from "../../src/providers/provider.ts";
import { SecretValue } from "../../src/providers/secret-value.ts";

/** A secret store in memory that counts its calls and fails when it is told to. */
export class FakeReader implements SecretReader {
  readonly place = "a fake";
  readonly currentStage = "AWSCURRENT";
  batchSize = 20;
  readonly secrets = new Map<string, { value: string; versionId: string; tags?: Record<string, string> }>();
  readonly calls: string[] = [];
  readonly rotations = new Map<string, number>();
  /** Names that a batch passes over. */
  readonly leftOut = new Set<string>();
  /** Names that the listing doesn't show yet. */
  readonly unlisted = new Set<string>();
  fail: (operation: string, key?: string) => Failed | undefined = () => undefined;
  pageSize = 100;
  closed = false;
  #held: Promise<void> | undefined;

  put(key: string, value: string, versionId = "v1", tags: Record<string, string> = {}): void {
    this.secrets.set(key, { value, versionId, tags });
  }

  #find(key: string): ReadResult {
    const secret = this.secrets.get(key);
    if (!secret) return { kind: "missing" };
    return {
      kind: "found",
      value: SecretValue.fromText(secret.value),
      versionId: secret.versionId,
      versionStages: ["AWSCURRENT"],
    };
  }

  readBatch(keys: readonly string[]): Promise<ReadonlyMap<string, ReadResult>> {
    this.calls.push(`batch ${keys.length}`);
    const whole = this.fail("batch");
    return Promise.resolve(
      new Map(
        keys
          .filter((key) => !this.leftOut.has(key))
          .map((key) => [key, whole ?? this.fail("item", key) ?? this.#find(key)]),
      ),
    );
  }

  /** From now on reads get no answer until the release. */
  hold(): { release(): void } {
    const held = Promise.withResolvers<void>();
    this.#held = held.promise;
    return {
      release: () => {
        this.#held = undefined;
        held.resolve();
      },
    };
  }

  async read({ key }: RemoteRef, signal: AbortSignal): Promise<ReadResult> {
    this.calls.push(`read ${key}`);
    if (this.#held) {
      const gaveUp = new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      await Promise.race([this.#held, gaveUp]);
      if (signal.aborted) return failure("ProviderUnreachable", "provider");
    }
    return Promise.resolve(this.fail("read", key) ?? this.#find(key));
  }

  describe({ key }: RemoteRef): Promise<VersionResult> {
    this.calls.push(`describe ${key}`);
    const failed = this.fail("describe", key);
    if (failed) return Promise.resolve(failed);
    const found = this.#find(key);
    if (found.kind !== "found") return Promise.resolve(found);
    const { versionId, versionStages } = found;
    return Promise.resolve({
      kind: "found",
      versionId,
      versionStages,
      nextRotation: this.rotations.get(key),
    });
  }

  list(filter: ListFilter, next: string | undefined): Promise<ListResult> {
    this.calls.push("list");
    const failed = this.fail("list");
    if (failed) return Promise.resolve(failed);
    const from = Number(next ?? 0);
    const all = [...this.secrets].filter(
      ([name]) => !this.unlisted.has(name) && name.startsWith(filter.namePrefix ?? ""),
    );
    const secrets = all
      .slice(from, from + this.pageSize)
      .map(([name, { versionId, tags = {} }]): ListedSecret => ({
        name,
        aliases: [`arn:${name}`],
        tags,
        versions: { AWSCURRENT: versionId },
        nextRotation: this.rotations.get(name),
      }));
    const rest = from + this.pageSize < all.length;
    return Promise.resolve({
      kind: "page",
      secrets,
      ...(rest ? { next: String(from + this.pageSize) } : {}),
    });
  }

  close(): void {
    this.closed = true;
  }
}

export const failure = (
  reason: "AccessDenied" | "ProviderUnreachable" | "RateLimited" | "AuthenticationFailed" | "ProviderRefused",
  scope: "request" | "provider" | "batch",
  retryAfterMs?: number,
): Failed => ({ kind: "failed", failure: { reason, message: reason, scope, retryAfterMs } });
