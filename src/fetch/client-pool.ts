import type { Clock } from "../runtime/clock.ts";
import type { ProviderClient } from "./provider-client.ts";

/** One client for each identity, so that limits, sharing and connections are by identity too. */
export class ClientPool {
  readonly #clock: Clock;
  readonly #clients = new Map<string, { client: Promise<ProviderClient>; usedAt: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `identity` must differ whenever provider, endpoint, credentials or limits do. */
  get(identity: string, connect: () => Promise<ProviderClient>): Promise<ProviderClient> {
    const now = this.#clock.monotonic();
    const found = this.#clients.get(identity);
    if (found) {
      found.usedAt = now;
      return found.client;
    }
    this.#dropUnused(now);
    const client = connect();
    this.#clients.set(identity, { client, usedAt: now });
    client.catch(() => this.#clients.delete(identity));
    return client;
  }

  /** Rotated credentials leave clients behind that nobody asks for any more. */
  #dropUnused(now: number): void {
    for (const [identity, { client, usedAt }] of this.#clients) {
      if (now - usedAt < UNUSED_MS) continue;
      this.#clients.delete(identity);
      client.then((unused) => unused.close()).catch(() => undefined);
    }
  }
}

/** Longer than any usual refresh interval. */
const UNUSED_MS = 2 * 3_600_000;
