// Leases, in true time.
//
//   not early       none ends before its TTL counted from when its last acknowledged renewal was sent, whatever clocks
//                   and leaders did
//   not for ever    one that nobody renews any more ends within its TTL and a stated slack, also across changes of
//                   leader: a new one adds its extension, the rounding of the remainder and the time without a leader
//
// The second is judged at two kinds of moments. When somebody becomes the primary: may it begin anew with a lease, or
// should the leader before have written down what was left (at a hand-over, and from time to time)? And in the quiet
// end, when a primary is there and well: is anything left that should be gone?

import { promise } from "./violation.ts";

/** What a lease may live longer than its end: a tick of the wheel, a turn, and the entry's way into the log. */
const EXPIRY_SLACK_US = 1_000_000;
/** Remainders are whole seconds, rounded up. */
const REMAINDER_ROUNDING_US = 1_000_000;

interface LeaseRecord {
  readonly ttlSeconds: number;
  /** When the last acknowledged renewal (or the acknowledged grant) was sent; -1: none was acknowledged. */
  lastSentUs: number;
  /** When it may have been renewed or granted last. */
  renewedUs: number;
  /** Renewals that were sent and not answered yet: it may be renewed at any moment. */
  openCount: number;
  /** As the committed log says, seconds; 0: a new primary begins anew with it. */
  remainderSeconds: number;
  /** When it ends at last, as far as the last primary goes. */
  latestUs: number;
  /** When the entry that ended it was committed; -1 while it lives. */
  endedUs: number;
  endedByClient: boolean;
}

export interface LeaseOracleOptions {
  readonly now: () => number;
  /** How much a member's clock may run too fast or too slow, as a share. */
  readonly driftMax: number;
  /** A renewal whose answer was lost may still reach the leader after so long. */
  readonly strayUs: number;
  /** Between two rounds of remainders. */
  readonly checkpointUs: number;
}

/** A member whose lessor has begun to rule. */
export interface Promotion {
  readonly extensionUs: number;
  /** When the primary before was asked to hand over to it; -1: it became leader in another way. */
  readonly handOverAskedUs: number;
  /** When the primary before began; -1 without one. */
  readonly beforeBeganUs: number;
  /** Since when it had no pause: rounds that were due in one come later. -1 without one. */
  readonly beforeAwakeUs: number;
  /** Everything that the primary before proposed up to here is in the committed log; -1 when nothing is known. */
  readonly beforeDoneUs: number;
}

export class LeaseOracle {
  readonly #records = new Map<bigint, LeaseRecord>();
  readonly #options: LeaseOracleOptions;
  readonly #slow: number;
  checkedCount = 0;
  expiredCount = 0;
  /** Remainders that are, or were, in the log. */
  remainderCount = 0;

  constructor(options: LeaseOracleOptions) {
    this.#options = options;
    this.#slow = 1 + options.driftMax;
  }

  // From the committed log.

  granted(id: bigint, ttlSeconds: number): void {
    const record: LeaseRecord = {
      ttlSeconds,
      lastSentUs: -1,
      renewedUs: 0,
      openCount: 0,
      remainderSeconds: 0,
      latestUs: 0,
      endedUs: -1,
      endedByClient: false,
    };
    this.#records.set(id, record);
    this.#mayBeRenewed(record, this.#options.now());
  }

  revoked(id: bigint, byClient: boolean): void {
    const record = this.#records.get(id);
    if (record === undefined) return;
    record.endedUs = this.#options.now();
    record.endedByClient = byClient;
    if (!byClient) this.expiredCount++;
    this.#check(id, record);
  }

  /** What it has left, or 0: it was renewed. */
  checkpointed(id: bigint, remainderSeconds: number): void {
    const record = this.#records.get(id);
    if (record === undefined) return;
    record.remainderSeconds = remainderSeconds;
    if (remainderSeconds > 0) this.remainderCount++;
  }

  // From clients.

  /** A renewal is on its way. */
  renewalSent(id: bigint): void {
    const record = this.#records.get(id);
    if (record !== undefined) record.openCount++;
  }

