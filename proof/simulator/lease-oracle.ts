// Leases, in true time: none ends before its TTL counted from when its last acknowledged renewal was sent, whatever
// clocks and leaders did; and once nobody renews it and nothing is broken, it ends within its TTL and a stated slack.

import { promise } from "./violation.ts";

interface LeaseRecord {
  ttlSeconds: number;
  grantedUs: number;
  /** When the last acknowledged renewal (or the acknowledged grant) was sent; -1: none was acknowledged. */
  lastSentUs: number;
  /** When the entry that ended it was committed; -1 while it lives. */
  endedUs: number;
  endedByClient: boolean;
}

export interface LeaseOracleOptions {
  readonly now: () => number;
  /** How much a member's clock may run too fast or too slow, as a share. */
  readonly driftMax: number;
}

export class LeaseOracle {
  readonly #records = new Map<bigint, LeaseRecord>();
  readonly #options: LeaseOracleOptions;
  checkedCount = 0;
  expiredCount = 0;

  constructor(options: LeaseOracleOptions) {
    this.#options = options;
  }

  // From the committed log.

  granted(id: bigint, ttlSeconds: number): void {
    this.#records.set(id, {
      ttlSeconds,
      grantedUs: this.#options.now(),
      lastSentUs: -1,
      endedUs: -1,
      endedByClient: false,
    });
  }

  revoked(id: bigint, byClient: boolean): void {
    const record = this.#records.get(id);
    if (record === undefined) return;
    record.endedUs = this.#options.now();
    record.endedByClient = byClient;
    if (!byClient) this.expiredCount++;
    this.#check(id, record);
  }

  // From clients.

  /** A grant or renewal that was sent at `sentUs` was acknowledged. */
  acknowledged(id: bigint, sentUs: number): void {
    this.checkedCount++;
    const record = this.#records.get(id);
    promise(record !== undefined, "lease-phantom", () => `lease ${id} was renewed, but was never granted`);
    record.lastSentUs = Math.max(record.lastSentUs, sentUs);
    this.#check(id, record);
  }

  /** A renewal was answered: there is no such lease. */
  reportedGone(id: bigint): void {
    this.checkedCount++;
    const record = this.#records.get(id);
    promise(
      record === undefined || record.endedUs >= 0,
      "lease-safety",
      () => `lease ${id} was reported gone, but it lives`,
    );
  }

  isAlive(id: bigint): boolean {
    const record = this.#records.get(id);
    return record !== undefined && record.endedUs < 0;
  }

  /** In the quiet end: a lease that nobody has renewed since `quietSinceUs` has ended. */
  checkExpired(quietSinceUs: number, slackUs: number): void {
    const nowUs = this.#options.now();
    for (const [id, record] of this.#records) {
      if (record.endedUs >= 0) continue;
      const sinceUs = Math.max(quietSinceUs, record.lastSentUs, record.grantedUs);
      const lateUs = nowUs - sinceUs - record.ttlSeconds * 1e6 * (1 + this.#options.driftMax) - slackUs;
      promise(
        lateUs <= 0,
        "lease-liveness",
        () =>
          `lease ${id} (TTL ${record.ttlSeconds} s) still lives ${Math.round(lateUs / 1000)} ms after its end and the slack`,
      );
    }
  }

  #check(id: bigint, record: LeaseRecord): void {
    if (record.endedUs < 0 || record.endedByClient || record.lastSentUs < 0) return;
    // One millisecond for the rounding of clocks.
    const earliestUs = record.lastSentUs + record.ttlSeconds * 1e6 * (1 - this.#options.driftMax) - 1000;
    promise(record.endedUs >= earliestUs, "lease-safety", () => {
      const early = Math.round((earliestUs - record.endedUs) / 1000);
      return `lease ${id} (TTL ${record.ttlSeconds} s) ended at ${Math.round(record.endedUs / 1000)} ms, ${early} ms before its time: a renewal sent at ${Math.round(record.lastSentUs / 1000)} ms was acknowledged`;
    });
  }
}
