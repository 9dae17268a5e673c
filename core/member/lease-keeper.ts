// The leader's duties for leases: ended ones are revoked, many in one log entry; remainders are written down from time to
// time; both in portions, so that 100,000 leases that end in the same second hold neither the loop nor the writers.

import { ByteWriter } from "../base/byte-writer.ts";
import { writeCheckpoint, writeRevoke, writeRevokeBatch } from "../lease/lease-requests.ts";
import { DEFAULT_LESSOR_OPTIONS, LeaseIds, Lessor } from "../lease/lessor.ts";
import { REQUEST_KIND } from "../wire/raft-request.ts";
import { allowsKind, PRIVATE_KIND } from "./format.ts";
import type { Proposer } from "./proposals.ts";
import type { MemberOptions } from "./options.ts";

/** Leases in one entry. Small, because applying an entry is not interrupted: about 1 ms of work with a key each. */
const PORTION_COUNT = 500;
/** After what could not be proposed (no room in the log, hand-over), tried again so much later. */
const RETRY_MS = 100;

/** Before a hand-over remainders are proposed for at most so long: a quarter of what a stopping server allows for it. */
const HAND_OVER_MS_MAX = 250;
/** Portions of one turn then: an entry that only writes numbers down is applied in no time. */
const HAND_OVER_PORTION_COUNT = 8;

/** The leases of a member, none yet. */
export function makeLessor({ electionMs, limits, prng }: MemberOptions): Lessor {
  return new Lessor({
    ...DEFAULT_LESSOR_OPTIONS,
    ttlSecondsMin: Math.ceil((1.5 * electionMs) / 1000),
    checkpointMs: limits.leaseCheckpointMs,
    seed: prng.uint32(),
  });
}

export class LeaseKeeper {
  readonly #member: Proposer;
  readonly #ids = new LeaseIds(PORTION_COUNT);
  readonly #scratch = new ByteWriter(16 * 1024);
  #retryAtMs = 0;
  /** Called when the remainders are in the log, or their time is over; undefined while no hand-over waits for them. */
  #handOverNow: (() => void) | undefined;
  #handOverDeadlineMs = Number.POSITIVE_INFINITY;
  /** Set when a renewal waits for an entry that clears a remainder. */
  clearsWanted = false;

  constructor(member: Proposer) {
    this.#member = member;
  }

  /**
   * Writes down what leases have left, so that the next leader need not start them anew, and calls back: at once when there
   * is nothing to write or no proposal is taken, and after HAND_OVER_MS_MAX however much there is.
   */
  beforeHandOver(nowMs: number, handOverNow: () => void): void {
    const { lessor, raft } = this.#member;
    if (!lessor.isPrimary || lessor.count === 0 || raft.isTransferring) return handOverNow();
    lessor.beginHandOver();
    this.#handOverNow = handOverNow;
    this.#handOverDeadlineMs = nowMs + HAND_OVER_MS_MAX;
  }

  /** The hand-over is off: leadership was lost. */
  endHandOver(): void {
    this.#handOverNow = undefined;
    this.#handOverDeadlineMs = Number.POSITIVE_INFINITY;
  }

  /** One portion of each kind. */
  turn(nowMs: number): void {
    const { lessor, raft } = this.#member;
    if (this.#handOverNow !== undefined) this.#handOver(nowMs, this.#handOverNow);
    if (!lessor.isPrimary || nowMs < this.#retryAtMs) return;
    if (this.clearsWanted) this.#proposeClears();
    if (nowMs < lessor.nextDeadlineMs()) return;
    lessor.takeExpired(nowMs, this.#ids);
    if (this.#ids.count > 0) this.#proposeRevocations(nowMs);
    if (!lessor.checkpointDue(nowMs)) return;
    // A round that finds no room in the log would be lost until the next one is due.
    if (raft.isTransferring) this.#retryAtMs = nowMs + RETRY_MS;
    else {
      lessor.takeCheckpoint(nowMs, this.#ids);
      if (this.#ids.count > 0) this.#proposeCheckpoint();
    }
  }

  nextDeadlineMs(): number {
    const ownMs = Math.max(this.#member.lessor.nextDeadlineMs(), this.#retryAtMs);
    return Math.min(ownMs, this.#handOverDeadlineMs);
  }

  #handOver(nowMs: number, handOverNow: () => void): void {
    const { lessor, options } = this.#member;
    for (let i = 0; i < HAND_OVER_PORTION_COUNT && lessor.isHandingOver; i++) {
      lessor.takeCheckpoint(nowMs, this.#ids);
      if (this.#ids.count > 0) this.#proposeCheckpoint();
    }
    options.waker.wake();
    if (lessor.isHandingOver && nowMs < this.#handOverDeadlineMs) return;
    this.endHandOver();
    handOverNow();
  }

  #proposeRevocations(nowMs: number): void {
    const { lessor, formatVersion, counters } = this.#member;
    const isBatch = allowsKind(formatVersion, PRIVATE_KIND.leaseRevokeBatch);
    const placed = isBatch ? this.#proposeBatch() : this.#proposeEach();
    counters.leaseExpired.add(placed);
    if (placed === this.#ids.count) return;
    for (let i = placed; i < this.#ids.count; i++) lessor.release(this.#ids.hi[i]!, this.#ids.lo[i]!);
    this.#retryAtMs = nowMs + RETRY_MS;
  }

  /** Returns how many of the leases are in a proposal: all or none. */
  #proposeBatch(): number {
    this.#scratch.reset();
    writeRevokeBatch(this.#scratch, this.#ids);
    return this.#propose(PRIVATE_KIND.leaseRevokeBatch) ? this.#ids.count : 0;
  }

  /** An entry a lease, while there are members that do not know batches. */
  #proposeEach(): number {
    for (let i = 0; i < this.#ids.count; i++) {
      this.#scratch.reset();
      writeRevoke(this.#scratch, this.#ids.hi[i]!, this.#ids.lo[i]!);
      if (!this.#propose(REQUEST_KIND.leaseRevoke)) return i;
    }
    return this.#ids.count;
  }

  #proposeCheckpoint(): boolean {
    this.#scratch.reset();
    writeCheckpoint(this.#scratch, this.#ids);
    if (this.#propose(REQUEST_KIND.leaseCheckpoint)) return true;
    this.#member.lessor.putBack(this.#ids);
    return false;
  }

  #proposeClears(): void {
    const { lessor } = this.#member;
    this.clearsWanted = false;
    while (lessor.clearCount > 0) {
      lessor.takeClears(this.#ids);
      if (this.#proposeCheckpoint()) continue;
      this.clearsWanted = true;
      return;
    }
  }

  #propose(kind: number): boolean {
    return this.#member.proposals.proposeAsLeader(kind, this.#scratch.bytes, 0, this.#scratch.position);
  }
}