  /** A renewal that was sent at `sentUs` was acknowledged. */
  renewed(id: bigint, sentUs: number): void {
    this.#answered(id);
    this.acknowledged(id, sentUs);
    this.#mayBeRenewed(this.#records.get(id)!, this.#options.now());
  }

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
    this.#answered(id);
    this.checkedCount++;
    const record = this.#records.get(id);
    promise(
      record === undefined || record.endedUs >= 0,
      "lease-safety",
      () => `lease ${id} was reported gone, but it lives`,
    );
  }

  /** So many renewals will not be answered any more; they may still arrive. */
  renewalsLost(id: bigint, count: number): void {
    const record = this.#records.get(id);
    if (record === undefined || count === 0) return;
    record.openCount -= count;
    this.#mayBeRenewed(record, this.#options.now() + this.#options.strayUs);
  }

  isAlive(id: bigint): boolean {
    const record = this.#records.get(id);
    return record !== undefined && record.endedUs < 0;
  }

  get livingCount(): number {
    let count = 0;
    for (const record of this.#records.values()) if (record.endedUs < 0) count++;
    return count;
  }

  // From the members.

  /** Everything before the new leader's first entry is committed. */
  promoted(promotion: Promotion): void {
    const nowUs = this.#options.now();
    for (const [id, record] of this.#records) {
      if (record.endedUs >= 0) continue;
      if (record.openCount === 0) this.#checkGrantedAnew(id, record, promotion);
      const seconds = record.remainderSeconds || record.ttlSeconds;
      const endUs = nowUs + (promotion.extensionUs + seconds * 1e6) * this.#slow + EXPIRY_SLACK_US;
      record.latestUs = Math.max(endUs, record.renewedUs + this.#lifetimeUs(record));
    }
  }

  /** In the quiet end, with a primary that is well since then: what nobody renews has ended. */
  checkExpired(quietSinceUs: number): void {
    const nowUs = this.#options.now();
    for (const [id, record] of this.#records) {
      if (record.endedUs >= 0 || record.openCount > 0) continue;
      const lateUs = nowUs - Math.max(record.latestUs, quietSinceUs + EXPIRY_SLACK_US);
      promise(
        lateUs <= 0,
        "lease-liveness",
        () =>
          `lease ${id} (TTL ${record.ttlSeconds} s) still lives ${Math.round(lateUs / 1000)} ms after its end and the slack`,
      );
    }
  }

  #checkGrantedAnew(id: bigint, record: LeaseRecord, promotion: Promotion): void {
    const { handOverAskedUs, beforeBeganUs, beforeAwakeUs, beforeDoneUs } = promotion;
    const { ttlSeconds, remainderSeconds, renewedUs } = record;
    const grantedUs = (remainderSeconds || ttlSeconds) * 1e6;
    const ageUs = handOverAskedUs - renewedUs;
    // One that was renewed half a TTL ago or later is taken for one that will be renewed in time.
    if (handOverAskedUs > beforeBeganUs && ageUs > (ttlSeconds * 1e6 * this.#slow) / 2) {
      const leftUs = Math.max(record.latestUs - handOverAskedUs, 0);
      promise(grantedUs <= leftUs + REMAINDER_ROUNDING_US, "lease-liveness", () => {
        const left = (leftUs / 1e6).toFixed(3);
        return `lease ${id} (TTL ${ttlSeconds} s) had at most ${left} s left when leadership was handed over, and was granted ${grantedUs / 1e6} s anew`;
      });
    }
    // The first round may have come too soon after its renewal.
    const writtenUs = Math.max(renewedUs, beforeAwakeUs) + 2 * this.#options.checkpointUs * this.#slow;
    if (beforeBeganUs < 0 || beforeDoneUs < writtenUs) return;
    promise(remainderSeconds > 0, "lease-liveness", () => {
      const age = ((beforeDoneUs - renewedUs) / 1e6).toFixed(3);
      return `lease ${id} (TTL ${ttlSeconds} s) was not renewed for ${age} s, and no remainder of it is in the log when the leader changes`;
    });
  }

  #answered(id: bigint): void {
    const record = this.#records.get(id);
    if (record !== undefined && record.openCount > 0) record.openCount--;
  }

  #mayBeRenewed(record: LeaseRecord, timeUs: number): void {
    record.renewedUs = Math.max(record.renewedUs, timeUs);
    record.latestUs = Math.max(record.latestUs, record.renewedUs + this.#lifetimeUs(record));
  }

  #lifetimeUs(record: LeaseRecord): number {
    return record.ttlSeconds * 1e6 * this.#slow + EXPIRY_SLACK_US;
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
