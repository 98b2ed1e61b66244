import { sleep, type Clock, type Random } from "./clock.ts";

/**
 * One active replica, by a Lease (https://kubernetes.io/docs/concepts/architecture/leases/). As in client-go, a
 * candidate trusts only its own monotonic clock: a lease counts as expired when its record hasn't changed for the
 * lease's duration, whatever times are written in it. A Lease doesn't fence by itself: `holds()` must be asked
 * before each write.
 */
export interface LeaseRecord {
  /** Identity of the holder; empty when it was released. */
  readonly holder: string;
  readonly durationSeconds: number;
  /** Milliseconds since 1970. */
  readonly acquiredAt: number;
  readonly renewedAt: number;
  readonly transitions: number;
}

export interface StoredLease {
  readonly record: LeaseRecord;
  /** The update fails when the lease has another version by then. */
  readonly version: string;
}

export interface LeaseLock {
  read(signal: AbortSignal): Promise<StoredLease | undefined>;
  /** Fails when the lease exists. */
  create(record: LeaseRecord, signal: AbortSignal): Promise<StoredLease>;
  /** Fails when the lease has changed since it was read. */
  update(record: LeaseRecord, version: string, signal: AbortSignal): Promise<StoredLease>;
}

export interface LeaderElectionOptions {
  readonly lock: LeaseLock;
  readonly identity: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly onError: (error: unknown) => void;
  /** The lease could be read and, where it was ours to write, written. */
  readonly onAnswer?: () => void;
  /** Somebody else holds the lease: told once for each who does. */
  readonly onStandby?: (leader: string) => void;
  readonly times?: LeaseTimes;
}

export interface LeaseTimes {
  /** Others wait so long after the last renewal that they saw. */
  readonly leaseMs: number;
  /** The holder gives up when it couldn't renew for so long; shorter than leaseMs. */
  readonly renewDeadlineMs: number;
  readonly retryMs: number;
}

/** The values of kube-controller-manager. */
export const LEASE_TIMES: LeaseTimes = { leaseMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2_000 };

export class LeaderElector {
  readonly #options: LeaderElectionOptions;
  readonly #times: LeaseTimes;
  #stored: StoredLease | undefined;
  /** The version that was seen last, and the monotonic time when it was first seen; kept through failures. */
  #seenVersion: string | undefined;
  #seenAt = 0;
  /** Monotonic time before the request that last renewed our lease was sent; undefined when we don't lead. */
  #renewedAt: number | undefined;
  /** Who else held the lease when it was looked at last. */
  #leader: string | undefined;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    this.#times = options.times ?? LEASE_TIMES;
  }

  /** Who leads instead, as far as that is known. */
  get waitsFor(): string | undefined {
    return this.#leader;
  }

  /** True while no other replica can have taken over. Asked before each write; costs nothing. */
  holds(): boolean {
    return this.#renewedAt !== undefined && this.#age(this.#renewedAt) < this.#times.renewDeadlineMs;
  }

  /** Resolves when this replica leads; never when the signal aborts first. */
  async acquire(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      if (await this.#tryOnce(signal)) return true;
      await sleep(this.#options.clock, this.#times.retryMs * (1 + 0.2 * this.#options.random()), signal);
    }
    return false;
  }

  /** Renews until the lease is lost (resolves false) or the signal aborts (releases it, resolves true). */
  async hold(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      await sleep(this.#options.clock, this.#times.retryMs, signal);
      if (signal.aborted) break;
      await this.#tryOnce(signal);
      if (!signal.aborted && !this.holds()) {
        this.#renewedAt = undefined;
        return false;
      }
    }
    await this.#release();
    return true;
  }

  #age(since: number): number {
    return this.#options.clock.monotonic() - since;
  }

  /** Takes or renews the lease if that is allowed now. */
  async #tryOnce(signal: AbortSignal): Promise<boolean> {
    const { lock, identity, clock, onError, onAnswer } = this.#options;
    const { signal: limit, cancel } = this.#limited(signal);
    try {
      const sentAt = clock.monotonic();
      const stored = this.#renewedAt === undefined || !this.#stored ? await lock.read(limit) : this.#stored;
      if (stored && stored.version !== this.#seenVersion) {
        this.#seenVersion = stored.version;
        this.#seenAt = clock.monotonic();
      }
      const current = stored?.record;
      const ours = current?.holder === identity;
      if (
        current &&
        !ours &&
        current.holder !== "" &&
        this.#age(this.#seenAt) < current.durationSeconds * 1000
      ) {
        this.#renewedAt = undefined;
        onAnswer?.();
        if (current.holder !== this.#leader) this.#options.onStandby?.(current.holder);
        this.#leader = current.holder;
        return false;
      }
      const now = clock.now();
      const record: LeaseRecord = {
        holder: identity,
        durationSeconds: this.#times.leaseMs / 1000,
        acquiredAt: ours ? current.acquiredAt : now,
        renewedAt: now,
        transitions: current ? current.transitions + (ours ? 0 : 1) : 0,
      };
      this.#stored = stored
        ? await lock.update(record, stored.version, limit)
        : await lock.create(record, limit);
      this.#renewedAt = sentAt;
      this.#leader = undefined;
      onAnswer?.();
      return true;
    } catch (error) {
      // Read again next time: someone may have changed it.
      this.#stored = undefined;
      if (!signal.aborted) onError(error);
      return false;
    } finally {
      cancel();
    }
  }

  /** A standby then takes over at its next try instead of waiting for the lease to expire. */
  async #release(): Promise<void> {
    if (!this.holds()) return;
    const { lock, clock, identity, onError } = this.#options;
    const { signal, cancel } = this.#limited(new AbortController().signal);
    try {
      // A renewal that was under way may have gone through or not.
      const stored = this.#stored ?? (await lock.read(signal));
      this.#renewedAt = undefined;
      if (stored?.record.holder !== identity) return;
      const { record, version } = stored;
      await lock.update(
        { ...record, holder: "", durationSeconds: 1, renewedAt: clock.now() },
        version,
        signal,
      );
    } catch (error) {
      onError(error);
    } finally {
      cancel();
    }
  }

  /** No request of ours may outlive half the deadline, or one that hangs would cost us the lease. */
  #limited(outer: AbortSignal): { signal: AbortSignal; cancel: () => void } {
    const limit = new AbortController();
    const cancel = this.#options.clock.after(this.#times.renewDeadlineMs / 2, () =>
      limit.abort(new Error("the lease request took too long")),
    );
    return { signal: AbortSignal.any([outer, limit.signal]), cancel };
  }
}
