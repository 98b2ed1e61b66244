import type {
  BatchRead,
  Failed,
  ListingRead,
  VersionRead,
  ListedSecret,
  ListFilter,
  ListResult,
  ReadResult,
  RemoteRef,
  SecretStore,
  VersionResult,
} from "../../src/providers/contract.ts";
import { SecretValue } from "../../src/providers/secret-value.ts";

/** A secret store in memory that counts its calls and fails when it is told to. */
export class FakeStore implements SecretStore {
  readonly place = "a fake";
  readonly currentStage = "AWSCURRENT";
  largest = 64 * 1024;
  batch: BatchRead | undefined = { most: 20, read: (keys) => this.#readBatch(keys) };
  versions: VersionRead | undefined = { read: (ref) => this.#describe(ref) };
  listing: ListingRead | undefined = { page: (filter, next) => this.#page(filter, next) };
  readonly secrets = new Map<
    string,
    { value: string | Uint8Array; versionId: string; tags?: Record<string, string> }
  >();
  readonly calls: string[] = [];
  readonly rotations = new Map<string, number>();
  /** Values that are sets. */
  readonly setsOf = new Map<string, SecretValue>();
  /** Who may have it, of names that aren't everybody's. */
  readonly sharedWith = new Map<string, readonly string[]>();
  /** Names that a batch passes over. */
  readonly leftOut = new Set<string>();
  /** Names that the listing doesn't show yet. */
  readonly unlisted = new Set<string>();
  fail: (operation: string, key?: string) => Failed | undefined = () => undefined;
  pageSize = 100;
  closed = false;
  readonly #previous = new Map<string, { value: string | Uint8Array; versionId: string }>();
  #held: Promise<void> | undefined;

  put(key: string, value: string | Uint8Array, versionId = "v1", tags: Record<string, string> = {}): void {
    const before = this.secrets.get(key);
    if (before && before.versionId !== versionId) this.#previous.set(key, before);
    this.secrets.set(key, { value, versionId, tags });
  }

  #find({ key, version, versionStage = "AWSCURRENT" }: RemoteRef): ReadResult {
    const stages = { AWSCURRENT: this.secrets.get(key), AWSPREVIOUS: this.#previous.get(key) };
    const there = this.secrets.has(key) ? Object.entries(stages) : [];
    const wanted = there.find(([stage, secret]) =>
      version === undefined ? stage === versionStage : secret?.versionId === version,
    );
    const [stage, secret] = wanted ?? [];
    if (!secret || stage === undefined) return { kind: "missing" };
    return {
      kind: "found",
      value: this.setsOf.get(key) ?? SecretValue.fromBytes(Buffer.from(secret.value as string)),
      versionId: secret.versionId,
      versionStages: [stage],
      sharedWith: this.sharedWith.get(key),
    };
  }

  #readBatch(keys: readonly string[]): Promise<ReadonlyMap<string, ReadResult> | Failed> {
    this.calls.push(`batch ${keys.length}`);
    const whole = this.fail("batch");
    if (whole) return Promise.resolve(whole);
    return Promise.resolve(
      new Map(
        keys
          .filter((key) => !this.leftOut.has(key))
          .map((key) => [key, this.fail("item", key) ?? this.#find({ key })]),
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

  async read(ref: RemoteRef, signal: AbortSignal): Promise<ReadResult> {
    const { key } = ref;
    this.calls.push(`read ${key}`);
    if (this.#held) {
      const gaveUp = new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      await Promise.race([this.#held, gaveUp]);
      if (signal.aborted) return failure("ProviderUnreachable", "provider");
    }
    return Promise.resolve(this.fail("read", key) ?? this.#find(ref));
  }

  #describe(ref: RemoteRef): Promise<VersionResult> {
    const { key } = ref;
    this.calls.push(`describe ${key}`);
    const failed = this.fail("describe", key);
    if (failed) return Promise.resolve(failed);
    const found = this.#find(ref);
    if (found.kind !== "found") return Promise.resolve(found);
    const { versionId, versionStages } = found;
    return Promise.resolve({
      kind: "found",
      versionId,
      versionStages,
      nextRotation: this.rotations.get(key),
    });
  }

  #page(filter: ListFilter, next: string | undefined): Promise<ListResult> {
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
